"""Soft actor-critic (Haarnoja et al., 2018) with the constants that learn most per update on a CPU.

Deviations: n-step returns, LayerNorm twin critics in one batched module, actor updated every `actor_delay`-th critic
update, targets optionally bounded by the attainable return, and an exponential average of the actor beside the raw one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.networks import Actor, TwinCritic
from gail_suite.learning.replay import Window
from gail_suite.learning.schedule import linear
from gail_suite.runs.config import Count, Layers, NonNegative, Positive, Settings, Unit

Sample = tuple[Tensor, Tensor, Tensor]
"""What the actor draws at present: features (B, F), actions (B, A) and their log-probabilities (B,)."""
Term = tuple[Tensor, dict[str, Tensor]]
"""A scalar added to a loss, and what to report."""
ActorPenalty = Callable[[Actor, Sample], Term]
"""A term of the actor's loss."""


class LearnerInputs(TypedDict, total=False):
    """What an objective may give to `SAC.update` beside the window and its rewards."""

    target_bounds: tuple[float, float]
    actor_penalty: ActorPenalty
    extra: tuple[Tensor, ...]
    entropy_offset: float


@dataclass(frozen=True)
class SACConfig(Settings):
    """Constants of the learner."""

    hidden: Layers = (256, 256)
    """Width of the actor's and the critics' layers."""
    layer_norm: bool = True
    """Normalise the critics' layers (Ba et al., 2016)."""
    batch_size: Positive = 256
    """Windows in a batch."""
    n_step: Positive = 3
    """Steps summed before bootstrapping."""
    gamma: Unit = 0.985
    """Discount per step."""
    tau: Unit = 0.01
    """Rate of the target critics."""
    critic_lr: NonNegative = 7e-4
    """Adam rate of the critics."""
    actor_lr: NonNegative = 3e-4
    """Adam rate of the actor."""
    lr_final: NonNegative = 1.0
    """Factor the learning rates have reached at the end of the run (linear decay from `decay_start`)."""
    decay_start: Unit = 0.0
    """Fraction of the run at which the decay begins."""
    actor_delay: Positive = 2
    """Critic updates per actor update."""
    burn_in: Count = 0
    """Critic updates before the actor moves (protects a warm start from a fresh critic)."""
    alpha: NonNegative = 0.02
    """Entropy temperature; the starting value where it is tuned."""
    tune_alpha: bool = False
    """Tune the temperature to `target_entropy` per action dimension."""
    target_entropy: float = -1.0
    """Target entropy per dimension of what the actor draws (actions; with latent actions the code too)."""
    average_rate: Unit = 0.001
    """Rate of the averaged actor per actor update."""
    average_rate_final: Unit | None = None
    """Rate of the averaged actor at the end of the run, falling as the learning rates do; None: it stays."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tune_alpha and self.alpha == 0:
            raise ValueError(
                "setting alpha is where the tuned temperature begins, above 0: set it, or tune_alpha=false"
            )


class SAC:
    """Actor, critics, temperature and their optimisers; `update` does one gradient step on a window.

    Works on standardised features and on actions scaled to [-1, 1].
    """

    def __init__(
        self,
        n_features: int,
        act_dim: int,
        config: SACConfig,
        device: str = "cpu",
        make_actor: Callable[..., Actor] = Actor,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.actor = make_actor(n_features, act_dim, config.hidden).to(self.device)
        self.critic = TwinCritic(n_features, act_dim, config.hidden, config.layer_norm).to(self.device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.averaged = copy.deepcopy(self.actor).requires_grad_(False)
        self.log_alpha = torch.tensor(float(np.log(config.alpha)), device=self.device, requires_grad=True)
        self.optimisers = {
            "actor": torch.optim.Adam(self.actor.parameters(), lr=config.actor_lr, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=config.critic_lr, fused=True),
            "alpha": torch.optim.Adam([self.log_alpha], lr=config.actor_lr),
        }
        self.updates, self.average_rate = 0, config.average_rate

    def set_progress(self, fraction: float) -> None:
        """Sets the learning rates and the averaging rate for a run that is `fraction` in [0, 1] done."""
        c = self.config
        done = min(1.0, max(0.0, (fraction - c.decay_start) / max(1e-9, 1 - c.decay_start)))
        factor = 1 + (c.lr_final - 1) * done
        self.average_rate = linear(c.average_rate, c.average_rate_final, done)
        for name, rate in (("actor", c.actor_lr), ("critic", c.critic_lr)):
            self.optimisers[name].param_groups[0]["lr"] = rate * factor

    def restart_average(self) -> None:
        """Sets the averaged actor to the raw one (after a warm start)."""
        self.averaged.load_state_dict(self.actor.state_dict())

    @torch.no_grad()
    def act(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Exploring actions (B, A) in (-1, 1)."""
        return self.actor.sample(features.to(self.device), self._noise(len(features), generator))[0].cpu()

    def update(
        self,
        window: Window,
        rewards: Tensor,
        generator: torch.Generator,
        target_bounds: tuple[float, float] | None = None,
        actor_penalty: ActorPenalty | None = None,
        extra: tuple[Tensor, ...] | None = None,
        entropy_offset: float = 0.0,
    ) -> dict[str, Tensor]:
        """One critic step, and an actor step on every `actor_delay`-th call after the burn-in.

        Args:
            window: transitions, see `Window`.
            rewards: (B, n) rewards to learn from.
            generator: source of the action noise.
            target_bounds: smallest and largest attainable return; critic targets are clipped to it.
            actor_penalty: added to the actor's loss (a BC term, a KL to a prior), see `ActorPenalty`, or None.
            extra: (features, actions, returns, discount, bootstrap features) of further rows for the critic batch.
            entropy_offset: added to the target entropy per dimension.
        """
        c = self.config
        returns, discount, bootstrap = window.returns(rewards, c.gamma)
        features, actions = window.features[:, 0], window.actions[:, 0]
        if extra is not None:
            features, actions, returns, discount, bootstrap = (
                torch.cat([a, b]) for a, b in zip((features, actions, returns, discount, bootstrap), extra, strict=True)
            )
        features, actions, returns, discount, bootstrap = (
            part.to(self.device) for part in (features, actions, returns, discount, bootstrap)
        )
        info = self._critic_step(features, actions, returns, discount, bootstrap, generator, target_bounds)
        self.updates += 1
        if self.updates > c.burn_in and self.updates % c.actor_delay == 0:
            info |= self._actor_step(features, generator, actor_penalty, entropy_offset)
        return info

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.actor.width, generator=generator).to(self.device)

    def _critic_step(
        self,
        features: Tensor,
        actions: Tensor,
        returns: Tensor,
        discount: Tensor,
        bootstrap: Tensor,
        generator: torch.Generator,
        bounds: tuple[float, float] | None,
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            next_actions, next_log_prob = self.actor.sample(bootstrap, self._noise(len(bootstrap), generator))
            value = self.target(bootstrap, next_actions).amin(0) - self.log_alpha.exp() * next_log_prob
            target = returns + discount * value
            if bounds is not None:
                target = target.clamp(*bounds)
        loss = (self.critic(features, actions) - target).square().mean(1).sum()
        self._step("critic", loss)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), self.config.tau)
        return {"critic_loss": loss.detach(), "target_mean": target.mean()}

    def _actor_step(
        self, features: Tensor, generator: torch.Generator, penalty: ActorPenalty | None, entropy_offset: float = 0.0
    ) -> dict[str, Tensor]:
        c = self.config
        self.critic.requires_grad_(False)
        actions, log_prob = self.actor.sample(features, self._noise(len(features), generator))
        value = self.critic(features, actions).amin(0)
        loss = (self.log_alpha.exp().detach() * log_prob - value).mean()
        info = {"entropy": -log_prob.detach().mean(), "actor_loss": loss.detach()}
        if penalty is not None:
            term, report = penalty(self.actor, (features, actions, log_prob))
            info |= {"actor_penalty": term.detach(), **report}
            loss = loss + term
        self._step("actor", loss)
        self.critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.actor.parameters()), self.average_rate)
        if c.tune_alpha:
            gap = log_prob.detach().mean() + (c.target_entropy + entropy_offset) * self.actor.width
            self._step("alpha", -self.log_alpha * gap)
        info["alpha"] = self.log_alpha.detach().exp()
        return info

    def _step(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[name].step()

    def modules(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"actor": self.actor, "critic": self.critic, "target": self.target, "averaged": self.averaged}

    def state(self) -> dict[str, np.ndarray]:
        """Everything `load_state` needs to go on bit for bit, as arrays."""
        arrays = {
            "updates": np.array(self.updates, np.int64),
            "log_alpha": self.log_alpha.detach().cpu().numpy().copy(),
        }
        for name, module in self.modules().items():
            arrays |= module_arrays(module, name)
        for name, optimiser in self.optimisers.items():
            arrays |= optimiser_arrays(optimiser, f"optim.{name}")
        return arrays

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.updates = int(arrays["updates"])
        with torch.no_grad():
            self.log_alpha.copy_(torch.as_tensor(arrays["log_alpha"]))
        for name, module in self.modules().items():
            load_module_arrays(module, arrays, name)
        for name, optimiser in self.optimisers.items():
            load_optimiser_arrays(optimiser, arrays, f"optim.{name}")


def bc_loss(actor: Actor, features: Tensor, actions: Tensor) -> Tensor:
    """Squared distance of the deterministic action from the expert's, both in [-1, 1]: mean over the batch."""
    device = actor.head.weight.device
    return (actor.mode(features.to(device)) - actions.to(device)).square().sum(-1).mean()
