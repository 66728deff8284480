"""Codes of given samples for a generator without an encoder, by gradient search."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gail_suite.generative.core.backend import learning, seed_generator
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.networks.coders import repeated

STEPS, STARTS, PULL = 150, 4, 1e-3


def invert(
    model: GenerativeModel,
    x: Tensor,
    y: Tensor | None = None,
    known: Tensor | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """Codes z (N, latent) with G(z) close to ``x`` where ``known``: argmin |G(z) - x|^2 + 1e-3 |z|^2 by Adam, best of 4
    starts.

    Source: AnoGAN (Schlegl et al. 2017), without the feature term. ``model`` is a GAN or a DCGAN. Returned with the
    codes are their classes (N,): ``y``, or without it, for a model with classes, those of the lowest minimum.
    """
    if y is not None or not model.spec.get("n_classes"):
        return _search(model, x, y, known, seed)[0], y
    classes = model.met_classes()
    tried = [_search(model, x, torch.full((len(x),), c), known, seed) for c in classes]
    best = torch.stack([loss for _, loss in tried]).argmin(0)
    codes = torch.stack([z for z, _ in tried])[best, torch.arange(len(x), device=x.device)]
    return codes, torch.tensor(classes, device=x.device)[best]


@learning()
def _search(
    model: GenerativeModel, x: Tensor, y: Tensor | None, known: Tensor | None, seed: int
) -> tuple[Tensor, Tensor]:
    """The codes of ``invert`` for given classes, and what they minimise (N,)."""
    net: Any = model.net
    latent, n = model.config["latent"], len(x)
    labels = repeated(None if y is None else y.to(x.device), STARTS)
    target = ((x.clone() - net.shift) / net.scale).repeat(STARTS, *[1] * (x.ndim - 1))
    weight = (
        torch.ones_like(target) if known is None else known.to(target).expand_as(x).repeat(STARTS, *[1] * (x.ndim - 1))
    )
    z = torch.randn(STARTS * n, latent, generator=seed_generator(seed, x.device), device=x.device).requires_grad_()
    optimiser = torch.optim.Adam([z], lr=0.1)
    frozen = [p for p in net.parameters() if p.requires_grad]
    for p in frozen:
        p.requires_grad_(False)
    try:
        for _ in range(STEPS):
            misfit = (weight * (net.average(z, labels) - target).square()).flatten(1).sum(1)
            loss = misfit + PULL * z.square().sum(1)
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimiser.step()
    finally:
        for p in frozen:
            p.requires_grad_(True)
    lowest, best = loss.detach().view(STARTS, n).min(0)
    return z.detach().view(STARTS, n, latent)[best, torch.arange(n, device=x.device)], lowest
