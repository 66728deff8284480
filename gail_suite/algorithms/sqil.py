"""Soft Q imitation learning (Reddy et al., 2020): soft actor-critic on 1 for the expert's steps and 0 for one's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from gail_suite.algorithms.imitator import Imitator
from gail_suite.learning.objectives import TaskReward
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.policies.keeping import KeepConfig
from gail_suite.learning.replay import Window
from gail_suite.learning.sac import LearnerInputs, SACConfig
from gail_suite.learning.shown.pairs import Pairs
from gail_suite.runs.config import Positive, Settings


@dataclass(frozen=True)
class SQILConfig(Settings):
    """SQIL: no discriminator, so nothing but the learner has settings."""

    steps: Positive = 100_000
    """Environment steps of a run that is told no other number."""
    sac: SACConfig = field(default_factory=lambda: SACConfig(n_step=1, tune_alpha=True))
    """The learner; one-step targets, since the expert's rows are single steps."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Collection and housekeeping."""
    keep: KeepConfig = field(default_factory=KeepConfig)
    """The best policy, beside the final one."""


class ConstantRewards(TaskReward):
    """The objective of SQIL, a `ReplayObjective`: each batch of the critic is half the agent's steps, with reward 0,
    and half the expert's, with reward 1.
    """

    def __init__(self, expert: Pairs, batch_size: int, gamma: float) -> None:
        super().__init__(scale=0.0)
        self.expert, self.batch_size, self.gamma = expert, batch_size, gamma

    @override
    def rewards(self, window: Window) -> Tensor:
        """Zeros (B, n)."""
        return torch.zeros_like(window.rewards)

    @override
    def learner_inputs(self, generator: torch.Generator) -> LearnerInputs:
        """As many of the expert's rows as of the agent's."""
        expert = self.expert[torch.randint(len(self.expert), (self.batch_size,), generator=generator)]
        discount = self.gamma * (1 - expert.terminated)
        rows = (expert.features, expert.actions, torch.ones(self.batch_size), discount, expert.next_features)
        return {"extra": rows}


class SQIL(Imitator[SQILConfig]):
    """SQIL of `demonstrations` on `env_id`."""

    algo = "sqil"
    loop: OffPolicyLoop

    @classmethod
    @override
    def defaults(cls) -> SQILConfig:
        return SQILConfig()

    @override
    def _build(self) -> OffPolicyLoop:
        c, shown = self.config, self.shown
        self.total_steps = c.steps
        objective = ConstantRewards(shown.expert, c.sac.batch_size, c.sac.gamma)
        return OffPolicyLoop(
            self.env_id,
            shown.features,
            objective,
            c.sac,
            c.loop,
            self.seed,
            self.run_dir,
            self.device,
            constants=shown.arrays(),
        )
