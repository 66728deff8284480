"""What is known of an environment's inside: its wrappers, its state, and which columns of an observation hold that
state.
"""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.wrappers import (
    ClipAction,
    DtypeObservation,
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RescaleAction,
    RescaleObservation,
    TimeLimit,
)

from gail_suite.envs.common import Env, Layer
from gail_suite.envs.flat import CopyObservation, OneHotActions
from gail_suite.envs.sparse import SparseRoom
from gail_suite.envs.toy import PointToy

SEEN_THROUGH = (TimeLimit, OrderEnforcing, PassiveEnvChecker, ClipAction, RescaleAction, OneHotActions, CopyObservation)
"""Wrappers that leave observations as they are and, but for the counted time limit, remember nothing."""
FORGETFUL = (*SEEN_THROUGH, FlattenObservation, RescaleObservation, DtypeObservation)
"""Wrappers that remember nothing but the counted time limit."""
FUNCTIONS_OF_STATE = {"cfrc_ext", "cinert", "cvel", "qfrc_actuator", "ten_length", "ten_velocity"}
"""Parts of Gymnasium's observations that follow from positions, velocities and the last controls."""


def layers(env: Env) -> Iterator[Layer]:
    """The wrappers of an environment, the outermost first."""
    layer: Env = env
    while isinstance(layer, gym.Wrapper):
        yield layer
        layer = layer.env


def opaque(env: Env) -> list[str]:
    """Names of the wrappers that may show something else than the task does."""
    return [type(layer).__name__ for layer in layers(env) if type(layer) not in SEEN_THROUGH]


def is_known(inner: Env) -> bool:
    """Whether the whole state of an unwrapped task is its simulation: Gymnasium's MuJoCo tasks themselves and the toys.

    A class derived from them may keep a goal or a counter in Python.
    """
    own = isinstance(inner, MujocoEnv) and type(inner).__module__.startswith("gymnasium.envs.mujoco.")
    return own or type(inner) in (PointToy, SparseRoom)


def unreadable(env: Env) -> str | None:
    """Why the state of an environment cannot be saved exactly, None where it can."""
    if not is_known(env.unwrapped):
        return f"{type(env.unwrapped).__name__} may keep state that cannot be read"
    if unknown := [type(layer).__name__ for layer in layers(env) if type(layer) not in FORGETFUL]:
        return f"the wrapper {unknown[0]} may remember something"
    if sum(isinstance(layer, TimeLimit) for layer in layers(env)) > 1:
        return "it has two time limits"
    return None


def time_limit(env: Env) -> int | None:
    """Steps after which an episode is cut off, None where nothing does."""
    limits = [layer._max_episode_steps for layer in layers(env) if isinstance(layer, TimeLimit)]
    return min(limits, default=None)


def state_parts(env: Env) -> tuple[int, int] | None:
    """How many leading columns of an observation are positions and how many velocities; None where that is not certain.

    The task has to say so (Gymnasium's `observation_structure`), its parts have to add up to the observation's width,
    which a subclass that appends a goal breaks, and nothing between task and learner may change observations.
    """
    inner = env.unwrapped
    said = getattr(inner, "observation_structure", None) if isinstance(inner, MujocoEnv) else None
    if not isinstance(said, dict) or not {"qpos", "qvel"} <= set(said) or opaque(env):
        return None
    width = sum(int(size) for name, size in said.items() if name != "skipped_qpos")
    return (int(said["qpos"]), int(said["qvel"])) if (width,) == env.observation_space.shape else None


def state_width(env: Env) -> int | None:
    """Columns 0 to n - 1 that tell all of an observation, as the others follow from them; None where that is not
    certain.

    Only of Gymnasium's own observations it is: what a class of one's own adds or puts in place of a column stays
    visible.
    """
    parts, inner = state_parts(env), type(env.unwrapped)
    if parts is None or any(
        not getattr(inner, method).__module__.startswith("gymnasium.") for method in ("_get_obs", "step", "reset_model")
    ):
        return None
    structure: dict[str, int] = env.unwrapped.observation_structure  # type: ignore[attr-defined]
    rest = set(structure) - {"skipped_qpos", "qpos", "qvel"}
    return sum(parts) if rest <= FUNCTIONS_OF_STATE else None
