"""Behaviour cloning (Pomerleau, 1989): the baseline of every table and the warm start of GAIL."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from gail_suite import envs
from gail_suite.algorithms.imitator import Imitator
from gail_suite.demos.sealed import Json
from gail_suite.generative.mixtures.gmm import GaussianMixture
from gail_suite.learning.cpu import cpu_settings, keep_freed_memory
from gail_suite.learning.networks import Actor, MixtureActor, policy_tensors
from gail_suite.learning.policies.keeping import OnRow, silent
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.shown.actions import action_bounds
from gail_suite.learning.shown.pairs import Shown
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import Count, Fraction, Layers, NonNegative, Positive, Settings
from gail_suite.runs.runlog import RunLog


@dataclass(frozen=True)
class BCConfig(Settings):
    """Behaviour cloning of the deterministic action."""

    hidden: Layers = (256, 256)
    """Width of the layers."""
    lr: NonNegative = 1e-3
    """Adam rate, decayed to zero by a cosine."""
    weight_decay: NonNegative = 1e-4
    """Decoupled weight decay."""
    batch_size: Positive = 256
    """Pairs in a batch."""
    steps: Positive = 5000
    """Gradient steps at most."""
    held_out: Fraction = 0.1
    """Fraction of the pairs kept for the stop."""
    patience: Count = 1500
    """Steps without a better held-out error before stopping."""
    input_noise: NonNegative = 0.0
    """Standard deviation of noise added to the standardised inputs."""
    log_std: float = -1.5
    """Log standard deviation (before squashing) of the cloned policy, for exploring from it."""
    components: Positive = 1
    """Gaussians in the policy's head: 1 is least squares; more are a mixture fitted by its likelihood, for experts that
    do now one thing and now another. It acts by the mode of the most likely one.
    """


def clone(
    actor: Actor,
    features: Tensor,
    actions: Tensor,
    config: BCConfig,
    generator: torch.Generator,
    on_step: Callable[[int, dict[str, float]], bool] | None = None,
    error: Callable[[Actor, Tensor, Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Fits the deterministic action to the given ones, keeping the weights with the least held-out error.

    The log standard deviation is set to a constant, since a deterministic expert's would collapse; that of a mixture is
    learned, above a bound.

    Args:
        error: what is minimised, of actor, features and actions: least squares, cross entropy of choices, or the
            likelihood of a mixture.
        on_step: told of every 50th step and its errors; says whether to stop there.

    Returns:
        steps taken, and the training and held-out errors (mean squares on actions in [-1, 1], or nats).
    """
    error = error or square_error
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
        loss = error(actor, x, actions[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == config.steps:
            with torch.no_grad():
                missed = float(error(actor, features[held], actions[held]))
            if not math.isfinite(missed):
                raise FloatingPointError(
                    f"step {step}: the clone's held-out error is {missed}: lower bc.lr (lr of bc), now {config.lr:g}, "
                    "or look for values far from all others in the demonstrations"
                )
            if missed < best:
                best, best_step = missed, step
                weights = {k: v.clone() for k, v in actor.state_dict().items()}
            stop = on_step is not None and on_step(step, {"bc_loss": float(loss.detach()), "bc_held_out": missed})
            if stop or step - best_step >= config.patience:
                break
    actor.load_state_dict(weights)
    if config.components == 1:
        set_log_std(actor, config.log_std)
    return {"bc_steps": float(step), "bc_loss": float(loss.detach()), "bc_held_out": best}


def square_error(actor: Actor, features: Tensor, actions: Tensor) -> Tensor:
    """Mean square of the deterministic action's distance."""
    return F.mse_loss(actor.mode(features), actions)


def cross_entropy(actor: Actor, features: Tensor, actions: Tensor) -> Tensor:
    """-log softmax of the chosen entry, of choices given as rows with their largest entry at the choice."""
    return F.cross_entropy(actor(features)[0], actions.argmax(-1))


def surprise(actor: Actor, features: Tensor, actions: Tensor) -> Tensor:
    """Mean of -log pi(a|s), in nats."""
    return -actor.log_prob(features, actions).mean()


def actions_alone(actions: Tensor, components: int, seed: int) -> GaussianMixture:
    """The mixture of the actions (N, A), whatever the states: where a policy's mixture begins."""
    model = GaussianMixture(components, covariance_type="diag", reg_covar=1e-3)
    return model.fit(actions, seed=seed, device="cpu", progress=False)


def set_log_std(actor: Actor, value: float) -> None:
    """Makes the log standard deviation constant."""
    n = actor.width
    with torch.no_grad():
        actor.head.weight[n:] = 0
        actor.head.bias[n:] = value


class Cloning:
    """The loop of a run that clones: its steps are gradient steps, and the end is where the held-out error stops
    falling.
    """

    def __init__(self, env_id: str, shown: Shown, config: BCConfig, seed: int) -> None:
        keep_freed_memory()
        self.env_id, self.shown, self.config, self.seed, self.steps = env_id, shown, config, seed, 0
        self.spec = envs.spec(env_id)
        self.on_row: OnRow = silent
        torch.manual_seed(seed)
        n_features, act_dim = shown.expert.features.shape[1], shown.expert.actions.shape[1]
        if config.components == 1:
            self.actor, self.error = Actor(n_features, act_dim, config.hidden), square_error
        else:
            mixture = MixtureActor(n_features, act_dim, config.hidden, config.components)
            mixture.begin_as(actions_alone(shown.expert.actions, config.components, seed))
            self.actor, self.error = mixture, surprise
        if self.spec.discrete:
            if config.components > 1:
                raise ValueError(f"{env_id} has a choice of actions, which is a mixture already: set components to 1")
            self.error = cross_entropy

    def train(self, total_steps: int, log: RunLog | None = None, budget_s: float | None = None) -> None:
        """Fits the actor in at most `total_steps` steps, or `budget_s` seconds."""
        end = time.monotonic() + (math.inf if budget_s is None else budget_s)

        def on_step(step: int, row: dict[str, float]) -> bool:
            ended = self.on_row(row)
            if log is not None:
                log.log(step, **row)
                log.progress(step, **row)
            return ended or time.monotonic() >= end

        config = dataclasses.replace(self.config, steps=total_steps)
        generator = torch.Generator().manual_seed(self.seed)
        with cpu_settings("auto"):
            expert = self.shown.expert
            info = clone(self.actor, expert.features, expert.actions, config, generator, on_step, self.error)
        self.steps = int(info["bc_steps"])

    def policy(self) -> LearnedPolicy:
        """The cloned actor as a policy on observations."""
        features = self.shown.features
        mean, scale = features.policy_inputs(self.spec.obs_dim)
        tensors = policy_tensors(self.actor, mean, scale, features.columns, *action_bounds(self.env_id))
        kind: Json = {}
        if self.spec.discrete:
            tensors = {name: value for name, value in tensors.items() if not name.startswith("log_std")}
            kind = {"squash": False, "discrete": True}
        return LearnedPolicy(tensors, {"env_id": self.env_id, **kind, "algo": "bc", "seed": self.seed})

    def load(self, saved: Saved) -> None:
        """Nothing to go on from: cloning is too short for checkpoints."""
        raise ValueError("a run of BC has no checkpoints: train it again, in another folder")


class BC(Imitator[BCConfig]):
    """Behaviour cloning of `demonstrations` on `env_id`; its steps are gradient steps, `config.steps` by default.

    >>> import gail_suite as gs
    >>> shown = gs.demos.record(gs.envs.toy_expert, gs.envs.TOY_ID, n_episodes=4, seed=0)
    >>> run = gs.BC(gs.envs.TOY_ID, shown, gs.BCConfig(steps=200), seed=0).train(eval_episodes=0)
    >>> bool(gs.evaluate(run.policy, gs.envs.TOY_ID, n_episodes=5).score > 0.5)
    True
    """

    algo = "bc"

    @classmethod
    @override
    def defaults(cls) -> BCConfig:
        return BCConfig()

    def _build(self) -> Cloning:
        self.total_steps = self.config.steps
        return Cloning(self.env_id, self.shown, self.config, self.seed)

    @override
    def record(self) -> Json:
        return super().record() | {"config": dataclasses.asdict(self.config) | {"steps": self.total_steps}}

    def _scored(self, score: float | None, log: RunLog | None) -> None:
        if score is not None and log is not None:
            log.log(self.loop.steps, score=score)
