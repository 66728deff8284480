"""SB3's DummyVecEnv for any environment; `get_state` and `set_state` are exact where the whole state can be read.

That is for Gymnasium's own MuJoCo tasks and the toys, behind wrappers that remember nothing
(`envs.structure.unreadable`).
"""

import warnings
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from typing_extensions import override

from gail_suite.envs.answers import understood
from gail_suite.envs.batch_vec_env import STATE
from gail_suite.envs.common import Env, broken, check_actions, pack_host, unpack_host
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.envs.sparse import SparseRoom
from gail_suite.envs.starts import put
from gail_suite.envs.structure import layers, unreadable
from gail_suite.envs.toy import PointToy

# outputs of the last step that tasks read before the next one (velocities as differences of positions)
CARRIED = ("xpos", "xipos")


class GymVecEnv(DummyVecEnv, SavableVecEnv):
    """DummyVecEnv whose environments can be saved and continued: bit for bit, or where a simulator cannot be read
    with new episodes.
    """

    @property
    def _buffer(self) -> np.ndarray:
        """The last observations (n, O): SB3 keys the buffer of a flat Box space by None."""
        return self.buf_obs[None]  # type: ignore[index]

    def step_async(self, actions: np.ndarray) -> None:
        """Keep actions (n, A) for `step_wait`; ValueError for a wrong shape or a non-finite value."""
        actions = np.asarray(actions)
        check_actions(actions, (self.num_envs, *self.action_space.shape))  # type: ignore[misc]
        super().step_async(_at_bounds(actions, self.action_space))

    def reset(self) -> np.ndarray:
        """Observations (n, O) of a new episode everywhere."""
        with understood(self.envs[0]):
            return np.asarray(super().reset())

    @override
    def step_wait(self) -> VecEnvStepReturn:
        before = self._buffer.copy()
        with understood(self.envs[0]):
            _, rewards, dones, infos = super().step_wait()
        seen = np.array([info.get("terminal_observation", row) for info, row in zip(infos, self._buffer, strict=True)])
        for i in broken(seen, self.mends):
            if not dones[i]:
                self.reset_one(i)
            dones[i], rewards[i] = True, 0
            infos[i] = {"terminal_observation": before[i], "TimeLimit.truncated": True}
        return self._buffer.copy(), rewards, dones, infos

    def begin_at(self, i: int, obs: np.ndarray) -> np.ndarray | None:
        """A new episode of environment i in the state that `obs` (O,) shows: the observation there, None as for
        `envs.starts.put`.
        """
        found = put(self.envs[i], obs)
        if found is not None:
            _time_limit(self.envs[i])._elapsed_steps = 0
            self._buffer[i] = found
        return found

    def reset_one(self, i: int) -> np.ndarray:
        """A new episode of environment i alone, from its own generator: the observation it begins with."""
        self._buffer[i], self.reset_infos[i] = self.envs[i].reset()
        return self._buffer[i].copy()

    def get_state(self) -> dict[str, np.ndarray]:
        """Simulators, generators, step counters and last observations; no "sim" where the whole state cannot be
        read.
        """
        known = all(unreadable(env) is None for env in self.envs)
        return {
            **({"sim": np.stack([_read(env) for env in self.envs])} if known else {}),
            "elapsed": np.array(
                [getattr(_time_limit(env), "_elapsed_steps", None) or 0 for env in self.envs], np.int64
            ),
            "obs": self._buffer.copy(),
            "host": pack_host([env.unwrapped._np_random for env in self.envs], self._seeds),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `get_state`; without simulators every environment is at the beginning of a new episode, as
        after `reset`.

        Warns of such new episodes. Raises ValueError if the state belongs to another number of environments or another
        task.
        """
        if len(state["elapsed"]) != self.num_envs:
            raise ValueError(
                f"state has {len(state['elapsed'])} environments, this one {self.num_envs}: use the same n_envs"
            )
        generators, self._seeds = unpack_host(state["host"])
        for env, generator in zip(self.envs, generators, strict=True):
            env.reset()  # wrappers refuse to step an environment that was never reset
            env.unwrapped._np_random = generator
        if "sim" not in state:
            reason = unreadable(self.envs[0]) or "its state was not saved"
            warnings.warn(f"new episodes begin, since {reason}: a resumed run differs from one in one go", stacklevel=2)
            self.reset()
            return
        for env, row, elapsed in zip(self.envs, state["sim"], state["elapsed"], strict=True):
            _write(env, row)
            _time_limit(env)._elapsed_steps = int(elapsed)
        self._buffer[:] = state["obs"]


def _read(env: Env) -> np.ndarray:
    """The simulation of env as one float64 row."""
    inner: Any = env.unwrapped
    if isinstance(inner, (PointToy, SparseRoom)):
        return inner.state.copy()
    row = np.empty(mujoco.mj_stateSize(inner.model, STATE))
    mujoco.mj_getState(inner.model, inner.data, row, STATE)
    return np.concatenate((row, *(getattr(inner.data, name).reshape(-1) for name in CARRIED)))


def _write(env: Env, row: np.ndarray) -> None:
    """The inverse of `_read`."""
    inner: Any = env.unwrapped
    expected = _read(env).shape
    if row.shape != expected:
        raise ValueError(
            f"state rows have shape {row.shape}, expected {expected}: the state belongs to another environment"
        )
    if isinstance(inner, (PointToy, SparseRoom)):
        inner.state = row.copy()
        return
    fields = [getattr(inner.data, name).reshape(-1) for name in CARRIED]
    size = mujoco.mj_stateSize(inner.model, STATE)
    mujoco.mj_setState(inner.model, inner.data, row[:size].copy(), STATE)
    for field, values in zip(fields, np.split(row[size:], len(fields)), strict=True):
        field[:] = values


def _time_limit(env: Env) -> Any:
    """The TimeLimit wrapper of env, or a stand-in for environments without a limit."""
    return next((layer for layer in layers(env) if isinstance(layer, gym.wrappers.TimeLimit)), env)


def _at_bounds(actions: np.ndarray, space: Box) -> np.ndarray:
    """Actions whose bounds were rounded to float32 brought back to a float64 space's own; all others as they are."""
    if space.dtype == actions.dtype:
        return actions
    low, high = space.low.astype(actions.dtype), space.high.astype(actions.dtype)
    exact = np.where(actions == high, space.high, np.where(actions == low, space.low, actions))
    return exact if space.dtype == np.float64 else actions
