"""Objectives of the off-policy loop that need no demonstrations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gail_suite.learning.replay import Replay, Window


class TaskReward:
    """The objective of plain reinforcement learning: the environment's reward, folded at a cap and scaled."""

    def __init__(self, scale: float, cap: float | None = None):
        self.scale, self.cap = scale, float("inf") if cap is None else cap

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """Nothing to train."""
        return {}

    def rewards(self, window: Window) -> Tensor:
        """scale * min(r, 2 cap - r), (B, n)."""
        return self.scale * torch.minimum(window.rewards, 2 * self.cap - window.rewards)

    def learner_inputs(self, generator: torch.Generator) -> dict[str, Any]:
        """No further arguments."""
        return {}

    def set_progress(self, fraction: float) -> None:
        """Nothing depends on it."""

    def state(self) -> dict[str, np.ndarray]:
        """Stateless."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Stateless."""
