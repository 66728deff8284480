"""SparseRoom: a point in a room with a wall and a reward behind it, which chance does not find; it serves exploration.

The room is the unit square. A wall at y = 0.5 reaches from x = 0 to x = 0.8; the point starts near (0.1, 0.1) below it
and is paid 1 for every step in the corner above it (x < 0.3, y > 0.7). The shortest way there has 25 to 27 steps, and
100 random steps get 0.3 far.
"""

import gymnasium as gym
import numpy as np
from typing_extensions import override

from gail_suite.envs.common import Info

SPARSE_ID = "gail_suite/SparseRoom-v0"
STEP = 0.05  # largest step along an axis
WALL, DOOR = 0.5, 0.8  # height of the wall, where it ends
HORIZON = 100


def in_goal(places: np.ndarray) -> np.ndarray:
    """Whether places (..., 2) are in the corner that pays."""
    return (places[..., 0] < 0.3) & (places[..., 1] > 0.7)


class SparseRoom(gym.Env[np.ndarray, np.ndarray]):
    """Observations (x, y), actions: steps along x and y in units of `STEP`, in [-1, 1]; never terminates."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float64)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.state = np.zeros(2)

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        super().reset(seed=seed)
        self.state = 0.1 + self.np_random.uniform(-0.05, 0.05, size=2)
        return self.state.copy(), {}

    @override
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        new = np.clip(self.state + STEP * np.clip(np.asarray(action, np.float64), -1.0, 1.0), 0.0, 1.0)
        if (self.state[1] < WALL) != (new[1] < WALL) and min(self.state[0], new[0]) < DOOR:
            new[1] = self.state[1]  # the wall stops the part of the step that would cross it
        self.state = new
        return new.copy(), float(in_goal(new)), False, False, {}


def register_sparse() -> None:
    """Make the room known to `gymnasium.make`; calling it again changes nothing."""
    if SPARSE_ID not in gym.registry:
        gym.register(SPARSE_ID, entry_point="gail_suite.envs.sparse:SparseRoom", max_episode_steps=HORIZON)
