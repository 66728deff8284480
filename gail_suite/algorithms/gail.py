"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of a
soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gail_suite.algorithms.bc import BCConfig, clone
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.algorithms.trainer import Imitator
from gail_suite.learning.learned_reward import LearnedReward, discriminator_reward
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.sac import SACConfig
from gail_suite.priors.behaviour import behaviour_of
from gail_suite.priors.bottleneck import bottlenecked, discriminator_of
from gail_suite.priors.latent_actions import actor_of
from gail_suite.priors.prior import Prior, PriorConfig, attached, keep_copies
from gail_suite.priors.shaping import Shaping
from gail_suite.priors.starts import starts_of
from gail_suite.priors.typicality import bonus_of
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
    prior: PriorConfig = field(default_factory=PriorConfig)
    """A generative model of the expert as a prior."""
    second_prior: PriorConfig = field(default_factory=PriorConfig)
    """Another one, for another use."""


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
        return recorded(GAILConfig(sac=SACConfig()), record["config"])

    def _build(self) -> OffPolicyLoop:
        c, shown = self.config, self.shown
        self.priors = attached(self._prior_configs(), self.env_id, None if shown.demonstrations else self.run_dir)
        if self._prior("behaviour")[1].warm_start and not c.warm_start:
            raise ValueError(
                "prior.warm_start=true starts from the prior's actions, but warm_start=false starts from nothing: set one of them"
            )
        torch.manual_seed(self.seed)
        adversary, n_inputs = c.adversary, shown.expert.together().shape[1] + c.adversary.absorbing
        encoder, limit = self._prior("bottleneck")
        net = discriminator_of(encoder, shown.features, n_inputs)
        if net is not None:
            adversary = bottlenecked(adversary, limit)
        self.objective = Adversary(shown.expert, adversary, c.sac.batch_size, c.sac.gamma, net)
        self.objective.behaviour = behaviour_of(*self._prior("behaviour"), shown.features)
        if self.objective.behaviour is not None and torch.device(self.device).type != "cpu":
            raise ValueError(
                f"a behaviour prior is evaluated on the processor, the learner would be on {self.device}: leave out --device"
            )
        bonus = bonus_of(*self._prior("typicality"), c.sac.gamma)
        constants = shown.arrays()
        if bonus is not None:
            expert = bonus(shown.demonstrations.transitions()) if shown.demonstrations else shown.bonus
            assert expert is not None
            constants["expert.bonus"] = expert
            self.objective.shaping = Shaping(self._prior("typicality")[1], torch.from_numpy(expert))
        return OffPolicyLoop(
            self.env_id,
            shown.features,
            self.objective,
            c.sac,
            c.loop,
            self.seed,
            self.run_dir,
            self.device,
            bonus,
            actor_of(*self._prior("latent-action")),
            partial(starts_of, *self._prior("start"), seed=self.seed),
            constants,
        )

    def _prior_configs(self) -> dict[str, PriorConfig]:
        return {"prior": self.config.prior, "second_prior": self.config.second_prior}

    def _prior(self, use: str) -> tuple[Prior | None, PriorConfig]:
        """The run's prior for a use and its settings, none and the defaults where it has none."""
        for name, prior in self.priors.items():
            if prior.use == use:
                return prior, self._prior_configs()[name]
        return None, PriorConfig()

    def reward(self) -> LearnedReward:
        """What the discriminator gives, and what it makes of a termination; a prior's bonus is not part of it."""
        absorbing, termination = self.config.adversary.absorbing, self.objective.at_termination()
        return discriminator_reward(
            self.objective.learner, self.shown.features, self.provenance(), absorbing, termination
        )

    def _keep(self, run_dir: Path) -> None:
        keep_copies(self.priors, run_dir)

    def _begin(self, log: RunLog | None) -> None:
        if not (self.fresh and self.config.warm_start):
            return
        sac, expert, behaviour = self.loop.sac, self.shown.expert, self.objective.behaviour
        features, actions = expert.features, expert.actions
        if self._prior("behaviour")[1].warm_start and behaviour is not None:
            features, actions = behaviour.warm_start(features, WARM_COPIES, self.loop.generator)
        info = clone(sac.actor, features, actions, self.config.bc, self.loop.generator)
        sac.restart_average()
        row = info | {f"bc_{k}": v for k, v in self.loop.evaluate().items()}
        if log is not None:
            log.log(0, **row)
