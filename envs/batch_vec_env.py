"""Ant-v5 and Humanoid-v5 stepped on native threads, equal to the last bit to Gymnasium's tasks stepped one by one.

Every environment is one MjData of a shared model. `mj_step` and `mj_rnePostConstraint` release the interpreter's lock,
so a few Python threads drive them in parallel, and everything around the physics is NumPy over all environments at once
(`envs.tasks`). `mujoco.batch.Batch` gives the same bits; it cannot compute the contact forces of the tasks'
observations after an RK4 step, and copying each simulation out for it cost 5 to 12 % of the step (2 cores, 8 and 64
environments).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
from typing_extensions import override

from gail_suite.envs.common import Env, Info, broken, check_actions, pack_host, unpack_host
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.envs.starts import put
from gail_suite.envs.tasks import BATCH_TASKS

STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class BatchVecEnv(SavableVecEnv):
    """SB3 VecEnv over n simulations of one MuJoCo task, with the semantics and the bits of SB3's DummyVecEnv.

    With `n_threads` > 1 the physics begins at `step_async`, on threads other than the caller's, and the caller joins at
    `step_wait`. `infos="minimal"` leaves out the task's own info keys (`TimeLimit.truncated` and `terminal_observation`
    stay).
    """

    def __init__(
        self,
        env_id: str,
        n_envs: int,
        n_threads: int = 1,
        infos: Literal["full", "minimal"] = "full",
        **kwargs: Any,
    ) -> None:
        """Raise ValueError for a task without a batched form; kwargs are those of `gymnasium.make`."""
        if env_id not in BATCH_TASKS:
            raise ValueError(f"engine 'batch' steps {' and '.join(BATCH_TASKS)}, not {env_id}: use engine='gymnasium'")
        if infos not in ("full", "minimal"):
            raise ValueError(f"infos is {infos!r}; choose 'full' or 'minimal'")
        self._env: Env = gym.make(env_id, **kwargs)
        # one Gymnasium environment serves every simulation: its data and generator are swapped in for resets
        template = self._env.unwrapped
        assert isinstance(template, MujocoEnv)
        self._template, self._model = template, template.model
        self._datas = [mujoco.MjData(self._model) for _ in range(n_envs)]
        self._generators: list[np.random.Generator | None] = [None] * n_envs
        super().__init__(n_envs, self._env.observation_space, self._env.action_space)
        self.metadata = self._env.metadata
        self._task = BATCH_TASKS[env_id](self._template, self._datas)
        self._controls = [data.ctrl for data in self._datas]
        self._horizon = getattr(self._env.spec, "max_episode_steps", None) or np.iinfo(np.int64).max
        self._full_infos = infos == "full"
        self._elapsed = np.zeros(n_envs, np.int64)
        self._positions = np.zeros((n_envs, 2))
        self._obs = np.zeros((n_envs, *self._env.observation_space.shape))  # type: ignore[misc]
        self._helpers = max(0, min(n_threads, n_envs) - 1)
        self._pool = ThreadPoolExecutor(self._helpers, "batch-vec-env") if self._helpers else None
        self._pending: list[Future[None]] = []
        self._queue: Iterator[int] = iter(())

    # --- stepping ---

    def step_async(self, actions: np.ndarray) -> None:
        """Start the physics for actions (n, A); ValueError for a wrong shape or a non-finite value."""
        actions = np.asarray(actions)
        check_actions(actions, (self.num_envs, *self.action_space.shape))  # type: ignore[misc]
        self._actions = actions
        for control, action in zip(self._controls, actions, strict=True):
            control[:] = action
        self._queue = iter(range(self.num_envs))
        if self._pool is not None:
            self._pending = [self._pool.submit(self._simulate, self._queue) for _ in range(self._helpers)]

    def _simulate(self, queue: Iterator[int]) -> None:
        """Step simulations until the shared queue is empty (advancing a range iterator is atomic)."""
        model, datas, frames = self._model, self._datas, self._template.frame_skip
        for i in queue:
            mujoco.mj_step(model, datas[i], nstep=frames)
            mujoco.mj_rnePostConstraint(model, datas[i])

    @override
    def step_wait(self) -> VecEnvStepReturn:
        self._simulate(self._queue)
        for future in self._pending:
            future.result()
        after = self._task.positions()
        rewards, terminated, columns = self._task.judge(self._positions, after, self._actions)
        obs = self._task.observe()
        bad = broken(obs, self.mends)
        obs[bad], rewards[bad], terminated[bad] = self._obs[bad], 0, False
        self._elapsed += 1
        truncated = (self._elapsed >= self._horizon) & ~terminated
        truncated[bad] = True
        dones = terminated | truncated
        infos = self._infos(columns, truncated)
        for i in np.flatnonzero(dones).tolist():
            infos[i]["terminal_observation"] = obs[i].copy()
            obs[i] = self._reset_one(i)
        self._positions = self._task.positions() if dones.any() else after
        self._obs = obs
        return obs.copy(), rewards.astype(np.float32), dones, infos

    def _infos(self, columns: dict[str, np.ndarray], truncated: np.ndarray) -> list[Info]:
        flags = truncated.tolist()
        if not self._full_infos:
            return [{"TimeLimit.truncated": flag} for flag in flags]
        keys = (*columns, "TimeLimit.truncated")
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns.values(), flags, strict=True)]

    # --- resetting ---

    def reset(self) -> np.ndarray:
        """Reset all; environment i takes seed + i after `seed(seed)`, later resets continue its generator."""
        for i in range(self.num_envs):
            self._obs[i] = self._reset_one(i, self._seeds[i])
        self._positions = self._task.positions()
        self._reset_seeds()
        self._reset_options()
        return self._obs.copy()

    def _reset_one(self, i: int, seed: int | None = None) -> np.ndarray:
        env = self._select(i)
        obs, self.reset_infos[i] = env.reset(seed=seed)
        self._generators[i] = env._np_random
        self._elapsed[i] = 0
        return obs

    def begin_at(self, i: int, obs: np.ndarray) -> np.ndarray | None:
        """A new episode of environment i in the state that `obs` (O,) shows: the observation there, None as for
        `envs.starts.put`.
        """
        found = put(self._select(i), obs)
        if found is not None:
            self._elapsed[i], self._obs[i] = 0, found
            self._positions[i] = self._task.positions()[i]
        return found

    def reset_one(self, i: int) -> np.ndarray:
        """A new episode of environment i alone, from its own generator: the observation it begins with."""
        self._obs[i] = self._reset_one(i)
        self._positions[i] = self._task.positions()[i]
        return self._obs[i].copy()

    def _select(self, i: int) -> MujocoEnv:
        """The template, standing for environment i."""
        self._template.data = self._datas[i]
        self._template._np_random = self._generators[i]
        return self._template

    # --- exact resume ---

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on: simulators, generators, step counters, last observations."""
        sims = np.empty((self.num_envs, mujoco.mj_stateSize(self._model, STATE)))
        for data, row in zip(self._datas, sims, strict=True):
            mujoco.mj_getState(self._model, data, row, STATE)
        return {
            "sim": sims,
            "positions": self._positions.copy(),
            "elapsed": self._elapsed.copy(),
            "obs": self._obs.copy(),
            "host": pack_host(self._generators, self._seeds),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `get_state`, bit for bit; ValueError if it belongs to another task or number of
        environments.
        """
        expected = (self.num_envs, mujoco.mj_stateSize(self._model, STATE))
        if state["sim"].shape != expected:
            raise ValueError(
                f"state has simulators {state['sim'].shape}, expected {expected}: use the env it came from"
            )
        for data, row in zip(self._datas, np.ascontiguousarray(state["sim"]), strict=True):
            mujoco.mj_setState(self._model, data, row, STATE)
        self._positions, self._elapsed = state["positions"].copy(), state["elapsed"].copy()
        self._obs = state["obs"].copy()
        self._generators, self._seeds = unpack_host(state["host"])

    # --- the rest of the VecEnv interface ---

    @override
    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._env.close()

    @override
    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        return [self._attribute(i, attr_name) for i in self._get_indices(indices)]

    def _attribute(self, i: int, name: str) -> Any:
        self._select(i)
        return self._env.get_wrapper_attr(name)

    @override
    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError(
            "environments of engine 'batch' share one task: use engine='gymnasium' to set attributes"
        )

    @override
    def env_method(
        self, method_name: str, *args: object, indices: VecEnvIndices = None, **kwargs: object
    ) -> list[object]:
        return [self._attribute(i, method_name)(*args, **kwargs) for i in self._get_indices(indices)]

    @override
    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    @override
    def get_images(self) -> Sequence[np.ndarray | None]:
        return [None] * self.num_envs
