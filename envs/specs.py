"""What is known of an environment: its sizes, its reference returns, and a fingerprint of its physics on this machine."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import gymnasium as gym
import numpy as np

from envs.make import make


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


@cache
def spec(env_id: str) -> EnvSpec:
    """The EnvSpec of env_id, with the returns of `envs/reference_returns.json`."""
    env = make(env_id)
    returns = _reference_returns().get(env_id, {})
    try:
        return EnvSpec(
            id=env_id,
            obs_dim=env.observation_space.shape[0],  # type: ignore[index]
            act_dim=env.action_space.shape[0],  # type: ignore[index]
            horizon=env.spec.max_episode_steps if env.spec else None,
            random_return=ReferenceReturn(**returns["random"]) if "random" in returns else None,
            expert_return=ReferenceReturn(**returns["expert"]) if "expert" in returns else None,
        )
    finally:
        env.close()


def _reference_returns() -> dict[str, dict[str, Any]]:
    return json.loads(resources.files("envs").joinpath("reference_returns.json").read_text())


def normalized_score(env_id: str, returns: Any) -> Any:
    """(return - random) / (expert - random), of the shape of `returns`: 0 for random actions, 1 for the reference expert.

    ValueError where the environment has no reference returns.
    """
    known = spec(env_id)
    if known.random_return is None or known.expert_return is None:
        raise ValueError(
            f"{env_id} has no reference returns, so no normalised score: add its random and expert returns to "
            "envs/reference_returns.json, or compare raw returns"
        )
    low, high = known.random_return.mean, known.expert_return.mean
    score = (np.asarray(returns, dtype=np.float64) - low) / (high - low)
    return float(score) if score.ndim == 0 else score


@cache
def physics_fingerprint(env_id: str) -> str:
    """SHA-256 of a fixed rollout of 50 steps: two machines with the same hex string simulate alike to the last bit.

    The hash covers the float64 bytes of qpos and qvel (observations where the task is not MuJoCo's) at reset and after each step,
    past terminations. The actions are rationals spread over the action box, free of any mathematical library.
    """
    env = make(env_id)
    inner: Any = env.unwrapped
    low, high = env.action_space.low.astype(np.float64), env.action_space.high.astype(np.float64)  # type: ignore[attr-defined]
    low, high = np.maximum(low, -1.0), np.minimum(high, 1.0)
    digest = hashlib.sha256()
    obs, _ = inner.reset(seed=0)
    digest.update(_physics(inner, obs))
    for t in range(50):
        fractions = (7 * t + 13 * np.arange(low.size)) % 17 / 16
        obs = inner.step((low + (high - low) * fractions).astype(env.action_space.dtype))[0]
        digest.update(_physics(inner, obs))
    env.close()
    return digest.hexdigest()


def _physics(env: gym.Env[Any, Any], obs: np.ndarray) -> bytes:
    data = getattr(env, "data", None)
    values = obs if data is None else np.concatenate((data.qpos, data.qvel))
    return np.ascontiguousarray(values, dtype="<f8").tobytes()
