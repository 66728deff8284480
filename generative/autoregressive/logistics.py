"""Discretised mixtures of logistics: the pixels of colour images (Salimans, Karpathy, Chen and Kingma 2017,
PixelCNN++).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gail_suite.generative.autoregressive.pixelcnn import GatedNet
from gail_suite.generative.networks.layers import unrounded

SMALLEST_LOG_SCALE = -7.0


@dataclass(frozen=True)
class Mixture:
    """M logistics over the C channels of every pixel: log weights (..., M), means and log scales (..., M, C), and the
    strictly lower triangle (..., M, C, C) that adds multiples of the channels before to a channel's mean."""

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor
    mixing: Tensor

    def centres(self, x: Tensor) -> Tensor:
        """Means (..., M, C) given the values x (..., C) of the channels before."""
        return self.means + (self.mixing @ x[..., None, :, None]).squeeze(-1)


def numbers(components: int, channels: int) -> int:
    """Numbers that a mixture takes: for each component a weight, means, scales and the triangle."""
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


def mixture(out: Tensor, channels: int) -> Mixture:
    """The mixture that ``out`` (..., numbers) means."""
    parts = unrounded(out).unflatten(-1, (-1, numbers(1, channels)))
    weights, means, scales, slopes = parts.split(
        [1, channels, channels, numbers(1, channels) - 1 - 2 * channels], dim=-1
    )
    row, column = torch.tril_indices(channels, channels, -1, device=out.device)
    mixing = means.new_zeros(*means.shape, channels)
    mixing[..., row, column] = slopes.tanh()
    return Mixture(weights[..., 0].log_softmax(-1), means, scales.clamp_min(SMALLEST_LOG_SCALE), mixing)


def log_bins(x: Tensor, centres: Tensor, log_scales: Tensor, levels: int) -> Tensor:
    """log of a logistic's mass in the bin of ``x``, one of ``levels`` values evenly from -1 to 1; the outer bins are
    open.

    sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a)), so that no difference of nearly equal numbers is taken.
    """
    inverse, half = (-log_scales).exp(), 1.0 / (levels - 1)
    upper, lower = (x + half - centres) * inverse, (x - half - centres) * inverse
    below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
    between = below + above + torch.log(-torch.expm1(-2 * half * inverse))
    return torch.where(x < -1 + half, below, torch.where(x > 1 - half, above, between))


def log_conditionals(m: Mixture, x: Tensor, levels: int) -> Tensor:
    """log p(x_c | x_<c) of values x (..., C), shape (..., C)."""
    each = log_bins(x[..., None, :], m.centres(x), m.log_scales, levels)
    joint = torch.logsumexp(m.log_weights[..., None] + each.cumsum(-1), dim=-2)
    return joint - F.pad(joint[..., :-1], (1, 0))


def level_logits(m: Mixture, x: Tensor, levels: int) -> Tensor:
    """Logits (..., C, levels) of every level of a channel given the channels before it in x (..., C)."""
    centres, scales = m.centres(x), m.log_scales
    seen = log_bins(x[..., None, :], centres, scales, levels).cumsum(-1)
    weights = m.log_weights[..., None] + F.pad(seen[..., :-1], (1, 0))
    grid = torch.linspace(-1, 1, levels, device=x.device, dtype=x.dtype)
    every = log_bins(grid, centres[..., None], scales[..., None], levels)
    return torch.logsumexp(weights[..., None] + every, dim=-3)


class LogisticsNet(GatedNet):
    """Gated PixelCNN whose head gives a mixture of logistics for the channels of a pixel together.

    The features are not split over the channels: that a channel depends on those before it in its pixel is the
    mixture's part.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        n_classes: int,
        features: int,
        depth: int,
        size: int,
        components: int,
    ) -> None:
        super().__init__(
            shape, levels, n_classes, features, depth, size, groups=1, outputs=numbers(components, shape[0])
        )

    def _mixture(self, x: Tensor, y: Tensor | None) -> tuple[Mixture, Tensor]:
        """The mixture of every pixel of level indices (B, C, H, W), and the values (B, H, W, C)."""
        values = self.encode(x.permute(0, 2, 3, 1))
        return mixture(self.head(self.features(values, self.class_features(y, len(x)))), self.shape[0]), values

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Logits (B, C, H, W, levels) of every value given those before it."""
        return level_logits(*self._mixture(x, y), self.levels).permute(0, 3, 1, 2, 4)

    def level_log_probs(self, x: Tensor, y: Tensor | None) -> Tensor:
        """log p (B, C, H, W) of the values of ``x``, each given those before it."""
        return log_conditionals(*self._mixture(x, y), self.levels).permute(0, 3, 1, 2)

    def read(self, h: Tensor, pixel: Tensor) -> Tensor:
        """Logits of a pixel's levels from its features ``h`` and its own channels before."""
        return level_logits(mixture(self.head(h), self.shape[0]), self.encode(pixel), self.levels)
