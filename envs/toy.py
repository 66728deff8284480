"""PointToy: a point that must run along +x inside a narrow, unstable lane; it is learned in seconds and serves the
tests.

State: lateral position y (m), velocities vx and vy (m/s). A push away from the middle grows with |y|, so a policy that
does not steer leaves the lane, which terminates the episode as a fall does for Humanoid. The reward is vx + 0.5 - 0.05
|a|^2 a step.
"""

import gymnasium as gym
import numpy as np
from typing_extensions import override

from gail_suite.envs.common import Info

TOY_ID = "gail_suite/PointToy-v0"
LANE = 1.0  # half width of the lane, metres
TIME_STEP = 0.1  # seconds
THRUST = 2.0  # acceleration at full action, m/s^2
DRAG = 1.0  # 1/s
INSTABILITY = 2.0  # lateral push per metre from the middle, 1/s^2
HORIZON = 100


class PointToy(gym.Env[np.ndarray, np.ndarray]):
    """Observations (y, vx, vy), actions (ax, ay) in [-1, 1]; the state is a float64 vector (x, y, vx, vy)."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.state = np.zeros(4)

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        super().reset(seed=seed)
        self.state = np.concatenate(([0.0], self.np_random.uniform(-0.3, 0.3, size=3)))
        return self._observation(), {"x_position": self.state[0]}

    @override
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        thrust = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        x, y, vx, vy = self.state
        vx = vx + TIME_STEP * (THRUST * thrust[0] - DRAG * vx)
        vy = vy + TIME_STEP * (THRUST * thrust[1] - DRAG * vy + INSTABILITY * y)
        self.state = np.array([x + TIME_STEP * vx, y + TIME_STEP * vy, vx, vy])
        reward = float(vx + 0.5 - 0.05 * np.square(thrust).sum())
        return self._observation(), reward, self.outside(), False, {"x_position": self.state[0]}

    def outside(self) -> bool:
        """Whether the point has left the lane."""
        return bool(abs(self.state[1]) > LANE)

    def _observation(self) -> np.ndarray:
        return self.state[1:].copy()


class ToyExpert:
    """Full thrust along +x and a proportional-derivative law that holds the middle of the lane."""

    env_id = TOY_ID

    def predict(
        self,
        observation: np.ndarray,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions (2,) or (B, 2) for observations (3,) or (B, 3); the law has no noise, so `deterministic` changes
        nothing.
        """
        y, vy = observation[..., 0], observation[..., 2]
        steer = np.clip(-2.0 * y - 1.5 * vy, -1.0, 1.0)
        return np.stack((np.ones_like(steer), steer), axis=-1).astype(np.float32), state


toy_expert = ToyExpert()


def register_toy() -> None:
    """Make the toy known to `gymnasium.make`; calling it again changes nothing."""
    if TOY_ID not in gym.registry:
        gym.register(TOY_ID, entry_point="gail_suite.envs.toy:PointToy", max_episode_steps=HORIZON)
