"""The objective of GAIL: a discriminator that keeps learning, and what it gives to an off-policy learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gail_suite.learning.discriminators import BottleneckDiscriminator, LogitConfig, make_discriminator
from gail_suite.learning.dual import Dual
from gail_suite.learning.losses import bernoulli_entropy, gail_loss, gradient_penalty
from gail_suite.learning.replay import Replay, Window
from gail_suite.learning.rewards import reward_fn
from gail_suite.learning.sac import bc_loss, load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.priors.behaviour import Behaviour
from gail_suite.priors.shaping import Shaping
from gail_suite.runs.config import at_least, has_layers, within

Term = tuple[Tensor, dict[str, Tensor]]
"""A scalar added to a loss, and what to report."""


@dataclass(frozen=True)
class AdversaryConfig(LogitConfig):
    """The discriminator and the reward it gives."""

    hidden: tuple[int, ...] = (128, 128)
    """Width of the discriminator's layers."""
    lr: float = 3e-4
    """Adam rate."""
    lr_final: float = 0.1
    """Factor the rate has reached at the end of the run (linear)."""
    every: int = 2
    """Policy updates per discriminator update."""
    batch_size: int = 128
    """Expert pairs, and as many of the agent's, in a batch."""
    recent: int = 100_000
    """Agent pairs are drawn from this many last transitions."""
    gradient_penalty: float = 1.0
    """Weight of the gradient penalty at the start."""
    gradient_penalty_final: float | None = None
    """The same at the end (linear); none keeps it constant."""
    penalty_target: float = 0.0
    """Gradient norm that the penalty asks for. With 0 the discriminator can become flat where policy and expert agree
    (Mescheder et al., 2018)."""
    expert_share: float = 0.25
    """Share of expert pairs in critic batches at the start."""
    expert_share_final: float = 0.1
    """The same at the end (linear)."""
    bc_weight: float = 1.0
    """Weight of the BC term in the actor's loss at the start."""
    bc_weight_final: float = 1.0
    """The same at the end (linear)."""
    absorbing: bool = False
    """After a termination, the reward of an absorbing state for ever instead of nothing (Kostrikov et al., 2019)."""
    termination_cost: float = 0.0
    """What a termination takes away at the start, in returns of an agent that is rewarded like the expert for ever."""
    termination_cost_final: float = 0.0
    """The same at the end (linear)."""
    bound_targets: bool = True
    """Clip critic targets to the return attainable with rewards as large as the expert's."""

    def __post_init__(self) -> None:
        has_layers(self)
        at_least(self, 1, "every", "batch_size", "recent")
        at_least(
            self,
            0,
            "lr",
            "gradient_penalty",
            "gradient_penalty_final",
            "bc_weight",
            "bc_weight_final",
            "termination_cost",
            "termination_cost_final",
        )
        within(self, "expert_share", "expert_share_final")


class Adversary:
    """The objective of GAIL: rewards of a discriminator that keeps learning."""

    def __init__(
        self,
        expert: tuple[Tensor, ...],
        config: AdversaryConfig,
        batch_size: int,
        gamma: float,
        net: BottleneckDiscriminator | None = None,
    ):
        """`net` is a discriminator to start from (a prior's); without one it is new."""
        if config.absorbing and (config.termination_cost or config.termination_cost_final):
            raise ValueError(
                "adversary.absorbing says what a termination is worth, so adversary.termination_cost cannot: set one of them"
            )
        if not gamma < 1:
            raise ValueError(
                f"sac.gamma is below 1 here, since critic targets are bounded by what is attainable for ever, got {gamma}"
            )
        self.config, self.gamma = config, gamma
        self.features, self.actions, self.next_features, self.terminated = expert
        self.pairs = self._pairs(self.features, self.actions)
        self.absorbing_pair = torch.zeros(1, self.pairs.shape[1])
        self.absorbing_pair[:, -1] = 1
        self.net = net or make_discriminator(
            self.pairs.shape[1], config.hidden, config.bottleneck, config.latent, config.dropout
        )
        self.dual = Dual(config.bottleneck, config.dual_rate) if config.bottleneck > 0 else None
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=config.lr, fused=True)
        self.reward = reward_fn(config.reward, config.reward_clip)
        self.batch_size = batch_size
        self.shaping: Shaping | None = None
        self.behaviour: Behaviour | None = None
        self.fraction, self.calls, self.expert_reward = 0.0, 0, float(self.reward(torch.zeros(())))

    def set_progress(self, fraction: float) -> None:
        """Sets the schedules for a run that is `fraction` in [0, 1] done."""
        self.fraction = fraction
        self.optimiser.param_groups[0]["lr"] = self.config.lr * self._between(1.0, self.config.lr_final)
        if self.shaping is not None:
            self.shaping.set_progress(fraction)

    def _between(self, start: float, end: float) -> float:
        return start + (end - start) * self.fraction

    def _pairs(self, features: Tensor, actions: Tensor) -> Tensor:
        """The discriminator's inputs: (s, a), and where absorbing states are used a last column that is 1 in those alone."""
        parts = [features, actions]
        return torch.cat([*parts, torch.zeros_like(actions[..., :1])] if self.config.absorbing else parts, -1)

    def _followed(self, pairs: Tensor, terminated: Tensor) -> Tensor:
        """The pairs, and one absorbing pair for each of them that ended an episode."""
        return torch.cat([pairs, self.absorbing_pair.expand(int(terminated.sum()), -1)])

    def _completed(self, rewards: Tensor, terminated: Tensor, bonus: Tensor | None) -> Tensor:
        """Rewards with what follows a termination, and with the prior's bonus.

        After a termination comes the absorbing reward for ever, discounted to the step that ends; it is the discriminator's, so a
        bonus takes its share of it. A termination's cost is counted in rewards as the learner sees them, bonus and all.
        """
        if self.config.absorbing:
            rewards = rewards + terminated * (
                self.gamma / (1 - self.gamma) * self.reward(self.net(self.absorbing_pair))
            )
        if self.shaping is not None:
            assert bonus is not None
            rewards = self.shaping(rewards, bonus)
        cost = self._termination_cost()
        return rewards - terminated * (cost * self._greatest_return()) if cost > 0 else rewards

    def _greatest_return(self) -> float:
        """Of an agent that is rewarded like the expert for ever."""
        reward = self.expert_reward if self.shaping is None else self.shaping.reward(self.expert_reward)
        return max(reward, 1e-3) / (1 - self.gamma)

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """One discriminator step on every `every`-th call: cross-entropy, bottleneck, gradient penalty, entropy."""
        self.calls += 1
        if self.calls % self.config.every:
            return {}
        expert, agent, seen = self._batch(replay, generator)
        logits, nats = self.net.training_logits(torch.cat(seen), generator)
        logits_expert, logits_agent = logits.split([len(part) for part in seen])
        terms = [gail_loss(logits_expert, logits_agent)]
        if self.dual is not None and nats is not None:
            terms.append(self._bottleneck(self.dual, nats.mean()))
        weight = self._penalty_weight()
        if weight > 0:
            terms.append(self._gradient_penalty(weight, expert, agent, generator))
        if self.config.entropy > 0:
            terms.append((-self.config.entropy * bernoulli_entropy(torch.cat([logits_expert, logits_agent])), {}))
        loss, info = added(terms)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self._track_expert_reward(expert, logits_expert)
        return info

    def _batch(self, replay: Replay, generator: torch.Generator) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Pairs of the expert, as many of the agent, and the two with the absorbing pairs that follow them."""
        c = self.config
        rows = torch.randint(len(self.pairs), (c.batch_size,), generator=generator)
        window = replay.sample(c.batch_size, 1, generator, c.recent)
        expert, agent = self.pairs[rows], self._pairs(window.features[:, 0], window.actions[:, 0])
        if not c.absorbing:
            return expert, agent, [expert, agent]
        return (
            expert,
            agent,
            [self._followed(expert, self.terminated[rows]), self._followed(agent, window.terminated[:, 0])],
        )

    @staticmethod
    def _bottleneck(dual: Dual, nats: Tensor) -> Term:
        """What the nats that the discriminator knows of a pair cost."""
        penalty = dual.penalty(nats)
        return penalty, {"disc_nats": nats.detach(), "disc_beta": torch.tensor(dual.beta)}

    def _termination_cost(self) -> float:
        return self._between(self.config.termination_cost, self.config.termination_cost_final)

    def _penalty_weight(self) -> float:
        start, end = self.config.gradient_penalty, self.config.gradient_penalty_final
        return start if end is None else self._between(start, end)

    def _gradient_penalty(self, weight: float, expert: Tensor, agent: Tensor, generator: torch.Generator) -> Term:
        mix = torch.rand(len(expert), 1, generator=generator)
        penalty = gradient_penalty(self.net, expert, agent, mix, self.config.penalty_target)
        return weight * penalty, {"disc_penalty": penalty.detach()}

    @torch.no_grad()
    def _track_expert_reward(self, expert: Tensor, logits_expert: Tensor) -> None:
        """Moves the mean reward of an expert pair one hundredth of the way to the batch's."""
        if self.dual is not None or self.config.dropout > 0:  # those logits are noisy, and rewards are not
            logits_expert = self.net(expert)
        self.expert_reward += 0.01 * (float(self.reward(logits_expert).mean()) - self.expert_reward)

    @torch.no_grad()
    def rewards(self, window: Window) -> Tensor:
        """(B, n) rewards under the present discriminator."""
        pairs = self._pairs(window.features, window.actions)
        rewards = self.reward(self.net(pairs.flatten(0, 1))).view(pairs.shape[:2])
        return self._completed(rewards, window.terminated, window.bonus)

    def learner_inputs(self, generator: torch.Generator) -> dict[str, Any]:
        """Expert rows for the critic batch, the bound on targets and the terms of the actor."""
        inputs: dict[str, Any] = {}
        n = self._expert_count()
        if n > 0:
            inputs["extra"] = self._expert_rows(n, generator)
        if self.config.bound_targets:
            inputs["target_bounds"] = self._target_bounds()
        terms = self._actor_terms(generator)
        if terms:
            inputs["actor_penalty"] = lambda actor, sample: added([term(actor, sample) for term in terms])
        return inputs

    def _expert_count(self) -> int:
        """Expert rows beside `batch_size` rows of the agent, so that they are the scheduled share of both."""
        share = self._between(self.config.expert_share, self.config.expert_share_final)
        return round(share / max(1e-6, 1 - share) * self.batch_size)

    def _target_bounds(self) -> tuple[float, float]:
        """Least and largest return with rewards as large as the expert's; rewards of the form gail are never negative, logd never positive."""
        reward = self.expert_reward if self.shaping is None else self.shaping.reward(self.expert_reward)
        steps, top = 1 / (1 - self.gamma), self._greatest_return()
        if self.config.reward == "gail":
            low, high = 0.0, top
        elif (
            self.config.reward == "logd"
        ):  # the worst is bounded by the clip alone, since ending pays; a bonus is at most 1
            low, high = -self.config.reward_clip * steps, 0.0 if self.shaping is None else steps
        else:  # the expert's mean goes through 0, so it does not bound alone
            high = max(abs(reward), 1.0) * steps
            low = -high
        bounds = (low - self._termination_cost() * top, high)
        return bounds if self.shaping is None else self.shaping.bounds(*bounds)

    def _actor_terms(self, generator: torch.Generator) -> list[Callable[..., Term]]:
        """What is added to the actor's loss: the BC term, and the divergence from a behaviour prior."""
        terms: list[Callable[..., Term]] = []
        weight = self._between(self.config.bc_weight, self.config.bc_weight_final)
        if weight > 0:
            rows = torch.randint(len(self.pairs), (self.batch_size,), generator=generator)
            terms.append(lambda actor, sample: (weight * bc_loss(actor, self.features[rows], self.actions[rows]), {}))
        behaviour, fraction = self.behaviour, self.fraction
        if behaviour is not None:
            terms.append(lambda actor, sample: behaviour.penalty(fraction, sample))
        return terms

    @torch.no_grad()
    def _expert_rows(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """n one-step expert windows: features, actions, return, discount, bootstrap features."""
        rows = torch.randint(len(self.pairs), (n,), generator=generator)
        bonus = None if self.shaping is None else self.shaping.expert[rows]
        returns = self._completed(self.reward(self.net(self.pairs[rows])), self.terminated[rows], bonus)
        discount = self.gamma * (1 - self.terminated[rows])
        return self.features[rows], self.actions[rows], returns, discount, self.next_features[rows]

    def state(self) -> dict[str, np.ndarray]:
        """Discriminator, optimiser and counters as arrays."""
        counters = {"calls": np.array(self.calls, np.int64), "expert_reward": np.array(self.expert_reward)}
        arrays = {
            "features": self.features,
            "actions": self.actions,
            "next_features": self.next_features,
            "terminated": self.terminated,
        }
        if self.shaping is not None:
            arrays["bonus"] = self.shaping.expert
        demos_part = {f"expert.{k}": v.numpy() for k, v in arrays.items()}
        if self.dual is not None:
            counters["beta"] = np.array(self.dual.beta)
        if self.behaviour is not None:
            counters |= self.behaviour.state()
        return {**counters, **demos_part, **module_arrays(self.net, "net"), **optimiser_arrays(self.optimiser, "optim")}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.calls, self.expert_reward = int(arrays["calls"]), float(arrays["expert_reward"])
        if self.dual is not None:
            self.dual.beta = float(arrays["beta"])
        if self.behaviour is not None:
            self.behaviour.load_state(arrays)
        load_module_arrays(self.net, arrays, "net")
        load_optimiser_arrays(self.optimiser, arrays, "optim")


def added(terms: list[Term]) -> Term:
    """Sum of at least one term, and all of their reports."""
    total, report = terms[0]
    for term, more in terms[1:]:
        total, report = total + term, report | more
    return total, report
