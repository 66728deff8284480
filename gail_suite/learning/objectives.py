"""What an off-policy learner maximises; two objectives need no demonstrations: the task's reward, and a given one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gail_suite.demos.trajectory import Transitions
from gail_suite.learning.replay import Replay, Window
from gail_suite.learning.rewards.reward_env import RewardFn
from gail_suite.learning.sac import LearnerInputs


class ReplayObjective(Protocol):
    """What an off-policy learner maximises: rewards of windows of the replay, and what has to be trained alongside."""

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """One step of the objective's own networks, before a policy update."""

    def rewards(self, window: Window) -> Tensor:
        """(B, n) rewards of a window."""

    def learner_inputs(self, generator: torch.Generator) -> LearnerInputs:
        """Further arguments for `SAC.update`."""

    def set_progress(self, fraction: float) -> None:
        """The run is `fraction` in [0, 1] done."""

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""


class Bonus(Protocol):
    """A reward that does not change once it is given: computed when a step is collected, and kept in the replay.

    Anything with a memory (visits, a model that learns) lives here and goes into checkpoints.
    """

    def __call__(self, transitions: Transitions, done: np.ndarray) -> np.ndarray:
        """(n_envs,) for one step of every environment, in the environment's units; `done` where an episode ends."""

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""


class TaskReward:
    """The objective of plain reinforcement learning, a `ReplayObjective`: the environment's reward, folded at a cap
    and scaled.
    """

    def __init__(self, scale: float, cap: float | None = None) -> None:
        self.scale, self.cap = scale, float("inf") if cap is None else cap

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """Nothing to train."""
        return {}

    def rewards(self, window: Window) -> Tensor:
        """scale * min(r, 2 cap - r), (B, n)."""
        return self._folded(window.rewards)

    def _folded(self, rewards: Tensor) -> Tensor:
        return self.scale * torch.minimum(rewards, 2 * self.cap - rewards)

    def learner_inputs(self, generator: torch.Generator) -> LearnerInputs:
        """No further arguments."""
        return {}

    def set_progress(self, fraction: float) -> None:
        """Nothing depends on it."""

    def state(self) -> dict[str, np.ndarray]:
        """Stateless."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Stateless."""


class GivenReward(TaskReward):
    """The same of a reward that was given at collection, see `Given`, in place of the environment's."""

    def rewards(self, window: Window) -> Tensor:
        """As for the environment's reward, (B, n)."""
        assert window.bonus is not None
        return self._folded(window.bonus)


class Given:
    """A `RewardFn` as the `Bonus` of an off-policy loop: asked once for each step, when it is collected."""

    def __init__(self, reward_fn: RewardFn) -> None:
        self.reward_fn = reward_fn

    def __call__(self, transitions: Transitions, done: np.ndarray) -> np.ndarray:
        """(n_envs,) rewards of one step of every environment."""
        t = transitions
        return self.reward_fn(t.obs, t.actions, t.next_obs, t.terminated)

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: the reward is as it was given."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
