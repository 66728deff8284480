"""The objective of GAIL: a discriminator that keeps learning, and what it gives to an off-policy learner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gail_suite.learning.replay import Replay, Window
from gail_suite.learning.rewards.discriminators import LogitConfig, LogitLearner
from gail_suite.learning.sac import ActorPenalty, LearnerInputs, Term, bc_loss
from gail_suite.learning.schedule import linear
from gail_suite.learning.shown.moments import Moments
from gail_suite.learning.shown.pairs import Pairs
from gail_suite.priors.attach import Attachments
from gail_suite.priors.bottleneck import bottlenecked
from gail_suite.runs.config import Count, Fraction, NonNegative, Positive

AT_BOUND = 0.999
"""Actions from here on are at a bound."""


@dataclass(frozen=True)
class AdversaryConfig(LogitConfig):
    """The discriminator and the reward it gives."""

    lr_final: NonNegative = 0.1
    """Factor the rate has reached at the end of the run (linear)."""
    every: Positive = 2
    """Policy updates per discriminator update."""
    recent: Positive = 100_000
    """Agent pairs are drawn from this many last transitions."""
    gradient_penalty_final: NonNegative | None = None
    """Weight of the gradient penalty at the end (linear); none keeps it constant."""
    gradient_penalty_safe: NonNegative | None = None
    """The same while no episode ends early, the expert's or the agent's; none: as for any."""
    expert_share: Fraction = 0.25
    """Share of expert pairs in critic batches at the start."""
    expert_share_final: Fraction = 0.1
    """The same at the end (linear)."""
    bc_weight: NonNegative = 1.0
    """Weight of the BC term in the actor's loss at the start."""
    bc_weight_final: NonNegative = 1.0
    """The same at the end (linear)."""
    reach: Count = 0
    """Expert pairs are drawn from at most this many steps before or after the agent's time in its episode; 0: from
    all.
    """
    state_only: bool = False
    """Learn from states alone: the discriminator compares (s, s'), and recorded actions are not read. On by itself
    where the demonstrations hold no actions and none can be found by trying."""
    entropy_at_bounds: float = 0.0
    """Added to the target entropy of an action that the expert has at a bound, where a squashed Gaussian of the usual
    entropy cannot be: the target is lowered by the share of such actions."""
    entropy_safe: float = 0.0
    """Added to the target entropy at the end (linear) while no episode ends early: noise that teaches to bear a
    stumble then only costs."""
    absorbing: bool = False
    """After a termination, the reward of an absorbing state for ever instead of nothing (Kostrikov et al., 2019)."""
    termination_cost: NonNegative = 0.0
    """What a termination takes away at the start, in returns of an agent that is rewarded like the expert for ever."""
    termination_cost_final: NonNegative = 0.0
    """The same at the end (linear)."""
    bound_targets: bool = True
    """Clip critic targets to the return attainable with rewards as large as the expert's."""


class Adversary:
    """The objective of GAIL: rewards of a discriminator that keeps learning."""

    def __init__(
        self,
        expert: Pairs,
        config: AdversaryConfig,
        batch_size: int,
        gamma: float,
        attachments: Attachments | None = None,
        times: np.ndarray | None = None,
        expert_ends: bool = False,
    ) -> None:
        """`attachments` is what priors do to it, nothing where not given; `times` (N,): when each pair was shown;
        `expert_ends`: the demonstrator's episodes can end early, also where no shown pair does.
        """
        if config.absorbing and (config.termination_cost or config.termination_cost_final):
            raise ValueError(
                "adversary.absorbing says what a termination is worth, so adversary.termination_cost cannot: set one "
                "of them"
            )
        if not gamma < 1:
            raise ValueError(
                f"sac.gamma is below 1 here, since critic targets are bounded by what is attainable for ever, got "
                f"{gamma}"
            )
        a = attachments or Attachments()
        if a.discriminator is not None:
            if config.state_only:
                raise ValueError(
                    "a bottleneck prior knows pairs (s, a), and adversary.state_only compares (s, s'): leave out one "
                    "of the two"
                )
            config = bottlenecked(config, a.nats)
        self.shaping, self.behaviour = a.shaping, a.behaviour
        self.expert, self.config, self.gamma, self.batch_size = expert, config, gamma, batch_size
        self.pairs = self._pairs(expert.features, expert.next_features if config.state_only else expert.actions)
        known = config.reach > 0 and times is not None
        self.moments = Moments(torch.as_tensor(times, dtype=torch.float32), config.reach) if known else None
        self.absorbing_pair = torch.zeros(1, self.pairs.shape[1])
        self.absorbing_pair[:, -1] = 1
        self.learner = LogitLearner(self.pairs.shape[1], config, paired=True, net=a.discriminator)
        self.fraction, self.calls, self.expert_reward = 0.0, 0, float(self.learner.form(torch.zeros(())))
        self.expert_ends, self.safe = expert_ends or bool(expert.terminated.any()), False

    def set_progress(self, fraction: float) -> None:
        """Sets the schedules for a run that is `fraction` in [0, 1] done."""
        self.fraction = fraction
        self.learner.set_rate(self._between(1.0, self.config.lr_final))
        self.shaping.set_progress(fraction)

    def _between(self, start: float, end: float | None) -> float:
        return linear(start, end, self.fraction)

    def _pairs(self, features: Tensor, others: Tensor) -> Tensor:
        """The discriminator's inputs: (s, a) or (s, s'), and where absorbing states are used a last column that is
        1 in those alone.
        """
        parts = [features, others]
        return torch.cat([*parts, torch.zeros_like(others[..., :1])] if self.config.absorbing else parts, -1)

    def _seen(self, window: Window) -> Tensor:
        """The discriminator's inputs for a window, (B, n, D)."""
        return self._pairs(window.features, window.next_features if self.config.state_only else window.actions)

    def _followed(self, pairs: Tensor, terminated: Tensor) -> Tensor:
        """The pairs, and one absorbing pair for each of them that ended an episode."""
        if not self.config.absorbing:
            return pairs
        return torch.cat([pairs, self.absorbing_pair.expand(int(terminated.sum()), -1)])

    def _completed(self, rewards: Tensor, terminated: Tensor, bonus: Tensor | None) -> Tensor:
        """Rewards with what follows a termination, and with the prior's bonus.

        After a termination comes the absorbing reward for ever, discounted to the step that ends; it is the
        discriminator's, so a bonus takes its share of it. A termination's cost is counted in rewards as the learner
        sees them, bonus and all.
        """
        if self.config.absorbing:
            rewards = rewards + terminated * self._absorbing_return()
        rewards = self.shaping(rewards, bonus)
        cost = self._termination_cost()
        return rewards - terminated * (cost * self._greatest_return()) if cost > 0 else rewards

    def _greatest_return(self) -> float:
        """Of an agent that is rewarded like the expert for ever."""
        return max(self.shaping.reward(self.expert_reward), 1e-3) / (1 - self.gamma)

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """One discriminator step on every `every`-th call, on pairs of the expert and as many of the agent."""
        self.calls += 1
        self.safe = not (self.expert_ends or replay.ends)
        c = self.config
        if self.calls % c.every:
            return {}
        rows = torch.randint(len(self.pairs), (c.batch_size,), generator=generator)
        window = replay.sample(c.batch_size, 1, generator, c.recent)
        if self.moments is not None and window.time is not None:
            rows = self.moments.draw(window.time[:, 0], generator)
        expert, agent = self.pairs[rows], self._seen(window)[:, 0]
        ended = self.expert.terminated[rows], window.terminated[:, 0]
        safe = c.gradient_penalty_safe if self.safe else None
        penalty = self._between(c.gradient_penalty, c.gradient_penalty_final if safe is None else safe)
        info, logits = self.learner.step(
            self._followed(expert, ended[0]), self._followed(agent, ended[1]), generator, penalty, (expert, agent)
        )
        self._track_expert_reward(expert, logits)
        return info

    def at_termination(self) -> float:
        """What the present discriminator and the cost add to the reward of a step that ends the task."""
        if self.config.absorbing:
            return float(self._absorbing_return())
        return -self._termination_cost() * self._greatest_return()

    def _absorbing_return(self) -> Tensor:
        """Of absorbing states for ever, discounted to the step that leads there, (1,)."""
        return self.gamma / (1 - self.gamma) * self.learner.rewards(self.absorbing_pair)

    def _termination_cost(self) -> float:
        return self._between(self.config.termination_cost, self.config.termination_cost_final)

    @torch.no_grad()
    def _track_expert_reward(self, expert: Tensor, logits: Tensor) -> None:
        """Moves the mean reward of an expert pair one hundredth of the way to the batch's."""
        if self.learner.noisy:
            logits = self.learner.net(expert)
        self.expert_reward += 0.01 * (float(self.learner.form(logits).mean()) - self.expert_reward)

    @torch.no_grad()
    def rewards(self, window: Window) -> Tensor:
        """(B, n) rewards under the present discriminator."""
        pairs = self._seen(window)
        rewards = self.learner.rewards(pairs.flatten(0, 1)).view(pairs.shape[:2])
        return self._completed(rewards, window.terminated, window.bonus)

    def learner_inputs(self, generator: torch.Generator) -> LearnerInputs:
        """Expert rows for the critic batch, the bound on targets and the terms of the actor."""
        inputs: LearnerInputs = {}
        n = self._expert_count()
        if n > 0:
            inputs["extra"] = self._expert_rows(n, generator)
        if self.config.bound_targets:
            inputs["target_bounds"] = self._target_bounds()
        if self.config.entropy_at_bounds or self.config.entropy_safe:
            inputs["entropy_offset"] = self._entropy_offset()
        terms = self._actor_terms(generator)
        if terms:
            inputs["actor_penalty"] = lambda actor, sample: added([term(actor, sample) for term in terms])
        return inputs

    def _entropy_offset(self) -> float:
        c = self.config
        at_bounds = c.entropy_at_bounds * share_at_bounds(self.expert.actions)
        return at_bounds + (self._between(0.0, c.entropy_safe) if self.safe else 0.0)

    def _expert_count(self) -> int:
        """Expert rows beside `batch_size` rows of the agent, so that they are the scheduled share of both."""
        share = self._between(self.config.expert_share, self.config.expert_share_final)
        return round(share / max(1e-6, 1 - share) * self.batch_size)

    def _target_bounds(self) -> tuple[float, float]:
        """Least and largest return with rewards as large as the expert's; rewards of the form gail are never
        negative, logd never positive.
        """
        steps, top = 1 / (1 - self.gamma), self._greatest_return()
        if self.config.reward == "gail":
            low, high = 0.0, top
        elif self.config.reward == "logd":  # the worst is bounded by the clip alone, since ending pays
            low, high = -self.config.reward_clip * steps, self.shaping.greatest * steps
        else:  # the expert's mean goes through 0, so it does not bound alone
            high = max(abs(self.shaping.reward(self.expert_reward)), 1.0) * steps
            low = -high
        return self.shaping.bounds(low - self._termination_cost() * top, high)

    def _actor_terms(self, generator: torch.Generator) -> list[ActorPenalty]:
        """What is added to the actor's loss: the BC term, and the divergence from a behaviour prior."""
        terms: list[ActorPenalty] = []
        weight = self._between(self.config.bc_weight, self.config.bc_weight_final)
        expert = self.expert
        if weight > 0:
            rows = torch.randint(len(self.pairs), (self.batch_size,), generator=generator)
            terms.append(
                lambda actor, sample: (weight * bc_loss(actor, expert.features[rows], expert.actions[rows]), {})
            )
        behaviour, fraction = self.behaviour, self.fraction
        if behaviour is not None:
            terms.append(lambda actor, sample: behaviour.penalty(fraction, sample))
        return terms

    @torch.no_grad()
    def _expert_rows(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """n one-step expert windows: features, actions, return, discount, bootstrap features."""
        rows = torch.randint(len(self.pairs), (n,), generator=generator)
        expert, bonus = self.expert[rows], self.shaping.of_expert(rows)
        returns = self._completed(self.learner.rewards(self.pairs[rows]), expert.terminated, bonus)
        discount = self.gamma * (1 - expert.terminated)
        return expert.features, expert.actions, returns, discount, expert.next_features

    def state(self) -> dict[str, np.ndarray]:
        """Discriminator, optimiser and counters as arrays."""
        counters = {"calls": np.array(self.calls, np.int64), "expert_reward": np.array(self.expert_reward)}
        counters["fraction"] = np.array(self.fraction)  # of a run that is over nobody sets it again
        own = {} if self.behaviour is None else self.behaviour.state()
        return {**counters, **own, **self.learner.state()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.calls, self.expert_reward = int(arrays["calls"]), float(arrays["expert_reward"])
        self.fraction = float(arrays.get("fraction", 0.0))  # earlier versions did not save it
        if self.behaviour is not None:
            self.behaviour.load_state(arrays)
        self.learner.load_state(arrays)


def share_at_bounds(actions: Tensor) -> float:
    """Share of the entries of actions (N, A) in [-1, 1] that lie at a bound."""
    return float((actions.abs() >= AT_BOUND).float().mean())


def added(terms: list[Term]) -> Term:
    """Sum of at least one term, and all of their reports."""
    total, report = terms[0]
    for term, more in terms[1:]:
        total, report = total + term, report | more
    return total, report
