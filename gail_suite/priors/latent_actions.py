"""Latent action priors (Hausdorfer et al., 2024): the policy steers a frozen decoder fitted to the expert's actions.

The policy's vector is v = (z, a_full) in [-1, 1]^(Z+A); the environment gets a = w dec(z) + (1 - w) a_full, and w is
the config's share. The paper writes a = (1 - w') dec(z) + w' a_full, so its w' (0.1 on Ant, 0.5 on Humanoid) is our 1 -
w. Probabilities and entropy are those of v, which the policy draws; critics, discriminator and replay see a alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from gail_suite.demos.trajectory import Demonstrations
from gail_suite.generative.latent.autoencoder import AutoEncoder
from gail_suite.generative.latent.vae import VAE
from gail_suite.learning.networks import Actor
from gail_suite.learning.shown.pairs import demo_pairs
from gail_suite.priors.fitting import rate, shuffled
from gail_suite.priors.prior import Prior, UseConfig, facts
from gail_suite.runs.config import shares


@dataclass(frozen=True)
class LatentConfig(UseConfig):
    """Latent actions: a = w dec(z) + (1 - w) a_full."""

    share: float = 0.5
    """Share w of the action that the prior decodes, the same throughout the run."""

    AMOUNTS: ClassVar[tuple[str, ...]] = ("share",)

    def __post_init__(self) -> None:
        super().__post_init__()
        shares(self, "share")


NOT_OF = {"ae": ("beta",)}
"""Settings of the other model."""
VAE_REACH = 2.0
"""A code in [-1, 1] times this is a VAE's: the two standard deviations that hold 95 % of its prior (Zhou et al.,
2020).
"""


class ActionDecoder(nn.Module):
    """v (B, Z + A) -> share * clip(dec(z), -1, 1) + (1 - share) * a_full, (B, A) in [-1, 1]; frozen ReLU MLP `dec`.

    The torch twin of `demos.layers.ActionDecoder`. Clipping keeps a an action whatever the decoder was fitted to;
    beyond the bound it stops the gradient, as the squashing of a policy does.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], share: float) -> None:
        super().__init__()
        self.depth, self.latent, self.share = len(layers), layers[0][0].shape[1], share
        for i, (weight, bias) in enumerate(layers):
            self.register_buffer(f"weight_{i}", weight.detach().clone())
            self.register_buffer(f"bias_{i}", bias.detach().clone())

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight (out, in) and bias (out,) of every layer."""
        return [(getattr(self, f"weight_{i}"), getattr(self, f"bias_{i}")) for i in range(self.depth)]

    def decode(self, z: Tensor) -> Tensor:
        """Actions (B, A) of codes (B, Z) in [-1, 1]."""
        h = z
        for i, (weight, bias) in enumerate(self.layers()):
            h = F.linear(F.relu(h) if i else h, weight, bias)
        return h.clamp(-1, 1)

    @override
    def forward(self, wide: Tensor) -> Tensor:
        return self.share * self.decode(wide[:, : self.latent]) + (1 - self.share) * wide[:, self.latent :]

    def arrays(self) -> dict[str, np.ndarray]:
        """The tensors of `demos.layers.ActionDecoder`."""
        found = {"decoder.share": np.array([self.share], np.float32)}
        for i, (weight, bias) in enumerate(self.layers()):
            found |= {f"decoder.{i}.weight": weight.cpu().numpy(), f"decoder.{i}.bias": bias.cpu().numpy()}
        return found


class LatentActor(Actor):
    """A squashed-Gaussian policy over v = (z, a_full), whose actions are decoded.

    `log_prob` is that of given v, exact; the density of a itself would need an integral over all v that decode to it.
    """

    def __init__(self, n_features: int, act_dim: int, hidden: Sequence[int], decoder: ActionDecoder) -> None:
        super().__init__(n_features, decoder.latent + act_dim, hidden)
        self.decoder = decoder

    @override
    def mode(self, features: Tensor) -> Tensor:
        return self.decoder(super().mode(features))

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Decoded action (B, A), and the log-probability (B,) of the v it was decoded from; noise (B, Z + A)."""
        wide, log_prob = super().sample(features, noise)
        return self.decoder(wide), log_prob

    @override
    def policy_extras(self) -> dict[str, np.ndarray]:
        return self.decoder.arrays()


def fit(
    demonstrations: Demonstrations,
    model: str = "ae",
    seed: int = 0,
    control: str | None = None,
    *,
    latent: int | None = None,
    hidden: int = 64,
    layers: int = 2,
    beta: float = 0.1,
    steps: int = 2500,
) -> Prior:
    """An autoencoder of the demonstrations' actions, without states.

    `untrained` is the control with a wider vector alone: a random decoder whose actions have the expert's mean and
    deviation.

    Args:
        model: ae (codes bounded by tanh) or vae (codes times `VAE_REACH`).
        latent: size of the code; half of the actions, rounded, where not given (Hausdorfer et al., 2024).
        hidden, layers: sizes of encoder and decoder.
        beta: weight of the VAE's KL.
        steps: gradient steps at most.

    Raises:
        ValueError: a code of no dimension.
    """
    features, shown = demo_pairs(demonstrations.task, demonstrations)
    actions = shown.actions
    latent = max(1, round(actions.shape[1] / 2)) if latent is None else latent
    seen = shuffled(actions, seed) if control == "shuffled" else actions
    own = rate(control)
    coder = (
        AutoEncoder(latent, hidden, layers, "mlp", bounded=True, mixture=0, **own)
        if model == "ae"
        else VAE(latent, hidden, layers, "mlp", beta=beta, min_sd=0.02, **own)
    )
    coder.fit(seen, steps=1 if own else steps, seed=seed, progress=False, device="cpu")
    if own:
        spread(coder.net.decoder, latent, VAE_REACH if model == "vae" else 1.0, seed)
    error = (coder.reconstruct(actions) - actions).square().mean() / actions.var(0, correction=0).mean().clamp_min(
        1e-12
    )
    settings = {
        "latent": latent,
        "hidden": hidden,
        "layers": layers,
        "beta": beta,
        "steps": steps,
        "unexplained": float(error),
    }
    return Prior(
        **facts("latent-action", model, demonstrations, features, control, seed), model=coder, settings=settings
    )


@torch.no_grad()
def spread(decoder: nn.Module, latent: int, reach: float, seed: int) -> None:
    """Gives an untrained decoder outputs of mean 0 and deviation 1 (in the actions' units) over codes in [-reach,
    reach].

    Weights as drawn decode every code to about the mean action, which would make the control a policy with a smaller
    range of actions and not one with a wider vector.
    """
    codes = reach * (2 * torch.rand(2000, latent, generator=torch.Generator().manual_seed(seed)) - 1)
    out = decoder(codes).squeeze(-1)
    last = [m for m in decoder.modules() if isinstance(m, nn.Linear)][-1]
    sd = out.std(0).clamp_min(1e-6)
    last.weight.div_(sd[:, None])
    last.bias.sub_(out.mean(0)).div_(sd)


def decoder_of(prior: Prior, share: float) -> ActionDecoder:
    """The frozen decoder of a prior; the units of its codes and outputs go into the first and the last layer."""
    coder: Any = prior.model
    linears = [m for m in coder.net.decoder.dense if isinstance(m, nn.Linear)]
    layers = [(m.weight.detach().clone(), m.bias.detach().clone()) for m in linears]
    with torch.no_grad():
        if prior.kind == "vae":
            layers[0][0].mul_(VAE_REACH)
        units = coder.net.scaling if prior.kind == "ae" else coder.net.likelihood
        weight, bias = layers[-1]
        layers[-1] = (weight * units.scale[:, None], bias * units.scale + units.centre)
    return ActionDecoder(layers, share)


def actor_of(prior: Prior, config: LatentConfig) -> Callable[..., Actor]:
    """What makes a run's actor of (n_features, act_dim, hidden): one with latent actions."""
    return partial(LatentActor, decoder=decoder_of(prior, config.share))
