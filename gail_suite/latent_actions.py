"""Latent action priors (Hausdorfer et al., 2024): the policy steers a frozen decoder fitted to the expert's actions.

The policy's vector is v = (z, a_full) in [-1, 1]^(Z+A); the environment gets a = w dec(z) + (1 - w) a_full, and w is the
prior's weight. The paper writes a = (1 - w') dec(z) + w' a_full, so its w' (0.1 on Ant, 0.5 on Humanoid) is our 1 - w.
Probabilities and entropy are those of v, which the policy draws; critics, discriminator and replay see a alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.networks import Actor


class ActionDecoder(nn.Module):
    """v (B, Z + A) -> share * clip(dec(z), -1, 1) + (1 - share) * a_full, (B, A) in [-1, 1]; frozen ReLU MLP `dec`.

    The torch twin of `demos.layers.ActionDecoder`. Clipping keeps a an action whatever the decoder was fitted to; beyond
    the bound it stops the gradient, as the squashing of a policy does.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], share: float):
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

    def forward(self, wide: Tensor) -> Tensor:
        return self.share * self.decode(wide[:, :self.latent]) + (1 - self.share) * wide[:, self.latent:]

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

    def __init__(self, n_features: int, act_dim: int, hidden: Sequence[int], decoder: ActionDecoder):
        super().__init__(n_features, decoder.latent + act_dim, hidden)
        self.decoder = decoder

    def mode(self, features: Tensor) -> Tensor:
        return self.decoder(super().mode(features))

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Decoded action (B, A), and the log-probability (B,) of the v it was decoded from; noise (B, Z + A)."""
        wide, log_prob = super().sample(features, noise)
        return self.decoder(wide), log_prob

    def policy_extras(self) -> dict[str, np.ndarray]:
        return self.decoder.arrays()
