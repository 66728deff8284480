"""Adversarial imitation with an on-policy learner, and GAIL as Ho and Ermon (2016) wrote it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from typing_extensions import override

from gail_suite.algorithms.imitator import Imitator
from gail_suite.algorithms.trainer import NO_END
from gail_suite.learning.onpolicy import Cadence, OnPolicyLoop, RolloutObjective
from gail_suite.learning.policies.keeping import KeepConfig
from gail_suite.learning.rewards.discriminators import LogitConfig, LogitLearner
from gail_suite.learning.rewards.learned_reward import LearnedReward, discriminator_reward
from gail_suite.learning.sb3 import OnPolicyConfig, trpo_paper
from gail_suite.learning.shown.pairs import Pairs
from gail_suite.runs.config import Count, Layers, NonNegative, Positive, Settings


@dataclass(frozen=True)
class DiscriminatorConfig(LogitConfig):
    """A discriminator trained on each batch of an on-policy learner."""

    hidden: Layers = (100, 100)
    """Width of the layers (tanh)."""
    updates: Positive = 32
    """Gradient steps after each batch."""
    batch_size: Count = 256
    """Pairs of each class in a step; 0 takes all of both."""
    penalty_target: NonNegative = 1.0
    """Gradient norm that the penalty asks for (Gulrajani et al., 2017)."""


class OnPolicyRunConfig(Settings):
    """What the configs of on-policy runs share."""

    learner: OnPolicyConfig
    cadence: Cadence


@dataclass(frozen=True)
class OnPolicyGAILConfig(OnPolicyRunConfig):
    """GAIL with an on-policy generator."""

    learner: OnPolicyConfig = field(default_factory=OnPolicyConfig)
    """PPO or TRPO and its constants."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """Discriminator and reward."""
    cadence: Cadence = field(default_factory=Cadence)
    """Evaluations and checkpoints."""
    keep: KeepConfig = field(default_factory=KeepConfig)
    """The best policy, beside the final one."""


def onpolicy_config(generator: str) -> OnPolicyGAILConfig:
    """The defaults of a generator: ppo, or trpo with the settings of Ho and Ermon (2016).

    Deviation from the paper's: inputs are the task's positions and velocities, standardised by the demonstrations.
    """
    if generator != "trpo":
        return OnPolicyGAILConfig(OnPolicyConfig(generator=generator))
    paper = DiscriminatorConfig(lr=0.01, updates=1, batch_size=0, gradient_penalty=0.0, entropy=1e-3, reward_clip=100.0)
    return OnPolicyGAILConfig(trpo_paper(), paper)


class PairDiscriminator:
    """The objective of on-policy GAIL: logits_expert_is_high(s, a) and the reward made of it."""

    def __init__(self, expert: Pairs, config: DiscriminatorConfig, seed: int) -> None:
        self.config, self.expert = config, expert.together()
        self.learner = LogitLearner(self.expert.shape[1], config, paired=False)
        self.generator = torch.Generator().manual_seed(seed)

    def rewards(self, pairs: Pairs, policy: ActorCriticPolicy) -> Tensor:
        """(N,) of what was collected."""
        return self.learner.rewards(pairs.together())

    def update(self, agent: Pairs, policy: ActorCriticPolicy) -> dict[str, Tensor]:
        """`updates` steps of the discriminator; both classes weigh the same."""
        pairs = agent.together()
        for _ in range(self.config.updates):
            info, _ = self.learner.step(self._some(self.expert), self._some(pairs), self.generator)
        return info

    def _some(self, pairs: Tensor) -> Tensor:
        n = self.config.batch_size
        return pairs if n == 0 else pairs[torch.randint(len(pairs), (n,), generator=self.generator)]

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {**self.learner.state(), "rng": self.generator.get_state().numpy().copy()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.learner.load_state(arrays)
        self.generator.set_state(torch.from_numpy(np.array(arrays["rng"])))


C_co = TypeVar("C_co", bound=OnPolicyRunConfig, covariant=True)


class OnPolicyImitator(Imitator[C_co]):
    """What on-policy GAIL and AIRL share: an objective that learns from each batch of PPO or TRPO, on the processor."""

    loop: OnPolicyLoop
    objective: RolloutObjective

    def _build(self) -> OnPolicyLoop:
        if self.device != "cpu":
            raise ValueError(f"an on-policy learner trains on the processor: leave out --device {self.device}")
        torch.manual_seed(self.seed)
        self.objective = self._objective()
        return OnPolicyLoop(
            self.env_id,
            self.shown.features,
            self.objective,
            self.config.learner,
            self.config.cadence,
            self.seed,
            self.run_dir,
            self.shown.arrays(),
        )

    @abstractmethod
    def _objective(self) -> RolloutObjective:
        """The reward to be learned."""

    def _end(self, total_steps: int | None, budget_s: float | None) -> int:
        return NO_END if total_steps is None and budget_s is not None else self.total_steps


class OnPolicyGAIL(OnPolicyImitator[OnPolicyGAILConfig]):
    """GAIL of `demonstrations` on `env_id` with PPO or TRPO (Ho and Ermon, 2016)."""

    algo = "gail"
    objective: PairDiscriminator

    @classmethod
    @override
    def defaults(cls) -> OnPolicyGAILConfig:
        return OnPolicyGAILConfig()

    def _objective(self) -> PairDiscriminator:
        return PairDiscriminator(self.shown.expert, self.config.discriminator, self.seed)

    @override
    def reward(self) -> LearnedReward:
        return discriminator_reward(self.objective.learner, self.shown.features, self.provenance())
