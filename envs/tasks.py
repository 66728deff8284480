"""Ant-v5 and Humanoid-v5 written over a batch: observations, rewards and infos of n simulations at once.

Each task repeats the arithmetic of Gymnasium's class operation by operation (same order, same dtypes), so that the
results are equal to the last bit; the constants are read from a Gymnasium environment, so its keyword arguments keep
their meaning.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from typing_extensions import override

Array = np.ndarray


class Columns:
    """One MjData field of n simulations gathered into rows of a (n, width) array with a single concatenation."""

    def __init__(self, views: Sequence[Sequence[Array]]) -> None:
        """views[i] lists the live one-dimensional arrays that make row i."""
        self._views = [view for row in views for view in row]
        self._shape = (len(views), sum(view.size for view in views[0]))

    def __call__(self) -> Array:
        """A fresh (n, width) copy of the current values."""
        return np.concatenate(self._views).reshape(self._shape)


class BatchTask:
    """What Gymnasium's task computes around the physics, over n simulations that share the template's model."""

    def __init__(self, template: Any, datas: Sequence[mujoco.MjData]) -> None:
        self.template = template
        self.datas = datas
        self._qpos = Columns([[data.qpos] for data in datas])
        self._qvel = Columns([[data.qvel] for data in datas])
        self._contacts = Columns([[data.cfrc_ext.reshape(-1)] for data in datas])

    def positions(self) -> Array:
        """(n, 2) positions whose difference over a step is the velocity that is rewarded."""
        raise NotImplementedError

    def observe(self) -> Array:
        """(n, O) float64 observations of the current state."""
        raise NotImplementedError

    def judge(self, before: Array, after: Array, actions: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Rewards (n,), terminated (n,) and the columns of the step infos, from positions before and after the step."""
        env = self.template
        velocity = (after - before) / env.dt
        qpos = self._qpos()
        healthy = self._healthy(qpos)
        forward = velocity[:, 0] * env._forward_reward_weight
        survive = healthy * env._healthy_reward
        ctrl, contact = self._control_cost(actions), self._contact_cost(self._contacts())
        info = {
            "x_position": qpos[:, 0],
            "y_position": qpos[:, 1],
            **self._extra_info(),
            # vecdot runs the same BLAS dot product as np.linalg.norm does on one vector
            "distance_from_origin": np.sqrt(np.vecdot(qpos[:, :2], qpos[:, :2])),
            "x_velocity": velocity[:, 0],
            "y_velocity": velocity[:, 1],
            "reward_forward": forward,
            "reward_ctrl": -ctrl,
            "reward_contact": -contact,
            "reward_survive": survive,
        }
        return (forward + survive) - (ctrl + contact), ~healthy & env._terminate_when_unhealthy, info

    def _healthy(self, qpos: Array) -> Array:
        raise NotImplementedError

    def _control_cost(self, actions: Array) -> Array:
        raise NotImplementedError

    def _contact_cost(self, contacts: Array) -> Array:
        raise NotImplementedError

    def _extra_info(self) -> dict[str, Array]:
        return {}


class AntTask(BatchTask):
    """Gymnasium's AntEnv (v5): torso position, contact forces clipped, control cost on the raw action."""

    def __init__(self, template: Any, datas: Sequence[mujoco.MjData]) -> None:
        super().__init__(template, datas)
        self._torso = Columns([[data.body(template._main_body).xpos[:2]] for data in datas])
        skip = 2 * template._exclude_current_positions_from_observation
        self._motion = Columns([[data.qpos[skip:], data.qvel] for data in datas])

    @override
    def positions(self) -> Array:
        return self._torso()

    @override
    def observe(self) -> Array:
        motion = self._motion()
        if not self.template._include_cfrc_ext_in_observation:
            return motion
        return np.concatenate((motion, self._clipped(self._contacts()[:, 6:])), axis=1)

    def _clipped(self, contacts: Array) -> Array:
        return np.clip(contacts, *self.template._contact_force_range)

    def _healthy(self, qpos: Array) -> Array:
        low, high = self.template._healthy_z_range
        finite = np.isfinite(qpos).all(axis=1) & np.isfinite(self._qvel()).all(axis=1)
        return finite & (low <= qpos[:, 2]) & (qpos[:, 2] <= high)

    def _control_cost(self, actions: Array) -> Array:
        return self.template._ctrl_cost_weight * np.square(actions).sum(axis=1)

    def _contact_cost(self, contacts: Array) -> Array:
        return self.template._contact_cost_weight * np.square(self._clipped(contacts)).sum(axis=1)


class HumanoidTask(BatchTask):
    """Gymnasium's HumanoidEnv (v5): mass centre, contact forces unclipped, control cost on the controls in float64."""

    def __init__(self, template: Any, datas: Sequence[mujoco.MjData]) -> None:
        super().__init__(template, datas)
        self._mass = template.model.body_mass.copy()
        self._total_mass = template.model.body_mass.sum()
        self._centres = Columns([[data.xipos.reshape(-1)] for data in datas])
        self._ctrl = Columns([[data.ctrl] for data in datas])
        self._tendon_length = Columns([[data.ten_length] for data in datas])
        self._tendon_velocity = Columns([[data.ten_velocity] for data in datas])
        self._observation = Columns([self._pieces(data) for data in datas])

    def _pieces(self, data: mujoco.MjData) -> list[Array]:
        env = self.template
        skip = 2 * env._exclude_current_positions_from_observation
        optional = (
            (env._include_cinert_in_observation, data.cinert[1:].reshape(-1)),
            (env._include_cvel_in_observation, data.cvel[1:].reshape(-1)),
            (env._include_qfrc_actuator_in_observation, data.qfrc_actuator[6:]),
            (env._include_cfrc_ext_in_observation, data.cfrc_ext[1:].reshape(-1)),
        )
        return [data.qpos[skip:], data.qvel, *(piece for include, piece in optional if include is True)]

    @override
    def positions(self) -> Array:
        centres = self._centres().reshape(len(self.datas), -1, 3)
        return (np.einsum("b,nbj->nj", self._mass, centres) / self._total_mass)[:, :2]

    @override
    def observe(self) -> Array:
        return self._observation()

    def _healthy(self, qpos: Array) -> Array:
        low, high = self.template._healthy_z_range
        return (low < qpos[:, 2]) & (qpos[:, 2] < high)

    def _control_cost(self, actions: Array) -> Array:
        return self.template._ctrl_cost_weight * np.square(self._ctrl()).sum(axis=1)

    def _contact_cost(self, contacts: Array) -> Array:
        cost = self.template._contact_cost_weight * np.square(contacts).sum(axis=1)
        return np.clip(cost, *self.template._contact_cost_range)

    def _extra_info(self) -> dict[str, Array]:
        return {"tendon_length": self._tendon_length(), "tendon_velocity": self._tendon_velocity()}


BATCH_TASKS: dict[str, type[BatchTask]] = {"Ant-v5": AntTask, "Humanoid-v5": HumanoidTask}
