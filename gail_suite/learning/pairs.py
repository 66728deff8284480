"""Demonstrations as pairs of features and scaled actions: what cloning, discriminators and priors are fitted to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gail_suite.learning.actions import action_bounds, to_unit
from gail_suite.learning.features import Features, check_demonstrations, fit_features, state_columns


def demo_pairs(env_id: str, demonstrations) -> tuple[Features, Tensor, Tensor, Tensor, Tensor]:
    """The map fitted on demonstrations, and features (N, F), actions (N, A) in [-1, 1], next features, terminated (N,).

    Raises:
        ValueError: sizes that are not the environment's.
    """
    check_demonstrations(demonstrations, env_id)
    t = demonstrations.transitions()
    features = fit_features(t.obs, state_columns(env_id))
    actions = to_unit(t.actions, *action_bounds(env_id))
    x, a, y, end = (
        torch.as_tensor(np.asarray(array), dtype=torch.float32)
        for array in (features(t.obs), actions, features(t.next_obs), t.terminated)
    )
    return features, x, a, y, end
