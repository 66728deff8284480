"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of a
soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gail_suite.algorithms.bc import BCConfig, clone
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.algorithms.trainer import Imitator
from gail_suite.learning.learned_reward import LearnedReward, discriminator_reward
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.sac import SACConfig
from gail_suite.priors.attach import PriorsConfig, attach, keep_copies
from gail_suite.priors.earlier import translated
from gail_suite.runs.config import recorded
from gail_suite.runs.runlog import RunLog

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
    priors: PriorsConfig = field(default_factory=PriorsConfig)
    """Generative models of the expert as priors."""


class GAIL(Imitator[GAILConfig]):
    """GAIL of `demonstrations` on `env_id` with an off-policy learner."""

    algo = "gail"
    default_steps = 100_000
    loop: OffPolicyLoop

    @classmethod
    def defaults(cls) -> GAILConfig:
        return GAILConfig()

    @classmethod
    def _recorded(cls, record: Mapping[str, Any], run_dir: Path) -> GAILConfig:
        return recorded(GAILConfig(sac=SACConfig()), translated(record["config"], run_dir))

    def _build(self) -> OffPolicyLoop:
        c, shown = self.config, self.shown
        if c.priors.behaviour.warm_start and c.priors.behaviour.active and not c.warm_start:
            raise ValueError(
                "priors.behaviour.warm_start=true starts from the prior's actions, but warm_start=false starts from nothing: "
                "set one of them"
            )
        n_inputs = shown.expert.together().shape[1] + c.adversary.absorbing
        a = attach(c.priors, shown, self.env_id, self.run_dir, n_inputs, c.sac.gamma, self.seed)
        if a.behaviour is not None and torch.device(self.device).type != "cpu":
            raise ValueError(
                f"a behaviour prior is evaluated on the processor, the learner would be on {self.device}: leave out --device"
            )
        torch.manual_seed(self.seed)
        self.attachments, self.objective = a, Adversary(shown.expert, c.adversary, c.sac.batch_size, c.sac.gamma, a)
        return OffPolicyLoop(
            self.env_id,
            shown.features,
            self.objective,
            c.sac,
            c.loop,
            self.seed,
            self.run_dir,
            self.device,
            a.bonus,
            a.make_actor,
            a.wrap_env,
            shown.arrays() | a.constants(),
        )

    def reward(self) -> LearnedReward:
        """What the discriminator gives, and what it makes of a termination; a prior's bonus is not part of it."""
        absorbing, termination = self.config.adversary.absorbing, self.objective.at_termination()
        return discriminator_reward(
            self.objective.learner, self.shown.features, self.provenance(), absorbing, termination
        )

    def _keep(self, run_dir: Path) -> None:
        keep_copies(self.attachments.priors, run_dir)

    def _begin(self, log: RunLog | None) -> None:
        if not (self.fresh and self.config.warm_start):
            return
        sac, expert, behaviour = self.loop.sac, self.shown.expert, self.objective.behaviour
        features, actions = expert.features, expert.actions
        if behaviour is not None and self.config.priors.behaviour.warm_start:
            features, actions = behaviour.warm_start(features, WARM_COPIES, self.loop.generator)
        info = clone(sac.actor, features, actions, self.config.bc, self.loop.generator)
        sac.restart_average()
        row = info | {f"bc_{k}": v for k, v in self.loop.evaluate().items()}
        if log is not None:
            log.log(0, **row)
