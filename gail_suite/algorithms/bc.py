"""Behaviour cloning (Pomerleau, 1989): the baseline of every table and the warm start of GAIL."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import demos
import envs
from gail_suite.learning.actions import action_bounds
from gail_suite.learning.cpu import cpu_settings, keep_freed_memory
from gail_suite.learning.networks import Actor, policy_tensors
from gail_suite.learning.pairs import demo_pairs
from gail_suite.learning.policy import LearnedPolicy
from gail_suite.runs.config import at_least, has_layers, length, within
from gail_suite.runs.runlog import RunLog, refuse_used, write_run_files


@dataclass(frozen=True)
class BCConfig:
    """Behaviour cloning of the deterministic action."""

    hidden: tuple[int, ...] = (256, 256)
    """Width of the layers."""
    lr: float = 1e-3
    """Adam rate, decayed to zero by a cosine."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    batch_size: int = 256
    """Pairs in a batch."""
    steps: int = 5000
    """Gradient steps at most."""
    held_out: float = 0.1
    """Fraction of the pairs kept for the stop."""
    patience: int = 1500
    """Steps without a better held-out error before stopping."""
    input_noise: float = 0.0
    """Standard deviation of noise added to the standardised inputs."""
    log_std: float = -1.5
    """Log standard deviation (before squashing) of the cloned policy, for exploring from it."""

    def __post_init__(self) -> None:
        has_layers(self)
        at_least(self, 1, "batch_size", "steps")
        at_least(self, 0, "lr", "weight_decay", "patience", "input_noise")
        within(self, "held_out")


@dataclass(frozen=True)
class Run:
    """What training returns."""

    policy: LearnedPolicy
    """The learned policy."""
    score: float | None
    """Normalised score of the final policy, None without an evaluation."""
    dir: Path | None
    """The run directory."""


def clone(
    actor: Actor, features: Tensor, actions: Tensor, config: BCConfig, generator: torch.Generator, on_step=None
) -> dict[str, float]:
    """Fits the deterministic action to the given ones by least squares, keeping the weights with the least held-out error.

    The log standard deviation is set to a constant, since a deterministic expert's would collapse.

    Returns:
        steps taken, and the training and held-out errors (mean squares on actions in [-1, 1]).
    """
    device = actor.head.weight.device
    features, actions = features.to(device), actions.to(device)
    order = torch.randperm(len(features), generator=generator)
    n_out = max(1, int(config.held_out * len(order)))
    held, kept = order[:n_out], order[n_out:] if len(order) > n_out else order
    optimiser = torch.optim.AdamW(actor.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    best, best_step, weights, loss = float("inf"), 0, actor.state_dict(), torch.zeros(())
    for step in range(1, config.steps + 1):
        optimiser.param_groups[0]["lr"] = config.lr * 0.5 * (1 + np.cos(np.pi * step / config.steps))
        rows = kept[torch.randint(len(kept), (config.batch_size,), generator=generator)]
        x = features[rows]
        if config.input_noise > 0:
            x = x + config.input_noise * torch.randn(x.shape, generator=generator).to(device)
        loss = F.mse_loss(actor.mode(x), actions[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == config.steps:
            with torch.no_grad():
                error = float(F.mse_loss(actor.mode(features[held]), actions[held]))
            if error < best:
                best, best_step = error, step
                weights = {k: v.clone() for k, v in actor.state_dict().items()}
            if on_step is not None:
                on_step(step, {"bc_loss": float(loss.detach()), "bc_held_out": error})
            if step - best_step >= config.patience:
                break
    actor.load_state_dict(weights)
    set_log_std(actor, config.log_std)
    return {"bc_steps": float(step), "bc_loss": float(loss.detach()), "bc_held_out": best}


def set_log_std(actor: Actor, value: float) -> None:
    """Makes the log standard deviation constant."""
    n = actor.width
    with torch.no_grad():
        actor.head.weight[n:] = 0
        actor.head.bias[n:] = value


class BC:
    """Behaviour cloning of `demonstrations` on `env_id`."""

    def __init__(
        self,
        env_id: str,
        demonstrations: demos.Demonstrations,
        config: BCConfig | None = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
    ):
        keep_freed_memory()
        self.env_id, self.config, self.seed = env_id, config or BCConfig(), seed
        self.run_dir = Path(run_dir) if run_dir is not None else None
        self.demo_meta = dict(demonstrations.meta)
        self.features, self.x, self.actions, _, _ = demo_pairs(env_id, demonstrations)
        torch.manual_seed(seed)
        self.actor = Actor(self.x.shape[1], self.actions.shape[1], self.config.hidden)

    def train(self, steps: int | None = None, eval_episodes: int = 20, quiet: bool = True) -> Run:
        """Fits the policy and evaluates it; `steps` overrides the config's."""
        config = dataclasses.replace(self.config, steps=length(steps, self.config.steps))
        generator = torch.Generator().manual_seed(self.seed)
        start = time.perf_counter()
        if self.run_dir is None:
            with cpu_settings("auto"):
                clone(self.actor, self.x, self.actions, config, generator)
            return Run(self.policy(), self._score(eval_episodes), None)
        refuse_used(self.run_dir, resumable=False)
        with RunLog(self.run_dir, config.steps, quiet=quiet) as log, cpu_settings("auto"):
            write_run_files(
                self.run_dir,
                {
                    "algo": "bc",
                    "env_id": self.env_id,
                    "seed": self.seed,
                    "demos": self.demo_meta,
                    "n_pairs": len(self.x),
                    "config": dataclasses.asdict(config),
                },
            )
            log.truncate_to(0)

            def on_step(step: int, row: dict[str, float]) -> None:
                log.log(step, **row)
                log.progress(step, **row)

            info = clone(self.actor, self.x, self.actions, config, generator, on_step)
            policy = self.policy()
            policy.save(self.run_dir / "policy")
            score = self._score(eval_episodes)
            if score is not None:
                log.log(int(info["bc_steps"]), score=score, train_s=time.perf_counter() - start)
        return Run(policy, score, self.run_dir)

    def policy(self) -> LearnedPolicy:
        """The cloned actor as a policy on observations."""
        mean, scale = self.features.policy_inputs(envs.spec(self.env_id).obs_dim)
        tensors = policy_tensors(self.actor, mean, scale, self.features.columns, *action_bounds(self.env_id))
        return LearnedPolicy(
            tensors,
            {
                "kind": "mlp_policy",
                "env_id": self.env_id,
                "activation": "relu",
                "squash": True,
                "algo": "bc",
                "seed": self.seed,
            },
        )

    def _score(self, episodes: int) -> float | None:
        from gail_suite.showing.evaluation import evaluate

        return evaluate(self.policy(), self.env_id, n_episodes=episodes).score if episodes else None
