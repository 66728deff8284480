"""Drawing images pixel by pixel from an autoregressive network: plainly, with caches, and around known pixels.

Both samplers turn the same pre-drawn uniforms into levels by inverting the conditional distribution function, so they
draw the same images; the cached one computes every feature of every pixel once instead of once for each later pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gail_suite.generative.networks.layers import State


class CausalNetwork(Protocol):
    """An autoregressive network on level indices x (B, C, H, W), with logits (..., K), or (..., 1) for binary
    images."""

    shape: tuple[int, int, int]

    def __call__(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Logits (B, C, H, W, K) of every pixel given those before it."""

    def start(self, batch: int, y: Tensor | None) -> Any:
        """The state before the first pixel."""

    def next_row(self, state: Any) -> None:
        """Begin the next row; every pixel of the row before has been put."""

    def step(self, state: Any, j: int, pixel: Tensor) -> Tensor:
        """Logits (B, C, K) at column j, where ``pixel`` (B, C) holds the channels already drawn."""

    def put(self, state: Any, j: int, pixel: Tensor) -> None:
        """Fix the pixel (B, C) at column j."""


@dataclass(frozen=True)
class Given:
    """Known pixels of an inpainting: ``keep`` marks them in ``x``, ``weighs`` those that weigh the particles; each
    image is drawn by ``particles`` copies."""

    x: Tensor
    keep: Tensor
    weighs: Tensor
    particles: int
    generator: torch.Generator


def log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p of level indices ``x`` (...) under ``logits`` (..., K) or, for binary, (..., 1): shape (...)."""
    if logits.shape[-1] == 1:
        sign = 2.0 * x.to(logits.dtype) - 1.0
        return F.logsigmoid(sign * logits[..., 0])
    return torch.log_softmax(logits, dim=-1).gather(-1, x[..., None])[..., 0]


def draw(logits: Tensor, u: Tensor) -> Tensor:
    """Level indices (B,) from ``logits`` (B, K or 1) by inverting the distribution function at ``u`` (B,)."""
    if logits.shape[-1] == 1:
        return (u < torch.sigmoid(logits[:, 0])).long()
    cdf = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
    return (cdf < u[:, None]).sum(dim=-1).clamp_max(logits.shape[-1] - 1)


def sample_plain(net: CausalNetwork, u: Tensor, y: Tensor | None) -> Tensor:
    """Level indices like ``u`` (B, C, H, W), running the whole network for every value: the reference for the cached
    sampler."""
    x = torch.zeros(u.shape, dtype=torch.int64, device=u.device)
    channels, height, width = net.shape
    for i in range(height):
        for j in range(width):
            for c in range(channels):
                x[:, c, i, j] = draw(net(x, y)[:, c, i, j], u[:, c, i, j])
    return x


def sample_cached(net: CausalNetwork, u: Tensor, y: Tensor | None, given: Given | None = None) -> Tensor:
    """The samples of ``sample_plain`` from one pass over the pixels (Ramachandran et al. 2017), around ``given`` pixels
    if any."""
    channels, height, width = net.shape
    x = torch.zeros(u.shape, dtype=torch.int64, device=u.device)
    log_weight = torch.zeros(len(u), dtype=torch.float64, device=u.device)
    state = net.start(len(u), y)
    noise = u.permute(2, 3, 1, 0).contiguous()
    for i in range(height):
        net.next_row(state)
        for j in range(width):
            pixel = x[:, :, i, j]
            for c in range(channels):
                logits = net.step(state, j, pixel)[:, c]
                value = draw(logits, noise[i, j, c])
                if given is not None:
                    keep, known = given.keep[:, c, i, j], given.x[:, c, i, j]
                    log_weight += torch.where(given.weighs[:, c, i, j], log_likelihood(logits, known).double(), 0.0)
                    value = torch.where(keep, known, value)
                pixel[:, c] = value
            net.put(state, j, pixel)
        if given is not None:
            _resample(given, state, x, log_weight, last=i == height - 1)
    return x


def _resample(given: Given, state: State, x: Tensor, log_weight: Tensor, last: bool) -> None:
    """Where fewer than half of an image's particles carry its weight, or at the end, draw them anew by weight."""
    weight = torch.softmax(log_weight.view(-1, given.particles), dim=1)
    images, particles = weight.shape
    poor = (1.0 / weight.square().sum(dim=1) < particles / 2) | last
    if not bool(poor.any()):
        return
    chosen = torch.multinomial(weight, particles, replacement=True, generator=given.generator)
    index = torch.where(poor[:, None], chosen, torch.arange(particles, device=weight.device))
    index = (index + particles * torch.arange(images, device=weight.device)[:, None]).flatten()
    state.select(index)
    x.copy_(x[index])
    log_weight.copy_(torch.where(poor[:, None].expand_as(weight).flatten(), 0.0, log_weight[index]))


def leading(keep: Tensor) -> Tensor:
    """Where ``keep`` (n, C, H, W) holds and no unknown value comes before in raster order, channels of a pixel last."""
    n, channels, height, width = keep.shape
    run = keep.permute(0, 2, 3, 1).flatten(1).int().cumprod(1).bool()
    return run.view(n, height, width, channels).permute(0, 3, 1, 2)


def inpaint_levels(
    net: CausalNetwork, x: Tensor, keep: Tensor, y: Tensor | None, particles: int, generator: torch.Generator
) -> Tensor:
    """Fill the pixels of level indices ``x`` (n, C, H, W) where ``keep`` is false, by a particle filter over the rows.

    Unknown pixels are drawn from the model given all pixels before them; known ones that follow an unknown one weigh
    the particles by their probability, and low weights are resampled (Gordon, Salmond and Smith 1993). ``y`` (n,
    particles) are labels drawn given the ``leading`` known pixels, which therefore weigh nothing. The result is an
    exact sample of p(unknown | known) when no known pixel follows an unknown one in raster order, and approaches one
    with the number of particles otherwise.
    """
    every_x, every_keep, weighs = (t.repeat_interleave(particles, 0) for t in (x, keep, keep & ~leading(keep)))
    repeated = Given(every_x, every_keep, weighs, particles, generator)
    u = torch.rand(repeated.x.shape, generator=generator, device=x.device, dtype=torch.float64)
    return sample_cached(net, u, None if y is None else y.flatten(0, 1), repeated)[::particles]
