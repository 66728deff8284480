"""Discriminators with and without a bottleneck, and what limits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gail_suite.learning.dual import gaussian_kl
from gail_suite.learning.networks import Discriminator
from generative.coders import Encoder
from generative.vae import MAX_LOG_VAR, MIN_LOG_VAR


@dataclass(frozen=True)
class LogitConfig:
    """What keeps a discriminator from knowing too much, and the reward that its logit gives."""

    entropy: float = 0.0
    """Weight of the entropy of the discriminator's output."""
    dropout: float = 0.0
    """Share of each layer's outputs hidden while the discriminator learns."""
    bottleneck: float = 0.0
    """Nats that the discriminator may know of a pair (Peng et al., 2019); 0 for a discriminator without bottleneck."""
    latent: int = 32
    """Dimensions of the bottleneck's code. A bottleneck prior brings its own network, so neither this nor `hidden` is followed beside one."""
    dual_rate: float = 0.01
    """Largest step of the multiplier that holds the bottleneck."""
    reward: str = "gail"
    """Form of the reward: gail, airl, fairl or logd (see rewards.py for their signs)."""
    reward_clip: float = 5.0
    """Bound on the reward's absolute value."""


class BottleneckDiscriminator(nn.Module):
    """logits_expert_is_high = w . z + b with z ~ q(z|x) = N(mu(x), diag exp(log_var(x))), x = (s, a): (B,).

    The encoder is the one of `generative.VAE`, so that a fitted one can be put in. It learns from samples of z, under
    E KL(q(z|x) || N(0, I)) <= I_c, and gives rewards from the mean mu(x), as in Peng et al. (2019).
    """

    def __init__(self, n_inputs: int, latent: int = 32, hidden: int = 128, layers: int = 2):
        super().__init__()
        self.encoder = Encoder([n_inputs], 2 * latent, hidden, layers, "mlp")
        self.head = nn.Linear(latent, 1)

    def posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each (B, Z)."""
        mean, log_var = self.encoder(inputs).chunk(2, -1)
        return mean, log_var.clamp(MIN_LOG_VAR, MAX_LOG_VAR)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.posterior(inputs)[0]).squeeze(-1)

    def training_logits(self, inputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Logits (B,) of sampled codes, and KL(q(z|x) || N(0, I)) of each row in nats (B,)."""
        mean, log_var = self.posterior(inputs)
        z = mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=generator)
        return self.head(z).squeeze(-1), gaussian_kl(mean, log_var)


def make_discriminator(
    n_inputs: int, hidden: Sequence[int], bottleneck: float = 0.0, latent: int = 32, dropout: float = 0.0
) -> Discriminator | BottleneckDiscriminator:
    """The plain discriminator for bottleneck 0, else one with a bottleneck of `latent` dimensions.

    Raises:
        ValueError: a limit that is none, bottleneck and dropout at once, or layers of different widths under a bottleneck.
    """
    if bottleneck < 0 or not 0 <= dropout < 1:
        raise ValueError(
            f"bottleneck is in nats, 0 or more, and dropout a share in [0, 1), got {bottleneck} and {dropout}"
        )
    if bottleneck == 0:
        return Discriminator(n_inputs, hidden, dropout=dropout)
    if dropout > 0:
        raise ValueError(
            f"bottleneck={bottleneck} and dropout={dropout} both limit the discriminator: set one of them to 0"
        )
    if len(set(hidden)) > 1:
        raise ValueError(f"a bottleneck's encoder has layers of one width, got hidden={tuple(hidden)}: make them equal")
    return BottleneckDiscriminator(n_inputs, latent, hidden[0], len(hidden))
