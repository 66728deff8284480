"""Episodes that begin in a given state: a simulation put where an observation's positions and velocities say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from gail_suite.envs.common import Env
from gail_suite.envs.structure import opaque, state_parts
from gail_suite.envs.toy import PointToy

VARIED = 0.1
"""Share of different numbers from which on a column is taken for a quantity, not for a switch."""

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


def put(env: Env, obs: np.ndarray, place: np.ndarray | float = 0.0) -> np.ndarray | None:
    """Puts a task into the state that `obs` (O,) shows; the observation there, None where the task would end at once.

    Of a MuJoCo task the observation begins with positions and velocities (Gymnasium's `observation_structure`). What it
    leaves out is `place`, where it stands on the plane (P,) in metres, and quaternions are brought to length 1.

    Raises:
        ValueError: the task does not say what of an observation is its state, or a wrapper shows something else.
    """
    inner = env.unwrapped
    if isinstance(inner, PointToy) and not opaque(env):
        inner.state = np.concatenate(([0.0], obs))
        return None if inner.outside() else inner._observation()
    parts = state_parts(env)
    if parts is None:
        between = f" behind {', '.join(opaque(env))}" if opaque(env) else ""
        raise ValueError(
            f"{type(inner).__name__}{between} does not say what of an observation is its state, "
            "so no episode can begin in a given one: leave out priors for start"
        )
    assert isinstance(inner, MujocoEnv)
    qpos, qvel = inner.init_qpos.copy(), inner.init_qvel.copy()
    skipped = len(qpos) - parts[0]
    qpos[:skipped] = place
    qpos[skipped:], qvel[:] = np.split(obs[: sum(parts)].astype(np.float64), [parts[0]])
    mujoco.mj_normalizeQuat(inner.model, qpos)
    mujoco.mj_resetData(inner.model, inner.data)
    inner.set_state(qpos, qvel)
    return _shown(inner, np.concatenate((qpos[skipped:], qvel))) if getattr(inner, "is_healthy", True) else None


def state_of(env: Env) -> np.ndarray:
    """The state (S,) in which a task is that `put` can put into one: what its observation would begin with were
    nothing cut off.
    """
    inner = env.unwrapped
    if isinstance(inner, PointToy):
        return inner._observation()
    assert isinstance(inner, MujocoEnv)
    parts = state_parts(env)
    assert parts is not None
    data = inner.data
    return np.concatenate((data.qpos[len(data.qpos) - parts[0] :], data.qvel))


def clipped_entries(states: np.ndarray) -> np.ndarray:
    """(N, S) which entries of the states (N, S) were cut off at a bound when they were observed.

    Hopper and Walker2d show velocities up to 10: nearly nine tenths of a fast walk's states hold one that was larger. A
    column of mostly different numbers was clipped where its largest or its smallest comes more than once.
    """
    lost = np.zeros(states.shape, bool)
    for column, gone in zip(states.T, lost.T, strict=True):
        if len(np.unique(column)) > VARIED * len(column):
            for bound in (column.min(), column.max()):
                at_bound = column == bound
                gone |= at_bound & (at_bound.sum() > 1)
    return lost


def clipped(states: np.ndarray) -> np.ndarray:
    """(N,) which of the states (N, S) hold an entry that was cut off, so that they cannot be put back."""
    return np.asarray(clipped_entries(states).any(1))


def _shown(inner: MujocoEnv, state: np.ndarray) -> np.ndarray:
    """The observation of a task that was put into `state`; ValueError where it shows another, as a class of one's
    own may.
    """
    found = inner._get_obs()  # type: ignore[attr-defined]
    # Hopper and Walker2d clip velocities at 10
    gap = np.abs(np.clip(found[: len(state)], -10, 10) - np.clip(state, -10, 10)).max()
    if not gap <= 1e-6:
        raise ValueError(
            f"{type(inner).__name__} shows another state than the one it was put into, by {gap:.3g}, "
            "so no episode can begin in a given one: leave out priors for start"
        )
    return found


def can_begin(venv: VecEnv, obs: np.ndarray) -> bool:
    """Whether episodes of vector environments can begin in a given state; tried on the first with one that `obs` (O,)
    shows.

    A reset has to follow.
    """
    if not hasattr(venv, "begin_at"):
        return False
    try:
        venv.begin_at(0, obs)
    except ValueError:
        return False
    return True
