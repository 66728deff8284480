"""Adversarial imitation with an on-policy learner, and GAIL as Ho and Ermon (2016) wrote it."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

import demos
from gail_suite.algorithms.bc import Run
from gail_suite.learning.actions import action_bounds
from gail_suite.learning.cpu import cpu_settings
from gail_suite.learning.discriminators import BottleneckDiscriminator, LogitConfig, make_discriminator
from gail_suite.learning.dual import Dual
from gail_suite.learning.features import Features
from gail_suite.learning.learned_reward import LearnedReward, save_reward
from gail_suite.learning.losses import bernoulli_entropy, gail_loss, gradient_penalty
from gail_suite.learning.networks import Discriminator
from gail_suite.learning.onpolicy import FIELDS, Cadence, Objective, OnPolicyLoop, Pairs
from gail_suite.learning.pairs import demo_pairs
from gail_suite.learning.rewards import reward_fn
from gail_suite.learning.sac import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.sb3 import OnPolicyConfig, trpo_paper
from gail_suite.runs.checkpoint import load_checkpoint
from gail_suite.runs.config import at_least, has_layers, length, recorded
from gail_suite.runs.runlog import RunLog, refuse_used, write_run_files


@dataclass(frozen=True)
class DiscriminatorConfig(LogitConfig):
    """A discriminator trained on each batch of an on-policy learner."""

    hidden: tuple[int, ...] = (100, 100)
    """Width of the layers (tanh)."""
    lr: float = 3e-4
    """Adam rate."""
    updates: int = 32
    """Gradient steps after each batch."""
    batch_size: int = 256
    """Pairs of each class in a step; 0 takes all of both."""
    gradient_penalty: float = 1.0
    """Weight of the gradient penalty (target norm 1)."""

    def __post_init__(self) -> None:
        has_layers(self)
        at_least(self, 1, "updates")
        at_least(self, 0, "lr", "batch_size", "gradient_penalty", "entropy")


@dataclass(frozen=True)
class OnPolicyGAILConfig:
    """GAIL with an on-policy generator."""

    learner: OnPolicyConfig = field(default_factory=OnPolicyConfig)
    """PPO or TRPO and its constants."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """Discriminator and reward."""
    cadence: Cadence = field(default_factory=Cadence)
    """Evaluations and checkpoints."""


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
        self.config = config
        self.expert = torch.cat([expert.features, expert.actions], -1)
        c = config
        self.net = make_discriminator(self.expert.shape[1], c.hidden, c.bottleneck, c.latent, c.dropout)
        self.dual = Dual(c.bottleneck, c.dual_rate) if c.bottleneck > 0 else None
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=config.lr)
        self.reward = reward_fn(config.reward, config.reward_clip)
        self.generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def rewards(self, pairs: Pairs, policy: Any) -> Tensor:
        return self.reward(self.net(torch.cat([pairs.features, pairs.actions], -1)))

    def update(self, agent: Pairs, policy: Any) -> dict[str, Tensor]:
        """`updates` steps of cross-entropy, bottleneck, gradient penalty and entropy; both classes weigh the same."""
        pairs = torch.cat([agent.features, agent.actions], -1)
        for _ in range(self.config.updates):
            info = self._step(self._some(self.expert), self._some(pairs))
        return info

    def _some(self, pairs: Tensor) -> Tensor:
        n = self.config.batch_size
        return pairs if n == 0 else pairs[torch.randint(len(pairs), (n,), generator=self.generator)]

    def _step(self, expert: Tensor, agent: Tensor) -> dict[str, Tensor]:
        c = self.config
        logits_expert, nats_expert = self.net.training_logits(expert, self.generator)
        logits_agent, nats_agent = self.net.training_logits(agent, self.generator)
        loss, info = gail_loss(logits_expert, logits_agent)
        if self.dual is not None and nats_expert is not None and nats_agent is not None:
            nats = (nats_expert.mean() + nats_agent.mean()) / 2
            loss = loss + self.dual.penalty(nats)
            info |= {"disc_nats": nats.detach(), "disc_beta": torch.tensor(self.dual.beta)}
        if c.gradient_penalty > 0:
            rows = torch.randint(len(expert), (len(agent),), generator=self.generator)
            mix = torch.rand(len(agent), 1, generator=self.generator)
            loss = loss + c.gradient_penalty * gradient_penalty(self.net, expert[rows], agent, mix)
        if c.entropy > 0:
            # each class keeps half of the weight, as in the cross-entropy
            entropy = (bernoulli_entropy(logits_expert) + bernoulli_entropy(logits_agent)) / 2
            loss = loss - c.entropy * entropy
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return info

    def state(self) -> dict[str, np.ndarray]:
        rng = self.generator.get_state().numpy().copy()
        beta = {} if self.dual is None else {"beta": np.array(self.dual.beta)}
        return {**module_arrays(self.net, "net"), **optimiser_arrays(self.optimiser, "optim"), **beta, "rng": rng}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        if self.dual is not None:
            self.dual.beta = float(arrays["beta"])
        load_module_arrays(self.net, arrays, "net")
        load_optimiser_arrays(self.optimiser, arrays, "optim")
        self.generator.set_state(torch.from_numpy(np.array(arrays["rng"])))


class OnPolicyTrainer:
    """What on-policy GAIL and AIRL share: demonstrations in, run directory and policy out, exact resume."""

    algo: ClassVar[str]
    default_steps: ClassVar[int] = 1_000_000

    def __init__(
        self,
        env_id: str,
        demonstrations: demos.Demonstrations,
        config: Any = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
    ) -> None:
        self.env_id, self.config, self.seed = env_id, self._config(config), seed
        self.run_dir = Path(run_dir) if run_dir is not None else None
        self.demo_meta, self.total_steps = dict(demonstrations.meta), self.default_steps
        self.fresh = True
        features, *expert = demo_pairs(env_id, demonstrations)
        self._build(features, Pairs(*expert))

    @classmethod
    def _config(cls, config: Any) -> Any:
        """The config, or the default."""
        raise NotImplementedError

    def _objective(self) -> Objective:
        """The reward to be learned."""
        raise NotImplementedError

    def reward(self) -> LearnedReward:
        """The learned reward, to be saved and used elsewhere."""
        raise NotImplementedError

    def _build(self, features: Features, expert: Pairs) -> None:
        torch.manual_seed(self.seed)
        self.features, self.expert = features, expert
        self.objective: Any = self._objective()
        learner, cadence = self.config.learner, self.config.cadence
        self.loop = OnPolicyLoop(self.env_id, features, self.objective, learner, cadence, self.seed, self.run_dir)
        self.loop.constants = {f"expert.{name}": getattr(expert, name).numpy() for name in FIELDS}

    @classmethod
    def resume(cls, run_dir: str | Path) -> Self:
        """The run in `run_dir` at its newest checkpoint; needs nothing else."""
        run_dir = Path(run_dir)
        saved = json.loads((run_dir / "config.json").read_text())
        step, tensors, _ = load_checkpoint(run_dir / "checkpoints")
        parts: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
        for name, value in tensors.items():
            part, key = name.split("/", 1)
            parts[part][key] = np.array(value)
        self = cls.__new__(cls)
        self.env_id, self.seed, self.run_dir, self.fresh = saved["env_id"], saved["seed"], run_dir, False
        self.demo_meta, self.total_steps = saved["demos"], saved["total_steps"]
        if self.total_steps >= 10**12:  # how earlier versions noted a run that only the clock ended
            self.total_steps = self.default_steps
        self.config = recorded(cls._config(None), saved["config"])
        features = Features(*(parts["features"][name] for name in ("columns", "mean", "std")))
        self._build(features, Pairs(*(torch.from_numpy(parts["constants"][f"expert.{name}"]) for name in FIELDS)))
        self.loop.load(step, parts)
        return self

    def train(
        self, total_steps: int | None = None, eval_episodes: int = 20, quiet: bool = True, budget_s: float | None = None
    ) -> Run:
        """Train to `total_steps` environment steps (1M unless resumed), or for `budget_s` seconds; evaluate the final policy."""
        self.total_steps = length(total_steps, self.total_steps)
        end = None if total_steps is None and budget_s is not None else self.total_steps  # None: only the clock ends it
        if self.run_dir is None:
            with cpu_settings("auto"):
                self.loop.train(end, None, budget_s)
            return Run(self.loop.policy(), self._score(eval_episodes), None)
        if self.fresh:
            refuse_used(self.run_dir)
        with RunLog(self.run_dir, end, quiet=quiet) as log, cpu_settings("auto"):
            write_run_files(self.run_dir, self._record())
            self.fresh = False
            log.truncate_to(self.loop.steps)
            self.loop.train(end, log, budget_s)
            save_reward(self.reward(), self.run_dir / "reward")
        return Run(self.loop.policy(), self._score(eval_episodes), self.run_dir)

    def _record(self) -> dict[str, Any]:
        facts = {"algo": self.algo, "env_id": self.env_id, "seed": self.seed, "total_steps": self.total_steps}
        config = dataclasses.asdict(self.config)
        return {**facts, "demos": self.demo_meta, "n_pairs": len(self.expert), "config": config}

    def _learned_reward(self, net: Discriminator | BottleneckDiscriminator, **meta: Any) -> LearnedReward:
        facts = {"env_id": self.env_id, "algo": self.algo, "seed": self.seed, "env_steps": self.loop.steps}
        return LearnedReward(net, self.features, *action_bounds(self.env_id), {**facts, **meta})

    def _score(self, episodes: int) -> float | None:
        from gail_suite.showing.evaluation import evaluate

        return evaluate(self.loop.policy(), self.env_id, n_episodes=episodes).score if episodes else None


class OnPolicyGAIL(OnPolicyTrainer):
    """GAIL of `demonstrations` on `env_id` with PPO or TRPO (Ho and Ermon, 2016)."""

    algo = "gail"

    @classmethod
    def _config(cls, config: Any) -> OnPolicyGAILConfig:
        return config or OnPolicyGAILConfig()

    def _objective(self) -> PairDiscriminator:
        return PairDiscriminator(self.expert, self.config.discriminator, self.seed)

    def reward(self) -> LearnedReward:
        c = self.config.discriminator
        shape = {"hidden": list(c.hidden), "activation": "tanh", "state_only": False}
        if c.bottleneck > 0:
            shape |= {"bottleneck": c.bottleneck, "latent": c.latent}
        return self._learned_reward(self.objective.net, form=c.reward, clip=c.reward_clip, **shape)
