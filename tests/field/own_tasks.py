"""Tasks as people write them for themselves; the tests import this file as a user's `--import` would."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv


class GoalCheetah(HalfCheetahEnv):
    """HalfCheetah that is told, in a last column, at which speed to run; the goal is kept in Python."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.goal = 0.0
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (18,), np.float64)

    def _get_obs(self) -> np.ndarray:
        return np.append(super()._get_obs(), getattr(self, "goal", 0.0))

    def reset_model(self) -> np.ndarray:
        self.goal = float(self.np_random.uniform(-1, 1))
        return super().reset_model()


class HiddenGoalAnt(AntEnv):
    """Ant whose last contact force is replaced by a goal: as wide as its parent says."""

    def _get_obs(self) -> np.ndarray:
        obs = super()._get_obs()
        obs[-1] = 0.5
        return obs


class Mirrored(HalfCheetahEnv):
    """HalfCheetah that shows its velocities with the opposite sign, which its `observation_structure` does not say."""

    def _get_obs(self) -> np.ndarray:
        obs = super()._get_obs()
        obs[8:] *= -1
        return obs


class Plain(gym.Env[Any, Any]):
    """A point on a line that goes where it is pushed; it refuses what its spaces do not allow, and to go on past
    its end.
    """

    def __init__(
        self, low: float = -1.0, high: float = 1.0, dtype: str = "float32", render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self.observation_space: gym.Space[Any] = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gym.spaces.Box(low, high, (1,), np.dtype(dtype).type)
        self.over, self.x, self.t = True, 0.0, 0

    def look(self) -> Any:
        return np.array([self.x, 1.0])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.over, self.x, self.t = False, float(self.np_random.uniform(-0.5, 0.5)), 0
        return self.look(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert not self.over, "stepped past the end"
        assert self.action_space.contains(action), f"{action} is outside {self.action_space}"
        self.x, self.t = self.x + 0.1 * float(action[0]), self.t + 1
        self.over = self.t >= 30
        return self.look(), -abs(self.x), self.over, False, {}


class WithDict(Plain):
    """The same with a Dict observation."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        box = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
        self.observation_space = gym.spaces.Dict({"place": box, "goal": box})

    def look(self) -> Any:
        return {"place": np.array([self.x]), "goal": np.array([1.0])}


class Endless(Plain):
    """The same without an end."""

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t = 0
        return super().step(action)


class Reusing(Plain):
    """The same that shows one array, which the next step or reset overwrites."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shown = np.zeros(2)

    def look(self) -> Any:
        self.shown[:] = super().look()
        return self.shown


class Single(Plain):
    """The same that shows a number which is no vector."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (), np.float64)

    def look(self) -> Any:
        return np.array(self.x)


class Disc(Plain):
    """The same with pictures: a white disc in the middle of 202 x 101 black pixels."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def render(self) -> np.ndarray:
        y, x = np.mgrid[:101, :202]
        return np.where(((x - 101) ** 2 + (y - 50) ** 2 < 40**2)[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)


class NeedsPygame(Plain):
    """The same with pictures that need a library that is not there."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def render(self) -> np.ndarray:
        raise gym.error.DependencyNotInstalled(
            'pygame is not installed, run `pip install "gymnasium[classic_control]"`'
        )


class FrozenNormalizeObservation(gym.wrappers.NormalizeObservation[Any, Any, Any]):
    """Statistics that stay as they are."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.update_running_mean = False


class FrozenNormalizeReward(gym.wrappers.NormalizeReward[Any, Any]):
    """Statistics that stay as they are."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.update_running_mean = False


gym.register("GoalCheetah-v0", entry_point=GoalCheetah, max_episode_steps=50)
gym.register("HiddenGoalAnt-v0", entry_point=HiddenGoalAnt, max_episode_steps=50)
gym.register("Mirrored-v0", entry_point=Mirrored, max_episode_steps=50)
gym.register("Plain-v0", entry_point=Plain, max_episode_steps=50)
gym.register("Dict-v0", entry_point="own_tasks:WithDict", max_episode_steps=50)
gym.register(
    "FlatDict-v0", entry_point=lambda **kw: gym.wrappers.FlattenObservation(WithDict(**kw)), max_episode_steps=50
)
gym.register("Endless-v0", entry_point=Endless)
gym.register("Reusing-v0", entry_point=Reusing, max_episode_steps=50)
gym.register("Single-v0", entry_point=Single, max_episode_steps=50)
gym.register("Disc-v0", entry_point=Disc, max_episode_steps=50)
gym.register("NeedsPygame-v0", entry_point=NeedsPygame, max_episode_steps=50)
