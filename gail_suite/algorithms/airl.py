"""Adversarial inverse reinforcement learning (Fu, Luo and Levine, 2018): a reward that can be kept and reused."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium.spaces import Discrete
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from typing_extensions import override

from gail_suite.algorithms.gail_onpolicy import OnPolicyImitator, OnPolicyRunConfig
from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.networks import Discriminator
from gail_suite.learning.onpolicy import Cadence
from gail_suite.learning.policies.keeping import KeepConfig
from gail_suite.learning.rewards.learned_reward import LearnedReward
from gail_suite.learning.rewards.losses import gail_loss
from gail_suite.learning.rewards.of_logits import reward_fn
from gail_suite.learning.sb3 import OnPolicyConfig
from gail_suite.learning.shown.actions import action_bounds
from gail_suite.learning.shown.pairs import Pairs
from gail_suite.runs.config import Above0, Layers, NonNegative, Positive

__all__ = ["AIRL", "AIRLConfig", "ShapedReward"]


@dataclass(frozen=True)
class AIRLConfig(OnPolicyRunConfig):
    """AIRL; the learner's constants are those of on-policy GAIL."""

    learner: OnPolicyConfig = field(default_factory=OnPolicyConfig)
    """PPO or TRPO and its constants."""
    cadence: Cadence = field(default_factory=Cadence)
    """Evaluations and checkpoints."""
    keep: KeepConfig = field(default_factory=KeepConfig)
    """The best policy, beside the final one."""
    state_only: bool = False
    """The reward depends on the state alone, so that it survives a change of dynamics."""
    hidden: Layers = (100, 100)
    """Width of the layers of reward and shaping (tanh)."""
    lr: NonNegative = 3e-4
    """Adam rate of both."""
    updates: Positive = 32
    """Gradient steps after each batch."""
    batch_size: Positive = 256
    """Pairs of each class in a step."""
    weight_decay: NonNegative = 1e-3
    """Decoupled weight decay, which keeps the unbounded logits small."""
    reward: str = "gail"
    """Form of the policy's reward: airl, log D - log(1 - D), is the paper's, for tasks that do not end early; gail,
    -log(1 - D), stays positive, so that falling does not pay."""
    reward_clip: Above0 = 10.0
    """Bound on the reward's absolute value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        reward_fn(self.reward)


class ShapedReward:
    """The objective of AIRL, a `RolloutObjective`.

    f(s, a, s') = g(s[, a]) + gamma h(s') - h(s), with h(s') = 0 where the task ended;
    D = exp f / (exp f + pi(a|s)), so the logit (expert is high) is f - log pi(a|s); the paper's reward for
    the policy is log D - log(1 - D) = f - log pi(a|s), the default here -log(1 - D) (see `AIRLConfig.reward`). Logits
    for actions cut to the bounds use the density at the cut action, for both classes alike.
    """

    def __init__(self, expert: Pairs, config: AIRLConfig, gamma: float, seed: int) -> None:
        self.expert, self.config, self.gamma = expert, config, gamma
        n_features, n_actions = expert.features.shape[1], expert.actions.shape[1]
        self.g = Discriminator(n_features + (0 if config.state_only else n_actions), config.hidden)
        self.h = Discriminator(n_features, config.hidden)
        parameters = [*self.g.parameters(), *self.h.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
        self.reward = reward_fn(config.reward, config.reward_clip)
        self.generator = torch.Generator().manual_seed(seed)

    def shaped(self, pairs: Pairs) -> Tensor:
        """f(s, a, s'), (N,)."""
        inputs = pairs.features if self.config.state_only else pairs.together()
        after = (1 - pairs.terminated) * self.h(pairs.next_features)
        return self.g(inputs) + self.gamma * after - self.h(pairs.features)

    def logits(self, pairs: Pairs, policy: ActorCriticPolicy) -> Tensor:
        """f - log pi(a|s) under SB3's `policy`, (N,)."""
        with torch.no_grad():
            chosen = pairs.actions.argmax(-1) if isinstance(policy.action_space, Discrete) else pairs.actions
            log_prob = policy.get_distribution(pairs.features).log_prob(chosen)
        return self.shaped(pairs) - log_prob

    @torch.no_grad()
    def rewards(self, pairs: Pairs, policy: ActorCriticPolicy) -> Tensor:
        """The reward form of the logits, (N,)."""
        return self.reward(self.logits(pairs, policy))

    def update(self, agent: Pairs, policy: ActorCriticPolicy) -> dict[str, Tensor]:
        """`updates` steps of cross-entropy on the logits; the policy's probabilities are those after its own update."""
        for _ in range(self.config.updates):
            logits = self.logits(self._some(self.expert), policy), self.logits(self._some(agent), policy)
            loss, info = gail_loss(*logits)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
        return info

    def _some(self, pairs: Pairs) -> Pairs:
        return pairs[torch.randint(len(pairs), (self.config.batch_size,), generator=self.generator)]

    def state(self) -> dict[str, np.ndarray]:
        """Networks, optimiser and random generator, for a checkpoint."""
        nets = {**module_arrays(self.g, "g"), **module_arrays(self.h, "h")}
        return {**nets, **optimiser_arrays(self.optimiser, "optim"), "rng": self.generator.get_state().numpy().copy()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        load_module_arrays(self.g, arrays, "g")
        load_module_arrays(self.h, arrays, "h")
        load_optimiser_arrays(self.optimiser, arrays, "optim")
        self.generator.set_state(torch.from_numpy(np.array(arrays["rng"])))


class AIRL(OnPolicyImitator[AIRLConfig]):
    """AIRL of `demonstrations` on `env_id`; `reward()` is the learned g, without the shaping, in the form of the
    policy's reward.
    """

    algo = "airl"
    objective: ShapedReward

    @classmethod
    @override
    def defaults(cls) -> AIRLConfig:
        return AIRLConfig()

    def _objective(self) -> ShapedReward:
        return ShapedReward(self.shown.expert, self.config, self.config.learner.gamma, self.seed)

    @override
    def reward(self) -> LearnedReward:
        c = self.config
        shape = {"hidden": list(c.hidden), "activation": "tanh", "state_only": c.state_only}
        meta = {"form": c.reward, "clip": c.reward_clip, **shape, **self.provenance()}
        return LearnedReward(self.objective.g, self.shown.features, *action_bounds(self.env_id), meta)
