"""The variational discriminator bottleneck (Peng et al., 2019): the discriminator sees only a few nats of its input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gail_suite.demos.trajectory import Demonstrations
from gail_suite.generative.latent.vae import VAE
from gail_suite.learning.rewards.discriminators import BottleneckDiscriminator, LogitConfig
from gail_suite.learning.rewards.dual import gaussian_kl
from gail_suite.learning.shown.features import Features
from gail_suite.learning.shown.pairs import demo_pairs
from gail_suite.priors.fitting import rate, shuffled
from gail_suite.priors.prior import Prior, UseConfig, facts
from gail_suite.runs.config import NonNegative, finite


@dataclass(frozen=True)
class BottleneckConfig(UseConfig):
    """A discriminator that begins with the prior's encoder and is held at a few nats."""

    nats: NonNegative = 0.5
    """What the discriminator may know of a pair."""

    AMOUNTS: ClassVar[tuple[str, ...]] = ("nats",)

    def __post_init__(self) -> None:
        super().__post_init__()
        finite(self, "nats")


NOT_OF: dict[str, tuple[str, ...]] = {}
"""Settings of other models: there is one."""


def fit(
    demonstrations: Demonstrations,
    model: str = "vae",
    seed: int = 0,
    control: str | None = None,
    *,
    latent: int = 32,
    hidden: int = 128,
    layers: int = 2,
    beta: float = 1.0,
    steps: int = 1500,
) -> Prior:
    """A VAE of the demonstrations' pairs (features, action in [-1, 1]), whose encoder is to start a discriminator.

    Args:
        latent, hidden, layers: sizes of the VAE, and so of the discriminator.
        beta: weight of its KL; larger ones encode fewer nats.
        steps: gradient steps at most.
    """
    features, shown = demo_pairs(demonstrations.task, demonstrations)
    pairs = shown.together()
    if control == "shuffled":
        pairs = shuffled(pairs, seed)
    own = rate(control)
    vae = VAE(latent, hidden, layers, "mlp", beta=beta, min_sd=0.05, batch_size=128, **own)
    vae.fit(pairs, steps=1 if own else steps, seed=seed, progress=False, device="cpu")
    settings = {
        "latent": latent,
        "hidden": hidden,
        "layers": layers,
        "beta": beta,
        "steps": steps,
        "nats": float(gaussian_kl(*vae.net.posterior(pairs, None)).mean().detach()),
    }
    return Prior(**facts("bottleneck", model, demonstrations, features, control, seed), model=vae, settings=settings)


def discriminator_of(prior: Prior, features: Features, n_inputs: int) -> BottleneckDiscriminator:
    """The discriminator that a prior starts, in a run whose pairs are `n_inputs` wide.

    Raises:
        ValueError: the run's pairs have another width (absorbing states) or hide columns that the prior reads.
    """
    assert isinstance(prior.model, VAE)
    columns, scale, shift = (torch.from_numpy(a) for a in features.into(prior.features))
    n_actions = n_inputs - len(features.columns)
    if n_actions + len(columns) != prior.model.spec["event_shape"][0]:
        raise ValueError(
            f"the prior reads pairs of {prior.model.spec['event_shape'][0]} numbers, the discriminator of this run "
            f"{n_inputs}: set adversary.absorbing=false, or leave out the prior and set adversary.bottleneck"
        )
    matrix = torch.zeros(len(features.columns), len(columns))
    matrix[columns, torch.arange(len(columns))] = scale
    whole = torch.block_diag(matrix, torch.eye(n_actions))
    return discriminator_from_vae(prior.model, whole, F.pad(shift, (0, n_actions)))


L = TypeVar("L", bound=LogitConfig)


def bottlenecked(config: L, nats: float) -> L:
    """The config of a discriminator that a prior starts, held at `nats`.

    Raises:
        ValueError: dropout or another limit beside it.
    """
    if config.dropout > 0 or config.bottleneck > 0:
        raise ValueError(
            f"priors.bottleneck.nats={nats} limits the discriminator, as would adversary.dropout={config.dropout} and "
            f"adversary.bottleneck={config.bottleneck}: set those two to 0"
        )
    return replace(config, bottleneck=nats)


@torch.no_grad()
def discriminator_from_vae(vae: VAE, matrix: Tensor, shift: Tensor) -> BottleneckDiscriminator:
    """A discriminator of x whose encoder is, to rounding, the posterior of a VAE fitted to x @ matrix + shift; its head
    is new.

    The VAE standardises its inputs by a centre c and a scale s; both affine maps go into the first layer:
    W' = (W / s) matrix^T, b' = b + (W / s) (shift - c).
    """
    c, units = vae.config, vae.net.likelihood
    net = BottleneckDiscriminator(len(matrix), c["latent"], c["hidden"], c["layers"])
    weights = dict(vae.net.encoder.state_dict())
    scaled = weights["dense.0.weight"] / units.scale
    weights["dense.0.weight"] = scaled @ matrix.T
    weights["dense.0.bias"] = weights["dense.0.bias"] + scaled @ (shift - units.centre)
    net.encoder.load_state_dict(weights)
    return net
