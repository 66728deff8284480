"""Tasks as flat vectors: Dict observations laid end to end with their names kept, discrete actions as one-hot rows.

A discrete action is a row of the unit matrix wherever it is stored or learned from; the task takes the largest entry.
"""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
from gymnasium.core import ActType, ObsType
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.wrappers import FlattenObservation

from gail_suite.envs.common import Env


class OneHotActions(gym.ActionWrapper[ObsType, np.ndarray, int]):
    """A task with n discrete actions as one with n numbers in [0, 1], of which the largest is taken; plain numbers
    pass too.
    """

    def __init__(self, env: gym.Env[ObsType, int]) -> None:
        super().__init__(env)
        choices = env.action_space
        assert isinstance(choices, Discrete)
        self.start = int(choices.start)
        self.action_space = Box(0.0, 1.0, (int(choices.n),), np.float32)

    def action(self, action: np.ndarray | int) -> int:
        """The number of an action that is given as a row (n,) or as its number."""
        row = np.asarray(action)
        return self.start + int(np.argmax(row)) if row.ndim else int(row)


class CopyObservation(gym.ObservationWrapper[np.ndarray, ActType, np.ndarray]):
    """A task whose observations stay as they were shown: some hand out one array that the next step or reset
    overwrites.
    """

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """The same numbers in an array of their own."""
        return np.array(observation)

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """The task's own, of which this is no part."""
        return self.env.spec


def one_hot(actions: np.ndarray, n: int, start: int = 0) -> np.ndarray:
    """Rows (B, n) float32 of action numbers (B,); ValueError for a number that there is not."""
    numbers = np.asarray(actions).astype(np.int64) - start
    if ((numbers < 0) | (numbers >= n)).any():
        raise ValueError(
            f"action {int(np.asarray(actions).max())} of {n}: actions are numbered {start} to {start + n - 1}"
        )
    return np.eye(n, dtype=np.float32)[numbers]


def as_rows(actions: np.ndarray, n: int, start: int = 0) -> np.ndarray:
    """What a policy chose, as the task stores it: numbers (B,) of policies that choose among n become rows, others
    stay. `start` is the task's number of the first choice.
    """
    actions = np.asarray(actions)
    return one_hot(actions, n, start) if actions.ndim == 1 and actions.dtype.kind in "iu" else actions


def flat(env_id: str, env: Env) -> Env:
    """The task with flat observations, which are never overwritten, and flat actions.

    Raises:
        ValueError: pictures, texts, sets and what else is no fixed number of numbers.
    """
    env.observation_space = _checked(env_id, env.observation_space)
    is_flat = isinstance(env.observation_space, Box) and len(env.observation_space.shape) == 1
    env = CopyObservation(env) if is_flat else FlattenObservation(env)
    return OneHotActions(env) if isinstance(env.action_space, Discrete) else env


def is_discrete(env: Env) -> bool:
    """The task's actions are discrete."""
    return _choosing(env) is not None


def first_choice(env: Env) -> int:
    """The number of a task's first discrete action; 0 where actions are numbers."""
    choosing = _choosing(env)
    return 0 if choosing is None else choosing.start


def _choosing(env: Env) -> OneHotActions[object] | None:
    layer: Env = env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, OneHotActions):
            return layer
        layer = layer.env
    return None


def observation_names(env: Env) -> tuple[str, ...]:
    """A name for each entry of a flattened observation, such as goal[0]; none for a task whose observation is a Box."""
    layer: Env = env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, FlattenObservation):
            return tuple(_names("", layer.env.observation_space))
        layer = layer.env
    return ()


def _checked(env_id: str, space: Space[object]) -> Space[object]:
    for name, part in _leaves("", space):
        shape = getattr(part, "shape", None) or ()
        where = f"{env_id} shows" + (f" in {name}" if name else "")
        if isinstance(part, Box) and len(shape) > 1:
            raise ValueError(
                f"{where} an array of {' x '.join(map(str, shape))}, such as a picture: learners here read vectors; "
                "wrap it in features of the picture, or in gymnasium.wrappers.FlattenObservation where it is no picture"
            )
        if not isinstance(part, Box | Discrete | gym.spaces.MultiBinary | gym.spaces.MultiDiscrete):
            message = f"{where} {part}: learners here read a fixed number of numbers, so give it as a Box"
            raise ValueError(message)  # noqa: TRY004 (a task that is not fit, not a type)
    return space


def _leaves(name: str, space: Space[object]) -> list[tuple[str, Space[object]]]:
    """The parts of a space with their names, in the order in which Gymnasium flattens them."""
    if isinstance(space, gym.spaces.Dict):
        parts = [(f"{name}.{key}".lstrip("."), part) for key, part in space.spaces.items()]
    elif isinstance(space, gym.spaces.Tuple):
        parts = [(f"{name}.{i}".lstrip("."), part) for i, part in enumerate(space.spaces)]
    else:
        return [(name, space)]
    return list(itertools.chain.from_iterable(_leaves(*part) for part in parts))


def _names(name: str, space: Space[object]) -> list[str]:
    return [f"{leaf}[{i}]" for leaf, part in _leaves(name, space) for i in range(gym.spaces.flatdim(part))]
