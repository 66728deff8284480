"""Environments by name: one, many, and the checks that turn a bad name or space into one clear line."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any, Literal

import gymnasium as gym

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


def make(env_id: str, render_mode: str | None = None, **kwargs: Any) -> gym.Env[Any, Any]:
    """The Gymnasium environment `env_id`; ValueError for an unknown id or a task that is not continuous control."""
    try:
        gym.spec(env_id)
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise ValueError(f"unknown environment {env_id!r}: {_suggestion(env_id)}") from error
    try:
        env = gym.make(env_id, render_mode=render_mode, **kwargs)
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise ValueError(f"cannot make {env_id}: {' '.join(str(error).split())}") from error
    _require_continuous_control(env_id, env)
    return env


def make_vec(
    env_id: str,
    n_envs: int = 8,
    seed: int = 0,
    engine: Literal["auto", "batch", "gymnasium"] = "auto",
    n_threads: int | None = None,
    infos: Literal["full", "minimal"] = "full",
    **kwargs: Any,
) -> VecEnv:
    """SB3 VecEnv of n environments, environment i seeded with seed + i.

    `batch` steps Ant-v5 and Humanoid-v5 on `n_threads` native threads (None: one a processor, at most one an environment);
    `gymnasium` is SB3's DummyVecEnv for any id, with exact resume added; `auto` picks `batch` where it exists and nothing is to
    be rendered. `infos="minimal"` asks the batch engine to leave out the task's own info keys.
    """
    # imported here because SB3 imports torch, which `make` and `spec` do not need
    from envs.batch_vec_env import BatchVecEnv
    from envs.common import check_seed
    from envs.gym_vec_env import GymVecEnv
    from envs.tasks import BATCH_TASKS

    if engine not in ("auto", "batch", "gymnasium"):
        raise ValueError(f"unknown engine {engine!r}: choose auto, batch or gymnasium")
    check_seed(seed)
    if n_envs < 1:
        raise ValueError(f"n_envs is {n_envs}; at least one environment is needed")
    if n_threads is not None and n_threads < 1:
        raise ValueError(f"n_threads is {n_threads}; give at least 1, or None for one a processor")
    if engine == "batch" or (engine == "auto" and env_id in BATCH_TASKS and kwargs.get("render_mode") is None):
        venv: VecEnv = BatchVecEnv(env_id, n_envs, n_threads or os.cpu_count() or 1, infos, **kwargs)
    else:
        venv = GymVecEnv([lambda: make(env_id, **kwargs) for _ in range(n_envs)])
    venv.seed(seed)
    return venv


def _require_continuous_control(env_id: str, env: gym.Env[Any, Any]) -> None:
    action, observation = env.action_space, env.observation_space
    if not isinstance(action, gym.spaces.Box) or len(action.shape) != 1:
        kind = "discrete" if isinstance(action, gym.spaces.Discrete) else "unsupported"
        raise ValueError(
            f"{env_id} has a {kind} action space, {action}: choose an environment with a flat Box of continuous actions, "
            "such as Ant-v5"
        )
    if not isinstance(observation, gym.spaces.Box) or len(observation.shape) != 1:
        raise ValueError(
            f"{env_id} has the observation space {observation}: only flat Box vectors are supported; "
            "wrap it in gymnasium.wrappers.FlattenObservation and register the result under its own id"
        )


def _suggestion(env_id: str) -> str:
    by_lower = {name.lower(): name for name in gym.registry}
    close = difflib.get_close_matches(env_id.lower(), by_lower, n=1, cutoff=0.4)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return "list the known ones with gymnasium.pprint_registry()"
