"""Episodes that begin in a given state: a simulation put where an observation's positions and velocities say."""

from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from envs.toy import PointToy


def put(env: Any, obs: np.ndarray) -> np.ndarray | None:
    """Puts an unwrapped task into the state that `obs` (O,) shows; the observation there, None where the task would end at once.

    Of a MuJoCo task the observation begins with positions and velocities (Gymnasium's `observation_structure`). What it leaves
    out, the place on the plane, is 0, and quaternions are brought to length 1.

    Raises:
        ValueError: the task does not say what of an observation is its state.
    """
    if isinstance(env, PointToy):
        env.state = np.concatenate(([0.0], obs))
        return None if env.outside() else env._observation()
    parts = getattr(env, "observation_structure", None) if isinstance(env, MujocoEnv) else None
    if not parts:
        raise ValueError(
            f"{type(env).__name__} does not say what of an observation is its state, so no episode can begin in a given one"
        )
    qpos, qvel = env.init_qpos.copy(), env.init_qvel.copy()
    skipped = len(qpos) - parts["qpos"]
    qpos[:skipped] = 0.0
    qpos[skipped:], qvel[:] = np.split(obs[: parts["qpos"] + parts["qvel"]].astype(np.float64), [parts["qpos"]])
    mujoco.mj_normalizeQuat(env.model, qpos)
    mujoco.mj_resetData(env.model, env.data)
    env.set_state(qpos, qvel)
    return env._get_obs() if getattr(env, "is_healthy", True) else None
