"""What a run needs of a vector environment beside stepping: to be saved, continued, and begun in a state."""

from __future__ import annotations

from abc import abstractmethod

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv


class SavableVecEnv(VecEnv):
    """An SB3 VecEnv of flat observations and bounded actions that is saved and continued, and begins episodes one
    by one.
    """

    action_space: gym.spaces.Box
    mends = False
    """Whether an environment whose observations stop being finite loses its episode, where else ValueError is
    raised.
    """

    @abstractmethod
    def reset(self) -> np.ndarray:
        """Observations (n, O) of a new episode everywhere."""

    @abstractmethod
    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, as arrays; no "sim" where the simulators cannot be read."""

    @abstractmethod
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `get_state`; ValueError if it belongs to another task or number of environments."""

    @abstractmethod
    def begin_at(self, i: int, obs: np.ndarray) -> np.ndarray | None:
        """A new episode of environment i in the state that `obs` (O,) shows: the observation there, None as for
        `envs.starts.put`.
        """

    @abstractmethod
    def reset_one(self, i: int) -> np.ndarray:
        """A new episode of environment i alone, from its own generator: the observation it begins with."""
