"""A behaviour prior over discretised actions: the masked convolutions of PixelCNN over a row of action dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from gail_suite.generative.autoregressive.model import CausalNet
from gail_suite.generative.networks.layers import CausalConv2d, ResidualBlock, mlp

UNIFORM = 0.01
"""Probability spread evenly over the levels, so that no action is impossible and log p0 is bounded below."""


class ActionPixelCNN(CausalNet):
    """p0(a|s) = prod_i p(a_i | a_<i, s): an action is a picture of 1 x A pixels with `levels` values on [-1, 1].

    The stem (van den Oord, Kalchbrenner and Kavukcuoglu, 2016) is as wide as the row, so that every dimension sees all
    before it. A network of the features feeds every layer, at every position: the dimensions of an action are different
    joints, not translations of each other. Autoregressive action heads: Metz et al. (2017); discretised ones: Tang and
    Agrawal (2020).

    Between two levels the density is interpolated linearly (levels are the knots of a piecewise linear density that
    integrates to one exactly, and at the knots it is the level's probability over the width that it stands for). This
    makes log p0 differentiable in the action, which a KL by reparametrised samples needs, and keeps several modes
    apart, where the moments of a Gaussian would put the mass between them.
    """

    spacing: Tensor

    def __init__(
        self, n_features: int, n_actions: int, levels: int = 11, width: int = 32, depth: int = 2, hidden: int = 128
    ) -> None:
        stem = CausalConv2d(1, width, 2 * n_actions - 1 + 2 * (n_actions == 1), "A", height=1)
        blocks: list[nn.Module] = [ResidualBlock(width, 3, 1) for _ in range(depth)]
        super().__init__((1, 1, n_actions), levels, 0, width, blocks, stem)
        self.width, self.depth = width, depth
        self.conditioner = mlp([n_features, hidden, (depth + 1) * n_actions * width])
        spacing = torch.full((levels,), 2 / (levels - 1))
        spacing[[0, -1]] /= 2  # the outermost levels stand for half a cell
        self.register_buffer("spacing", spacing, persistent=False)

    def class_features(self, y: Tensor | None, batch: int) -> Tensor:
        """What the state says to each layer at each position, (depth + 1, B, 1, A, width), from features (B, F)."""
        assert y is not None
        return self.conditioner(y).view(batch, self.depth + 1, 1, self.shape[2], self.width).transpose(0, 1)

    @override
    def features(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.stem(x) + condition[0]
        for layer, said in zip(self.layers, condition[1:], strict=True):
            h = layer(h + said)
        return h

    def log_levels(self, features: Tensor, actions: Tensor) -> Tensor:
        """log p of every level of every dimension given the dimensions before it: (B, A) in [-1, 1] -> (B, A,
        levels).
        """
        h = self.features(actions[:, None, :, None], self.class_features(features, len(features)))
        logits = self.head(h)[:, 0]
        return torch.log(UNIFORM / self.levels + (1 - UNIFORM) * logits.softmax(-1))

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """log density (B,) in nats of actions (B, A) in [-1, 1], differentiable in both."""
        knots = self.log_levels(features, actions).exp() / self.spacing
        place = (actions.clamp(-1, 1) + 1) * (self.levels - 1) / 2
        left = place.detach().floor().clamp(max=self.levels - 2).long()
        ends = knots.gather(-1, torch.stack([left, left + 1], -1))
        return torch.lerp(ends[..., 0], ends[..., 1], place - left).log().sum(-1)

    @torch.no_grad()
    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B, A) at the levels, one dimension after the other."""
        actions = torch.zeros(len(features), self.shape[2])
        for i in range(self.shape[2]):
            p = self.log_levels(features, actions)[:, i].exp()
            level = torch.multinomial(p, 1, generator=generator).squeeze(1)
            actions[:, i] = 2 * level / (self.levels - 1) - 1
        return actions
