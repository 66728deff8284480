"""Tasks that are known by their demonstrations alone: they can be cloned, and nothing can be run on them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from typing_extensions import override

from gail_suite.envs.common import Info
from gail_suite.envs.names import Task, bare, named


class RecordedTask(gym.Env[np.ndarray, np.ndarray]):
    """The spaces of a task whose simulation is not here; `reset` raises ValueError."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, task: str, obs_dim: int, low: list[float], high: list[float], **unread: object) -> None:
        self.task, self.render_mode = task, None
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (obs_dim,), np.float32)
        self.action_space = gym.spaces.Box(
            np.asarray(low, np.float32), np.asarray(high, np.float32), (len(low),), np.float32
        )

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        raise ValueError(
            f"{self.task} is not registered here, so nothing can be run on it: behaviour cloning alone learns from its "
            "demonstrations; import the module that registers it with --import"
        )

    @override
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        raise ValueError(f"{self.task} is not registered here, so nothing can be run on it")


def register_recorded(task: str, obs_dim: int, low: np.ndarray, high: np.ndarray, horizon: int) -> None:
    """Makes a task known to Gymnasium by the sizes (O,), the bounds (A,) and the longest episode of its
    demonstrations.
    """
    kwargs = {"task": task, "obs_dim": obs_dim, "low": low.tolist(), "high": high.tolist()}
    make: Any = RecordedTask
    gym.register(bare(task), entry_point=make, max_episode_steps=horizon, kwargs=kwargs)


def is_runnable(task: Task) -> bool:
    """Whether a registered task has a simulation."""
    return gym.registry[bare(named(task))].entry_point is not RecordedTask
