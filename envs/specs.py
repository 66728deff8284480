"""What is known of an environment: its sizes, its reference returns, and a fingerprint of its physics on this
machine.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import overload

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Space
from numpy.typing import ArrayLike

from gail_suite.envs.answers import understood
from gail_suite.envs.common import Env
from gail_suite.envs.flat import first_choice, is_discrete, observation_names
from gail_suite.envs.make import make
from gail_suite.envs.names import Task, named
from gail_suite.envs.structure import is_known, time_limit


@dataclass(frozen=True)
class ReferenceReturn:
    """Undiscounted episode returns of a reference policy."""

    mean: float
    sd: float
    episodes: int
    source: str


@dataclass(frozen=True)
class EnvSpec:
    """Sizes and reference returns of an environment; the returns are None where nobody measured them."""

    id: str
    obs_dim: int
    act_dim: int
    horizon: int | None
    random_return: ReferenceReturn | None
    expert_return: ReferenceReturn | None
    discrete: bool = False
    """Actions are one-hot rows of a choice among `act_dim`."""
    obs_names: tuple[str, ...] = ()
    """Names of the entries of a flattened Dict observation, such as goal[0]."""
    start: int = 0
    """The number of the first of discrete actions."""


def spec(env_id: Task, **kwargs: object) -> EnvSpec:
    """The EnvSpec of a task, with the returns of `envs/reference_returns.json` or of `register_reference`."""
    return _spec(named(env_id, kwargs))


@cache
def _spec(name: str) -> EnvSpec:
    env = make(name)
    returns = _reference_returns().get(name, {})
    try:
        return EnvSpec(
            id=name,
            obs_dim=env.observation_space.shape[0],  # type: ignore[index]
            act_dim=env.action_space.shape[0],  # type: ignore[index]
            horizon=time_limit(env),
            random_return=returns.get("random"),
            expert_return=returns.get("expert"),
            discrete=is_discrete(env),
            start=first_choice(env),
            obs_names=observation_names(env),
        )
    finally:
        env.close()


@cache
def _reference_returns() -> dict[str, dict[str, ReferenceReturn]]:
    """By task, of random actions and of the expert."""
    recorded = json.loads(resources.files("gail_suite.envs").joinpath("reference_returns.json").read_text())
    return {task: {kind: ReferenceReturn(**r) for kind, r in known.items()} for task, known in recorded.items()}


def register_reference(env_id: Task, random: float, expert: float, source: str = "register_reference") -> None:
    """Gives a task the mean returns of random actions and of an expert, for `normalized_score` in this process.

    Raises:
        ValueError: returns that are not finite, or an expert no better than chance.
    """
    if not (np.isfinite([random, expert]).all() and expert > random):
        raise ValueError(f"reference returns are finite and the expert's is the larger, got {random} and {expert}")
    name = named(env_id)
    _reference_returns()[name] = {
        kind: ReferenceReturn(float(value), sd=0.0, episodes=0, source=source)
        for kind, value in (("random", random), ("expert", expert))
    }
    _spec.cache_clear()


@overload
def normalized_score(env_id: Task, returns: float) -> float: ...


@overload
def normalized_score(env_id: Task, returns: ArrayLike) -> np.ndarray | float: ...


def normalized_score(env_id: Task, returns: ArrayLike) -> np.ndarray | float:
    """(return - random) / (expert - random), of the shape of `returns`: 0 for random actions, 1 for the reference
    expert.

    ValueError where the environment has no reference returns.

    >>> from gail_suite import envs
    >>> known = envs.spec("Ant-v5")
    >>> envs.normalized_score("Ant-v5", [known.random_return.mean, known.expert_return.mean])
    array([0., 1.])
    """
    known = spec(env_id)
    if known.random_return is None or known.expert_return is None:
        raise ValueError(
            f"{known.id} has no reference returns, so no normalised score: give its random and expert returns to "
            "envs.register_reference (--reference RANDOM,EXPERT), or compare raw returns"
        )
    low, high = known.random_return.mean, known.expert_return.mean
    score = (np.asarray(returns, dtype=np.float64) - low) / (high - low)
    return float(score) if score.ndim == 0 else score


def physics_fingerprint(env_id: Task, **kwargs: object) -> str | None:
    """SHA-256 of a fixed rollout of 50 steps: two machines with the same hex string simulate alike to the last bit.
    None for a task that does not even repeat itself.

    The hash covers the float64 bytes of qpos and qvel (observations where the task is not MuJoCo's) at reset and after
    each step. The actions are rationals spread over the action box, free of any mathematical library. Gymnasium's own
    tasks are stepped past terminations; any other is reset there, as its rules may ask.
    """
    return _fingerprint(named(env_id, kwargs))


@cache
def _fingerprint(name: str) -> str | None:
    found, is_ours = _rollout(name)
    return found if is_ours or found == _rollout(name)[0] else None


def _rollout(name: str) -> tuple[str, bool]:
    """The SHA-256 of a task's rollout, and whether the task is one of Gymnasium's own."""
    env = make(name)
    inner = env.unwrapped
    if not isinstance(inner.action_space, gym.spaces.Box | gym.spaces.Discrete):
        inner = env  # what makes it one of them is around it
    digest = hashlib.sha256()
    with understood(inner):
        for physics in _states(inner):
            digest.update(physics)
    env.close()
    return digest.hexdigest(), is_known(inner)


def _states(env: Env) -> Iterator[bytes]:
    """What is hashed of the rollout, from the reset on."""
    obs, _ = env.reset(seed=0)
    yield _physics(env, obs)
    for t in range(50):
        obs, _, terminated, truncated, _ = env.step(_action(env.action_space, t))
        if (terminated or truncated) and not is_known(env):
            obs, _ = env.reset(seed=t + 1)
        yield _physics(env, obs)


def _action(space: Space[object], t: int) -> np.ndarray | int:
    """The t-th of the fixed actions: rationals spread over the box, or one choice after the other."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start) + 7 * t % 17 % int(space.n)
    assert isinstance(space, gym.spaces.Box)
    low, high = _modest(space)
    fractions = (7 * t + 13 * np.arange(low.size)) % 17 / 16
    return (low + (high - low) * fractions).astype(space.dtype).reshape(space.shape)


def _modest(space: gym.spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    """The part of the action box within [-1, 1]; where it has none, the two units nearest to it."""
    low, high = space.low.astype(np.float64).ravel(), space.high.astype(np.float64).ravel()
    least, most = np.maximum(low, -1.0), np.minimum(high, 1.0)
    least = np.where(high < -1.0, np.maximum(low, high - 2.0), least)
    return least, np.where(low > 1.0, np.minimum(high, low + 2.0), most)


def _physics(env: Env, obs: object) -> bytes:
    data = getattr(env, "data", None)
    if data is not None and hasattr(data, "qpos") and hasattr(data, "qvel"):
        values = np.concatenate((data.qpos, data.qvel))
    else:
        values = np.asarray(gym.spaces.flatten(env.observation_space, obs))
    return np.ascontiguousarray(values, dtype="<f8").tobytes()
