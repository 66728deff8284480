"""Encoders and decoders for images and vectors, and the likelihoods p(x | z) with their range checks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.core.types import Settings
from gail_suite.generative.core.values import off_levels
from gail_suite.generative.networks.layers import UpTo, convolutional, halvings, mlp, unrounded

ARCHITECTURES = ("auto", "mlp", "conv")
LIKELIHOODS = ("auto", "bernoulli", "categorical", "gaussian")
CONV_FROM = 16
"""Images at least this high and wide get convolutions under ``arch="auto"``."""


def resolve_arch(arch: str, event_shape: list[int]) -> str:
    """ "mlp" or "conv"; ValueError for convolutions on vectors or on images under 8 pixels."""
    if arch == "auto":
        return "conv" if len(event_shape) == 3 and min(event_shape[1:]) >= CONV_FROM else "mlp"
    if arch == "conv" and (len(event_shape) != 3 or min(event_shape[1:]) < 8):
        raise ValueError(
            f"arch='conv' needs images of at least 8x8, got samples of shape {tuple(event_shape)}: use arch='mlp'"
        )
    return arch


class Encoder(nn.Module):
    """(B, *event shape) in [-1, 1] or standardised, and condition features (B, E), to (B, n_out)."""

    def __init__(
        self, event_shape: list[int], n_out: int, hidden: int, layers: int, arch: str, n_extra: int = 0
    ) -> None:
        super().__init__()
        self.conv: nn.Module | None = None
        n_in = math.prod(event_shape)
        if arch == "conv":
            channels, height, width = event_shape
            self.conv = convolutional(
                [
                    nn.Conv2d(channels, 32, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(32, 64, 3, stride=2, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(64, 64, 3, stride=2, padding=1),
                    nn.ReLU(),
                ]
            )
            n_in = 64 * math.prod(halvings(height, width, 2)[-1])
        self.dense = mlp([n_in + n_extra, *[hidden] * layers, n_out])

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """Codes, or their parameters, of ``x``, beside which the vectors ``extra`` enter."""
        h = (x if self.conv is None else self.conv(x)).flatten(1)
        return unrounded(self.dense(h if extra is None else torch.cat([h, extra], 1)))


class Decoder(nn.Module):
    """(B, n_in) to (B, *event shape, per_value): ``per_value`` numbers for every value of a sample."""

    def __init__(self, n_in: int, event_shape: list[int], per_value: int, hidden: int, layers: int, arch: str) -> None:
        super().__init__()
        self.event_shape, self.per_value = event_shape, per_value
        self.conv: nn.Module | None = None
        n_out = math.prod(event_shape) * per_value
        if arch == "conv":
            channels, height, width = event_shape
            (_, middle, small) = halvings(height, width, 2)
            n_out, self.small = 64 * math.prod(small), small
            self.conv = convolutional(
                [
                    nn.ReLU(),
                    UpTo(middle),
                    nn.Conv2d(64, 64, 3, padding=1),
                    nn.ReLU(),
                    UpTo((height, width)),
                    nn.Conv2d(64, 32, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(32, channels * per_value, 3, padding=1),
                ]
            )
        self.dense = mlp([n_in, *[hidden] * layers, n_out])

    def forward(self, z: Tensor) -> Tensor:
        """The likelihood's parameters from codes ``z`` (B, latent)."""
        h = self.dense(z)
        if self.conv is not None:
            h = unrounded(self.conv(h.view(len(h), 64, *self.small)))
            return h.unflatten(1, (self.event_shape[0], self.per_value)).movedim(2, -1)
        return unrounded(h).view(len(h), *self.event_shape, self.per_value)


class Likelihood(nn.Module):
    """p(x | decoder output) in nats per sample, its mean and its draws.

    "bernoulli" (values 0 and 1), "categorical" (multiples of 1 / (levels - 1)), "gaussian" (any values): the mean from
    the decoder and one learned standard deviation a value, at least ``min_sd`` times the data's, in which vectors are
    standardised by column and images by one mean and standard deviation.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, kind: str, spec: Settings, min_sd: float) -> None:
        super().__init__()
        self.kind, self.levels, self.min_sd = kind, spec["levels"], min_sd
        self.per_value = self.levels if kind == "categorical" else 1
        shape = spec["event_shape"] if kind == "gaussian" else [1]
        self.register_buffer("centre", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        if kind == "gaussian":
            self.log_sd = nn.Parameter(torch.full(shape, -0.5))

    def standardise(self, x: Tensor) -> None:
        """Take centre and scale from the training data."""
        if self.kind != "gaussian":
            return
        if x.ndim == 4:
            self.centre.fill_(x.mean()), self.scale.fill_(x.std(correction=min(1, x.numel() - 1)).clamp_min(1e-3))
            return
        sd = x.std(0, correction=0)
        self.centre.copy_(x.mean(0)), self.scale.copy_(sd.clamp_min(max(1e-6, 1e-3 * float(sd.median()))))

    def inputs(self, x: Tensor) -> Tensor:
        """What the encoder sees."""
        return (x - self.centre) / self.scale if self.kind == "gaussian" else 2 * x - 1

    def check(self, x: Tensor) -> None:
        """ValueError where values are impossible under this likelihood."""
        if self.kind == "gaussian":
            return
        x = x.detach()
        off = int(off_levels(x, self.levels if self.kind == "categorical" else 2).sum())
        if off or float(x.min()) < 0 or float(x.max()) > 1:
            wanted = "values 0 and 1" if self.kind == "bernoulli" else f"the {self.levels} levels k / {self.levels - 1}"
            raise ValueError(
                f"likelihood={self.kind!r} takes {wanted}, but {off} values in [{float(x.min()):.4g}, "
                f"{float(x.max()):.4g}] are not: binarise the data, or use likelihood='gaussian'"
            )

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """log p(x | out) summed over the values of a sample; ``x`` (B, *event), ``out`` (S, B, *event, per_value)
        -> (S, B).
        """
        if self.kind == "bernoulli":
            terms = F.logsigmoid((2 * x - 1) * out.squeeze(-1))
        elif self.kind == "categorical":
            index = (x * (self.levels - 1)).round().long().expand(out.shape[:-1]).unsqueeze(-1)
            terms = out.gather(-1, index).squeeze(-1) - out.logsumexp(-1)
        else:
            sd = self._sd()
            residual = (self.inputs(x) - out.squeeze(-1)) / sd
            terms = -0.5 * residual.square() - (sd * self.scale).log() - 0.5 * math.log(2 * math.pi)
        return terms.flatten(2).sum(2)

    def mean(self, out: Tensor) -> Tensor:
        """E[x | out] for ``out`` (B, *event, per_value)."""
        if self.kind == "bernoulli":
            return out.squeeze(-1).sigmoid()
        if self.kind == "categorical":
            grid = torch.arange(self.levels, device=out.device, dtype=out.dtype) / (self.levels - 1)
            return out.softmax(-1) @ grid
        return out.squeeze(-1) * self.scale + self.centre

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """What ``draw`` needs for samples of ``shape`` (B, *event)."""
        draw = torch.randn if self.kind == "gaussian" else torch.rand
        return draw(shape, generator=generator, device=generator.device)

    def draw(self, out: Tensor, noise: Tensor) -> Tensor:
        """x ~ p(x | out)."""
        if self.kind == "gaussian":
            return self.mean(out) + noise * self._sd() * self.scale
        if self.kind == "bernoulli":
            return (noise < out.squeeze(-1).sigmoid()).to(out.dtype)
        index = (out.softmax(-1).cumsum(-1) < noise.unsqueeze(-1)).sum(-1).clamp_max(self.levels - 1)
        return index.to(out.dtype) / (self.levels - 1)

    def _sd(self) -> Tensor:
        return self.min_sd + F.softplus(self.log_sd)


def resolve_likelihood(likelihood: str, spec: Settings) -> str:
    """The likelihood that suits the data's value type under "auto"."""
    if likelihood != "auto":
        if likelihood == "categorical" and not spec["levels"]:
            raise ValueError("likelihood='categorical' needs images, vectors have no levels: use likelihood='gaussian'")
        return likelihood
    return {"binary": "bernoulli", "categorical": "categorical"}.get(spec["value"], "gaussian")


def repeated(y: Tensor | None, times: int) -> Tensor | None:
    """Labels or context vectors, all of them ``times`` times."""
    return None if y is None else y.repeat(times, *[1] * (y.ndim - 1))


def condition(y: Tensor | None, n_classes: int) -> Tensor | None:
    """What p(x | y) is conditioned on: labels (B,) one-hot (B, n_classes), context vectors (B, C) as they are, or
    None.
    """
    if y is None or y.ndim == 2:
        return y
    return F.one_hot(y, n_classes).float() if n_classes else None
