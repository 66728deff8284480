"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of a
soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the rest.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import demos
from gail_suite.algorithms.bc import BCConfig, Run, clone
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.learning.features import Features
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.pairs import demo_pairs
from gail_suite.learning.sac import SACConfig
from gail_suite.priors.behaviour import behaviour_of
from gail_suite.priors.bottleneck import bottlenecked, discriminator_of
from gail_suite.priors.latent_actions import actor_of
from gail_suite.priors.prior import Prior, PriorConfig, attached, keep_copies
from gail_suite.priors.shaping import Shaping
from gail_suite.priors.starts import starts_of
from gail_suite.priors.typicality import bonus_of
from gail_suite.runs.config import length, recorded
from gail_suite.runs.runlog import RunLog, forget_policy, refuse_used, stop_requested, write_run_files

DEFAULT_STEPS = 100_000
WARM_COPIES = 4
"""States around each demonstrated one in a warm start from a behaviour prior."""


@dataclass(frozen=True)
class GAILConfig:
    """GAIL with the off-policy generator; `OnPolicyGAIL` is the one with PPO or TRPO."""

    warm_start: bool = True
    """Start from behaviour cloning."""
    bc: BCConfig = field(default_factory=BCConfig)
    """The warm start."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """Discriminator and reward."""
    sac: SACConfig = field(
        default_factory=lambda: SACConfig(
            burn_in=3000, gamma=0.99, tune_alpha=True, lr_final=0.1, decay_start=0.5, average_rate=0.005
        )
    )
    """The learner."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Collection and housekeeping."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    """A generative model of the expert as a prior."""
    second_prior: PriorConfig = field(default_factory=PriorConfig)
    """Another one, for another use."""


class GAIL:
    """GAIL of `demonstrations` on `env_id`; checkpoints and metrics go to `run_dir` where given."""

    def __init__(
        self,
        env_id: str,
        demonstrations: demos.Demonstrations,
        config: GAILConfig | None = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
        device: str = "cpu",
    ):
        self.env_id, self.config, self.seed = env_id, config or GAILConfig(), seed
        self.run_dir = Path(run_dir) if run_dir is not None else None
        features, *expert = demo_pairs(env_id, demonstrations)
        self.demo_meta = dict(demonstrations.meta)
        self.total_steps = DEFAULT_STEPS
        self.priors = attached(self._prior_configs(), env_id)
        if self._prior("behaviour")[1].warm_start and not self.config.warm_start:
            raise ValueError(
                "prior.warm_start=true starts from the prior's actions, but warm_start=false starts from nothing: set one of them"
            )
        self._build(features, tuple(expert), device)
        if self.loop.bonus is not None:
            self._shape(self.loop.bonus(demonstrations.transitions(), np.zeros(0)))

    def _build(self, features: Features, expert: tuple[Tensor, ...], device: str = "cpu") -> None:
        c = self.config
        torch.manual_seed(self.seed)
        adversary, n_inputs = c.adversary, sum(e.shape[1] for e in expert[:2]) + c.adversary.absorbing
        encoder, limit = self._prior("bottleneck")
        net = discriminator_of(encoder, features, n_inputs)
        if net is not None:
            adversary = bottlenecked(adversary, limit)
        self.adversary = Adversary(expert, adversary, c.sac.batch_size, c.sac.gamma, net)
        self.adversary.behaviour = behaviour_of(*self._prior("behaviour"), features)
        if self.adversary.behaviour is not None and torch.device(device).type != "cpu":
            raise ValueError(
                f"a behaviour prior is evaluated on the processor, the learner would be on {device}: leave out --device"
            )
        self.loop = OffPolicyLoop(
            self.env_id,
            features,
            self.adversary,
            c.sac,
            c.loop,
            self.seed,
            self.run_dir,
            device,
            bonus_of(*self._prior("typicality"), c.sac.gamma),
            actor_of(*self._prior("latent-action")),
            partial(starts_of, *self._prior("start"), seed=self.seed),
        )

    def _prior_configs(self) -> dict[str, PriorConfig]:
        return {"prior": self.config.prior, "second_prior": self.config.second_prior}

    def _prior(self, use: str) -> tuple[Prior | None, PriorConfig]:
        """The run's prior for a use and its settings, none and the defaults where it has none."""
        for name, prior in self.priors.items():
            if prior.use == use:
                return prior, self._prior_configs()[name]
        return None, PriorConfig()

    def _shape(self, expert_bonus: np.ndarray) -> None:
        self.adversary.shaping = Shaping(self._prior("typicality")[1], torch.from_numpy(expert_bonus))

    @classmethod
    def resume(cls, run_dir: str | Path, device: str = "cpu") -> Any:
        """The run in `run_dir`, an `OnPolicyGAIL` if it was one, at its newest checkpoint; needs nothing else."""
        from gail_suite.runs.checkpoint import load_checkpoint

        run_dir = Path(run_dir)
        saved = json.loads((run_dir / "config.json").read_text())
        if "learner" in saved["config"]:
            from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL

            if device != "cpu":
                raise ValueError(f"the learner of {run_dir} trains on the processor: leave out --device {device}")
            return OnPolicyGAIL.resume(run_dir)
        self = cls.__new__(cls)
        self.env_id, self.seed, self.run_dir = saved["env_id"], saved["seed"], run_dir
        self.demo_meta, self.config = saved["demos"], recorded(GAILConfig(sac=SACConfig()), saved["config"])
        self.total_steps = saved["total_steps"]
        _, tensors, _ = load_checkpoint(run_dir / "checkpoints")
        names = ("features", "actions", "next_features", "terminated")
        expert = tuple(torch.from_numpy(np.array(tensors[f"objective/expert.{n}"])) for n in names)
        features = Features(*(np.array(tensors[f"features/{n}"]) for n in ("columns", "mean", "std")))
        self.priors = attached(self._prior_configs(), self.env_id, run_dir)
        self._build(features, expert, device)
        if self.loop.bonus is not None:
            self._shape(np.array(tensors["objective/expert.bonus"]))
        self.loop.load()
        return self

    def train(self, total_steps: int | None = None, eval_episodes: int = 20, quiet: bool = True) -> Run:
        """Trains to `total_steps` environment steps (100k unless resumed) and evaluates the averaged final policy."""
        total = self.total_steps = length(total_steps, self.total_steps)
        fresh = self.loop.current is None  # a run that was stopped after its warm start is at step 0 too
        if self.run_dir is None:
            self._warm_start(fresh, None)
            self.loop.train(total)
            return Run(self.loop.policy(), self._score(eval_episodes), None)
        if fresh:
            refuse_used(self.run_dir)
        with RunLog(self.run_dir, total, quiet=quiet) as log:
            write_run_files(
                self.run_dir,
                {
                    "algo": "gail",
                    "env_id": self.env_id,
                    "seed": self.seed,
                    "total_steps": total,
                    "demos": self.demo_meta,
                    "n_pairs": len(self.adversary.pairs),
                    "config": dataclasses.asdict(self.config),
                },
            )
            if fresh:
                keep_copies(self.priors, self.run_dir)
            forget_policy(self.run_dir)
            log.truncate_to(-1 if fresh else self.loop.steps)
            self._warm_start(fresh, log)
            self.loop.train(total, log)
            policy = self.loop.policy()
            if not stop_requested():  # a policy that is not the final one stays in the checkpoint
                policy.save(self.run_dir / "policy")
            return Run(policy, self._score(eval_episodes), self.run_dir)

    def _warm_start(self, fresh: bool, log: RunLog | None) -> None:
        if not (fresh and self.config.warm_start):
            return
        sac, adversary = self.loop.sac, self.adversary
        features, actions = adversary.features, adversary.actions
        if self._prior("behaviour")[1].warm_start and adversary.behaviour is not None:
            features, actions = adversary.behaviour.warm_start(features, WARM_COPIES, self.loop.generator)
        info = clone(sac.actor, features, actions, self.config.bc, self.loop.generator)
        sac.restart_average()
        row = info | {f"bc_{k}": v for k, v in self.loop.evaluate().items()}
        if log is not None:
            log.log(0, **row)

    def _score(self, episodes: int) -> float | None:
        from gail_suite.showing.evaluation import evaluate

        return evaluate(self.loop.policy(), self.env_id, n_episodes=episodes).score if episodes else None
