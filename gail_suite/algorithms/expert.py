"""Training of new experts: SAC on the environment's own reward or on a learned one, optionally from an earlier policy.

RUN/given_reward    copy of the learned reward that the run was given, so that resuming needs nothing else
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from typing_extensions import override

from gail_suite import demos, envs
from gail_suite.algorithms.trainer import Trainer
from gail_suite.demos.policy import MlpPolicy
from gail_suite.demos.sealed import Json
from gail_suite.generative.core.backend import learning
from gail_suite.learning.networks import Actor
from gail_suite.learning.objectives import Given, GivenReward, TaskReward
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.rewards.learned_reward import LearnedReward, load_reward, save_reward
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.features import Features, fit_features, state_columns
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import Settings, recorded

GIVEN = "given_reward"
"""Folder of a run with the learned reward that it was given."""


@dataclass(frozen=True)
class ExpertConfig(Settings):
    """Expert training: SAC on the task's reward, or on a learned one."""

    reward: str | None = None
    """Learned reward to train on in place of the environment's: a finished run of GAIL or AIRL, or a folder of
    `save_reward`.
    """
    reward_scale: float | None = None
    """Factor on the reward; null: 0.1 on the task's and 1 on a learned one."""
    reward_cap: float | None = None
    """Reward of a step, before scaling, beyond which more counts as less, min(r, 2 cap - r): an expert that is to run
    at a speed and not as fast as it can learns not to fall."""
    warm_start: str | None = None
    """Policy to continue from: bundled, or a folder. Its actor is taken over; the critics start fresh."""
    sac: SACConfig = field(
        default_factory=lambda: SACConfig(tune_alpha=True, alpha=1.0, actor_lr=7e-4, lr_final=0.05, decay_start=0.5)
    )
    """The learner."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            updates_per_step=0.25,
            capacity=1_000_000,
            warm_up=8000,
            random_warm_up=True,
            eval_every=50_000,
            checkpoint_every=100_000,
            log_every=10_000,
        )
    )
    """Collection and housekeeping."""


class ExpertTrainer(Trainer[ExpertConfig]):
    """Trains an expert on `env_id`; its score is that of the environment's own reward, whatever it is trained on.

    Args:
        features: what a resumed run sees; a new one standardises what random actions, or the policy it starts from,
        visit.
    """

    algo = "expert"
    loop: OffPolicyLoop

    @learning()
    def __init__(
        self,
        env_id: str,
        config: ExpertConfig | None = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
        device: str = "cpu",
        features: Features | None = None,
    ) -> None:
        super().__init__(env_id, config or self.defaults(), seed, run_dir, device)
        self.given = self._given(features is None)
        if features is not None:
            self.loop = self._build(features)
            return
        start = starting_policy(env_id, self.config.warm_start)
        features = fit_features(observations(env_id, seed, start), state_columns(env_id))
        self.loop = self._build(features)
        if start is not None:
            load_actor(self.loop.sac.actor, start, features)
            self.loop.sac.restart_average()

    @classmethod
    @override
    def defaults(cls) -> ExpertConfig:
        return ExpertConfig()

    def _build(self, features: Features) -> OffPolicyLoop:
        c = self.config
        kind, bonus, scale = (TaskReward, None, 0.1) if self.given is None else (GivenReward, Given(self.given), 1.0)
        objective = kind(scale if c.reward_scale is None else c.reward_scale, c.reward_cap)
        return OffPolicyLoop(
            self.env_id, features, objective, c.sac, c.loop, self.seed, self.run_dir, self.device, bonus
        )

    def _given(self, new: bool) -> LearnedReward | None:
        """The learned reward to train on, from where the config says in a new run, else from the run's copy."""
        if self.config.reward is None:
            return None
        given = load_reward(self.config.reward if new or self.run_dir is None else self.run_dir / GIVEN)
        spec = envs.spec(self.env_id)
        given.check_widths(spec.obs_dim, spec.act_dim)
        return given

    def _keep(self, run_dir: Path) -> None:
        if self.given is not None:
            save_reward(self.given, run_dir / GIVEN)

    @classmethod
    def _of_record(cls, record: Json, saved: Saved, run_dir: Path, device: str) -> Self:
        config = recorded(ExpertConfig(sac=SACConfig(), loop=LoopConfig()), record["config"])
        return cls(record["env_id"], config, record["seed"], run_dir, device, Features.saved(saved.parts))


def starting_policy(env_id: str, source: str | None) -> MlpPolicy | None:
    """The policy named by `ExpertConfig.warm_start`."""
    if source is None:
        return None
    if Path(source).is_file():
        raise ValueError(
            f"{source} is a file, and an expert goes on from the folder of a policy: record it with gail-suite record, "
            "clone it with gail-suite train bc, and give RUN/policy"
        )
    return demos.expert(env_id) if source == "bundled" else MlpPolicy.load(Path(source))


def observations(env_id: str, seed: int, policy: MlpPolicy | None, n_steps: int = 500, n_envs: int = 8) -> np.ndarray:
    """Observations (n_steps * n_envs, O) under uniform random actions, or under a policy's stochastic ones."""
    env = envs.make_vec(env_id, n_envs=n_envs, seed=seed, infos="minimal")
    rng = np.random.default_rng(seed)
    if policy is not None:
        policy.seed(seed)
    seen = [env.reset()]
    for _ in range(n_steps - 1):
        if policy is None:
            actions = rng.uniform(env.action_space.low, env.action_space.high, (n_envs, *env.action_space.shape))
        else:
            actions = policy.predict(seen[-1])[0]
        seen.append(np.asarray(env.step(np.asarray(actions, np.float32))[0]))
    env.close()
    return np.concatenate(seen)


def load_actor(actor: Actor, policy: MlpPolicy, features: Features) -> None:
    """Makes an actor on `features` act as `policy` does: both input maps are affine, so the first layer absorbs their
    difference.

    Raises:
        ValueError: another kind of policy than the actor, layers of other shapes, or a column that the features hide.
    """
    t, linears = policy.tensors, [m for m in actor.trunk if isinstance(m, torch.nn.Linear)]
    if (
        "log_std.weight" not in t
        or "decoder.0.weight" in t
        or policy.meta["activation"] != "relu"
        or not policy.meta["squash"]
    ):
        raise ValueError(
            "the policy is no squashed Gaussian of relu layers whose deviation depends on the state, as this learner's "
            "is: start from an expert or a policy of off-policy GAIL or BC, or from scratch"
        )
    widths, wanted = (
        [t[name].shape[0] for name in sorted(t) if re.fullmatch(r"hidden\.\d+\.bias", name)],
        [m.out_features for m in linears],
    )
    if widths != wanted:
        raise ValueError(
            f"the policy's layers are {widths} wide and the learner's {wanted}: set sac.hidden={json.dumps(widths)}"
        )
    hidden = np.setdiff1d(np.flatnonzero(t["obs_scale"] * np.abs(t["hidden.0.weight"]).max(0)), features.columns)
    if len(hidden):
        raise ValueError(
            f"the policy reads {len(hidden)} observation columns that the learner drops (first: {hidden[0]}): "
            "start from a policy trained by this suite, or from scratch"
        )
    scaled = (t["hidden.0.weight"] * t["obs_scale"])[:, features.columns]
    shift = scaled @ (features.mean - t["obs_mean"][features.columns])
    values = [(scaled * features.std, t["hidden.0.bias"] + shift)]
    values += [(t[f"hidden.{i}.weight"], t[f"hidden.{i}.bias"]) for i in range(1, len(linears))]
    values += [
        (np.concatenate([t["mean.weight"], t["log_std.weight"]]), np.concatenate([t["mean.bias"], t["log_std.bias"]]))
    ]
    with torch.no_grad():
        for layer, (weight, bias) in zip([*linears, actor.head], values, strict=True):
            if layer.weight.shape != weight.shape:
                raise ValueError(
                    f"the policy's layer is {weight.shape} and the learner's {tuple(layer.weight.shape)}: "
                    "start from a policy of the same environment"
                )
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
            layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
