"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of a
soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the rest.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import demos
from gail_suite.bc import BCConfig, Run, clone, demo_pairs
from gail_suite.behaviour import Behaviour, behaviour_of
from gail_suite.bottleneck import BottleneckDiscriminator, discriminator_of, make_discriminator
from gail_suite.dual import Dual
from gail_suite.features import Features
from gail_suite.latent_actions import actor_of
from gail_suite.losses import bernoulli_entropy, gail_loss, gradient_penalty
from gail_suite.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.priors import PriorConfig, attached, keep_copy
from gail_suite.replay import Replay, Window
from gail_suite.rewards import reward_fn
from gail_suite.runlog import RunLog, write_run_files
from gail_suite.sac import (
    SACConfig,
    bc_loss,
    load_module_arrays,
    load_optimiser_arrays,
    module_arrays,
    optimiser_arrays,
)
from gail_suite.shaping import Shaping
from gail_suite.typicality import bonus_of

DEFAULT_STEPS = 100_000
WARM_COPIES = 4
"""States around each demonstrated one in a warm start from a behaviour prior."""
Term = tuple[Tensor, dict[str, Tensor]]
"""A scalar added to a loss, and what to report."""


@dataclass(frozen=True)
class AdversaryConfig:
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
    entropy: float = 0.0
    """Weight of the entropy of the discriminator's output."""
    dropout: float = 0.0
    """Share of each layer's outputs hidden while the discriminator learns."""
    bottleneck: float = 0.0
    """Nats that the discriminator may know of a pair (Peng et al., 2019); 0 for a discriminator without bottleneck."""
    latent: int = 32
    """Dimensions of the bottleneck's code."""
    dual_rate: float = 0.01
    """Largest step of the multiplier that holds the bottleneck."""
    reward: str = "gail"
    """Form of the reward: gail, airl, fairl or logd (see rewards.py for their signs)."""
    reward_clip: float = 5.0
    """Bound on the reward's absolute value."""
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
    bound_targets: bool = True
    """Clip critic targets to the return attainable with rewards as large as the expert's."""


@dataclass(frozen=True)
class GAILConfig:
    """GAIL with the off-policy generator; `OnPolicyGAIL` is the one with PPO or TRPO."""

    warm_start: bool = True
    """Start from behaviour cloning."""
    bc: BCConfig = field(default_factory=BCConfig)
    """The warm start."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """Discriminator and reward."""
    sac: SACConfig = field(default_factory=lambda: SACConfig(
        burn_in=3000, gamma=0.99, tune_alpha=True, lr_final=0.1, average_rate=0.005))
    """The learner."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Collection and housekeeping."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    """A generative model of the expert as a prior."""


class Adversary:
    """The objective of GAIL: rewards of a discriminator that keeps learning."""

    def __init__(self, expert: tuple[Tensor, ...], config: AdversaryConfig, batch_size: int, gamma: float,
                 net: BottleneckDiscriminator | None = None):
        """`net` is a discriminator to start from (a prior's); without one it is new."""
        self.config, self.gamma = config, gamma
        self.features, self.actions, self.next_features, self.terminated = expert
        self.pairs = self._pairs(self.features, self.actions)
        self.absorbing_pair = torch.zeros(1, self.pairs.shape[1])
        self.absorbing_pair[:, -1] = 1
        self.net = net or make_discriminator(self.pairs.shape[1], config.hidden, config.bottleneck, config.latent, config.dropout)
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

    def _final_reward(self) -> Tensor | float:
        """What follows a termination, discounted to the step that ends: gamma / (1 - gamma) times the absorbing reward."""
        if not self.config.absorbing:
            return 0.0
        return self.gamma / (1 - self.gamma) * self.reward(self.net(self.absorbing_pair))

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, Tensor]:
        """One discriminator step on every `every`-th call: cross-entropy, bottleneck, gradient penalty, entropy."""
        c = self.config
        self.calls += 1
        if self.calls % c.every:
            return {}
        rows = torch.randint(len(self.pairs), (c.batch_size,), generator=generator)
        window = replay.sample(c.batch_size, 1, generator, c.recent)
        expert, agent = self.pairs[rows], self._pairs(window.features[:, 0], window.actions[:, 0])
        seen = [expert, agent]
        if c.absorbing:
            seen = [self._followed(expert, self.terminated[rows]), self._followed(agent, window.terminated[:, 0])]
        logits, nats = self.net.training_logits(torch.cat(seen), generator)
        logits_expert, logits_agent = logits.split([len(part) for part in seen])
        loss, info = gail_loss(logits_expert, logits_agent)
        if self.dual is not None and nats is not None:
            loss = loss + self.dual.penalty(nats.mean())
            info |= {"disc_nats": nats.mean().detach(), "disc_beta": torch.tensor(self.dual.beta)}
        weight = c.gradient_penalty if c.gradient_penalty_final is None else self._between(c.gradient_penalty, c.gradient_penalty_final)
        if weight > 0:
            mix = torch.rand(c.batch_size, 1, generator=generator)
            penalty = gradient_penalty(self.net, expert, agent, mix, c.penalty_target)
            info["disc_penalty"] = penalty.detach()
            loss = loss + weight * penalty
        if c.entropy > 0:
            loss = loss - c.entropy * bernoulli_entropy(torch.cat([logits_expert, logits_agent]))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            mean = float(self.reward(logits_expert).mean())
        self.expert_reward += 0.01 * (mean - self.expert_reward)
        return info

    @torch.no_grad()
    def rewards(self, window: Window) -> Tensor:
        """(B, n) rewards under the present discriminator."""
        pairs = self._pairs(window.features, window.actions)
        rewards = self.reward(self.net(pairs.flatten(0, 1))).view(pairs.shape[:2])
        if self.config.absorbing:
            rewards = rewards + window.terminated * self._final_reward()
        if self.shaping is not None:
            assert window.bonus is not None
            rewards = self.shaping(rewards, window.bonus)
        return rewards

    def learner_inputs(self, generator: torch.Generator) -> dict[str, Any]:
        """Expert rows for the critic batch, the bound on targets and the terms of the actor."""
        inputs: dict[str, Any] = {}
        share = self._between(self.config.expert_share, self.config.expert_share_final)
        n = round(share / max(1e-6, 1 - share) * self.batch_size)
        if n > 0:
            inputs["extra"] = self._expert_rows(n, generator)
        if self.config.bound_targets:
            reward = self.expert_reward if self.shaping is None else self.shaping.reward(self.expert_reward)
            top = max(reward, 1e-3) / (1 - self.gamma)
            bounds = (-top, top) if self.config.reward in ("airl", "fairl", "logd") else (0.0, top)
            inputs["target_bounds"] = bounds if self.shaping is None else self.shaping.bounds(*bounds)
        terms = self._actor_terms(generator)
        if terms:
            inputs["actor_penalty"] = lambda actor, sample: added([term(actor, sample) for term in terms])
        return inputs

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
        returns = self.reward(self.net(self.pairs[rows])) + self.terminated[rows] * self._final_reward()
        if self.shaping is not None:
            returns = self.shaping(returns, self.shaping.expert[rows])
        discount = self.gamma * (1 - self.terminated[rows])
        return self.features[rows], self.actions[rows], returns, discount, self.next_features[rows]

    def state(self) -> dict[str, np.ndarray]:
        """Discriminator, optimiser and counters as arrays."""
        counters = {"calls": np.array(self.calls, np.int64), "expert_reward": np.array(self.expert_reward)}
        arrays = {"features": self.features, "actions": self.actions, "next_features": self.next_features,
                  "terminated": self.terminated}
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


class GAIL:
    """GAIL of `demonstrations` on `env_id`; checkpoints and metrics go to `run_dir` where given."""

    def __init__(self, env_id: str, demonstrations: demos.Demonstrations, config: GAILConfig | None = None, seed: int = 0,
                 run_dir: str | Path | None = None, device: str = "cpu"):
        self.env_id, self.config, self.seed = env_id, config or GAILConfig(), seed
        self.run_dir = Path(run_dir) if run_dir is not None else None
        features, *expert = demo_pairs(env_id, demonstrations)
        self.demo_meta = dict(demonstrations.meta)
        self.total_steps = DEFAULT_STEPS
        self.prior = attached(self.config.prior, env_id)
        self._build(features, tuple(expert), device)
        if self.loop.bonus is not None:
            self._shape(self.loop.bonus(demonstrations.transitions(), np.zeros(0)))

    def _build(self, features: Features, expert: tuple[Tensor, ...], device: str = "cpu") -> None:
        c = self.config
        torch.manual_seed(self.seed)
        adversary, n_inputs = c.adversary, sum(e.shape[1] for e in expert[:2]) + c.adversary.absorbing
        net = discriminator_of(self.prior, features, n_inputs)
        if net is not None and adversary.bottleneck == 0:
            adversary = dataclasses.replace(adversary, bottleneck=c.prior.weight)
        self.adversary = Adversary(expert, adversary, c.sac.batch_size, c.sac.gamma, net)
        self.adversary.behaviour = behaviour_of(self.prior, c.prior, features)
        self.loop = OffPolicyLoop(self.env_id, features, self.adversary, c.sac, c.loop, self.seed, self.run_dir, device,
                                  bonus_of(self.prior, c.prior, c.sac.gamma), actor_of(self.prior, c.prior))

    def _shape(self, expert_bonus: np.ndarray) -> None:
        self.adversary.shaping = Shaping(self.config.prior, torch.from_numpy(expert_bonus))

    @classmethod
    def resume(cls, run_dir: str | Path) -> Any:
        """The run in `run_dir`, an `OnPolicyGAIL` if it was one, at its newest checkpoint; needs nothing else."""
        from gail_suite.checkpoint import load_checkpoint

        run_dir = Path(run_dir)
        saved = json.loads((run_dir / "config.json").read_text())
        if "learner" in saved["config"]:
            from gail_suite.adversarial import OnPolicyGAIL

            return OnPolicyGAIL.resume(run_dir)
        self = cls.__new__(cls)
        self.env_id, self.seed, self.run_dir = saved["env_id"], saved["seed"], run_dir
        self.demo_meta, self.config = saved["demos"], config_from_dict(saved["config"])
        self.total_steps = saved["total_steps"]
        _, tensors, _ = load_checkpoint(run_dir / "checkpoints")
        names = ("features", "actions", "next_features", "terminated")
        expert = tuple(torch.from_numpy(np.array(tensors[f"objective/expert.{n}"])) for n in names)
        features = Features(*(np.array(tensors[f"features/{n}"]) for n in ("columns", "mean", "std")))
        self.prior = attached(self.config.prior, self.env_id, run_dir / "prior")
        self._build(features, expert)
        if self.loop.bonus is not None:
            self._shape(np.array(tensors["objective/expert.bonus"]))
        self.loop.load()
        return self

    def train(self, total_steps: int | None = None, eval_episodes: int = 20, quiet: bool = True) -> Run:
        """Trains to `total_steps` environment steps (100k unless resumed) and evaluates the averaged final policy."""
        total = self.total_steps = total_steps or self.total_steps
        fresh = self.loop.steps == 0
        if self.run_dir is not None:
            write_run_files(self.run_dir, {
                "algo": "gail", "env_id": self.env_id, "seed": self.seed, "total_steps": total, "demos": self.demo_meta,
                "n_pairs": len(self.adversary.pairs), "config": dataclasses.asdict(self.config)})
            if fresh:
                keep_copy(self.prior, self.run_dir)
        if self.run_dir is None:
            self._warm_start(fresh, None)
            self.loop.train(total)
            return Run(self.loop.policy(), self._score(eval_episodes), None)
        with RunLog(self.run_dir, total, quiet=quiet) as log:
            log.truncate_to(self.loop.steps)
            self._warm_start(fresh, log)
            self.loop.train(total, log)
            policy = self.loop.policy()
            policy.save(self.run_dir / "policy")
            return Run(policy, self._score(eval_episodes), self.run_dir)

    def _warm_start(self, fresh: bool, log: RunLog | None) -> None:
        if not (fresh and self.config.warm_start):
            return
        sac, adversary = self.loop.sac, self.adversary
        features, actions = adversary.features, adversary.actions
        if self.config.prior.warm_start and adversary.behaviour is not None:
            features, actions = adversary.behaviour.warm_start(features, WARM_COPIES, self.loop.generator)
        info = clone(sac.actor, features, actions, self.config.bc, self.loop.generator)
        sac.restart_average()
        row = info | {f"bc_{k}": v for k, v in self.loop.evaluate().items()}
        if log is not None:
            log.log(0, **row)

    def _score(self, episodes: int) -> float | None:
        from gail_suite.evaluation import evaluate

        return evaluate(self.loop.policy(), self.env_id, n_episodes=episodes, seed=1000).score if episodes else None


def config_from_dict(values: dict[str, Any]) -> GAILConfig:
    """A config from the nested dictionary in config.json."""
    def tuples(d: dict[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in d.items()}

    parts = {"bc": BCConfig, "adversary": AdversaryConfig, "sac": SACConfig, "loop": LoopConfig, "prior": PriorConfig}
    return GAILConfig(**{k: parts[k](**tuples(v)) if k in parts else v for k, v in values.items()})
