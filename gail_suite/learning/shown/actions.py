"""Actions in the environment's units and in [-1, 1]."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from gymnasium.spaces import Box

from gail_suite import envs


def action_bounds(env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest action, (A,) each."""
    with closing(envs.make(env_id)) as env:
        assert isinstance(env.action_space, Box)
        return env.action_space.low, env.action_space.high


def to_unit(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions (..., A) between the bounds (A,) as numbers in [-1, 1]."""
    return 2 * (actions - low) / (high - low) - 1


def from_unit(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Inverse of `to_unit`, kept between the bounds, which rounding may leave."""
    return np.clip(low + (actions + 1) / 2 * (high - low), low, high)
