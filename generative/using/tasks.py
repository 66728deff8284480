"""Applications by name, each dispatched on what the model can do: fill in, denoise, upscale, interpolate, rank
anomalies.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gail_suite.generative.core.checks import as_tensor, check_finite, check_range
from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.mixtures.mixture import Mixture
from gail_suite.generative.using.inversion import invert

PROJECTIONS = 30
"""Rounds of encode, decode and restoring the known values, for models with a code."""


def inpaint(
    model: GenerativeModel, x: ArrayLike, mask: ArrayLike, *, y: ArrayLike | int | None = None, seed: int = 0
) -> Tensor:
    """``x`` with the values where ``mask`` is False (unknown) filled in by the model; known values stay as they are.

    Mixtures give the conditional mean in closed form; autoregressive models draw from p(unknown | known); models with a
    code alternate reconstruction and restoring the known values; GANs search the code that explains the known values.

    >>> import torch
    >>> from gail_suite import generative as g
    >>> x = torch.rand(100, 1).repeat(1, 2)  # the second number is the first
    >>> model = g.GaussianMixture(4).fit(x, seed=0)
    >>> filled = g.inpaint(model, torch.tensor([[0.3, 0.0]]), torch.tensor([[True, False]]))
    >>> bool(abs(filled[0, 1] - 0.3) < 0.05)
    True
    """
    model._need_fit()
    y = model._given_labels(y, len(x))
    own = getattr(model, "inpaint", None)
    if own is not None:
        return own(x, mask, seed=seed) if y is None else own(x, mask, y=y, seed=seed)
    if isinstance(model, Mixture):
        return _in_range(model.impute(x, mask))
    given, known = model._known(x, mask)
    if _searches(model):
        return torch.where(known, given, _decode(model, *invert(model, given, y, known, seed)))
    filled = torch.where(known, given, _typical(model, len(given), y))
    for _ in range(PROJECTIONS):
        filled = torch.where(known, given, _reconstruct(model, _valid(model, filled), y))
    return filled


def denoise(model: GenerativeModel, x: ArrayLike, sigma: float, *, y: ArrayLike | int | None = None) -> Tensor:
    """The clean sample behind ``x`` = clean + N(0, sigma^2).

    Mixtures give E[clean | x] in closed form. Models with a code reconstruct, and average with ``x`` by their
    precisions; the reconstruction's variance is what the mean squared difference from ``x`` exceeds sigma^2 by, sample
    by sample.
    """
    model._need_fit()
    if not 0 <= sigma < math.inf:
        raise ValueError(
            f"sigma={sigma} must be a number >= 0, the standard deviation of the noise in units of the data"
        )
    y = model._given_labels(y, len(x))
    noisy = model._tensor(x)
    if isinstance(model, Mixture):
        flat = noisy.reshape(len(noisy), -1)
        return _in_range(model.posterior_mean(flat, torch.eye(flat.shape[1]).to(flat), sigma).view(noisy.shape))
    clean = _reconstruct(model, _valid(model, noisy), y)
    if sigma == 0:
        return clean
    spread = (noisy - clean).square().flatten(1).mean(1).sub(sigma**2).clamp_min(0).view(-1, *[1] * (noisy.ndim - 1))
    weight = spread / (spread + sigma**2)
    return _in_range(clean + weight * (noisy - clean))


def upscale(model: GenerativeModel, x: ArrayLike, factor: int, *, y: ArrayLike | int | None = None) -> Tensor:
    """Images ``factor`` times as high and wide as ``x`` (N, C, h, w), whose blocks average to ``x``, of the model's
    size.

    Mixtures give the posterior mean in closed form; models with a code alternate reconstruction and correcting the
    blocks; autoregressive models take each block's value for its centre pixel and draw the others.
    """
    model._need_fit()
    if factor < 1:
        raise ValueError(f"factor={factor} must be at least 1, the side of a block in pixels")
    y = model._given_labels(y, len(x))
    small = as_tensor(x).to(model.device, model.dtype)
    channels, height, width = _image_shape(model)
    if (
        small.ndim != 4
        or list(small.shape[1:]) != [channels, height // factor, width // factor]
        or height % factor
        or width % factor
    ):
        raise ValueError(
            f"upscale by {factor} to {channels}x{height}x{width} takes images of {channels}x{height / factor:g}x"
            f"{width / factor:g}, got {tuple(small.shape[1:])}"
        )
    check_finite(small)
    check_range(small)
    if isinstance(model, Mixture):
        identity = torch.eye(channels * height * width).to(small).view(-1, channels, height, width)
        operator = F.avg_pool2d(identity, factor).flatten(1).T
        return _in_range(model.posterior_mean(small.flatten(1), operator).view(-1, channels, height, width))
    large = F.interpolate(small, scale_factor=factor, mode="nearest")
    if hasattr(model, "inpaint"):
        mask = torch.zeros(height, width, dtype=torch.bool, device=model.device)
        mask[factor // 2 :: factor, factor // 2 :: factor] = True
        return inpaint(model, _valid(model, large), mask, y=y)
    for _ in range(PROJECTIONS):
        guess = _reconstruct(model, _valid(model, large), y)
        missing = small - F.avg_pool2d(guess, factor)
        large = (guess + F.interpolate(missing, scale_factor=factor, mode="nearest")).clamp(0, 1)
    return large


def interpolate(
    model: GenerativeModel, a: ArrayLike, b: ArrayLike, n: int = 8, *, y: ArrayLike | int | None = None
) -> Tensor:
    """``n`` samples on the way from each of ``a`` to each of ``b``, through the model's codes: (N, n, *event shape).

    Two single samples of the event shape give (n, *event shape). A model with classes and no ``y`` decodes the first
    half of the way under the best class of ``a``, the second under that of ``b``.
    """
    model._need_fit()
    if n < 2:
        raise ValueError(f"n={n} must be at least 2, the two ends")
    a, b = as_tensor(a), as_tensor(b)
    if list(a.shape) == model.spec.get("event_shape"):
        return interpolate(model, a.unsqueeze(0), b.unsqueeze(0), n, y=y)[0]
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    y = model._given_labels(y, len(a))
    (start, first), (end, last) = (_encode(model, ends, y, "interpolate") for ends in (a, b))
    steps = [
        _decode(model, torch.lerp(start, end, float(t)), first if t < 0.5 else last) for t in torch.linspace(0, 1, n)
    ]
    return torch.stack(steps, dim=1)


def complete(model: GenerativeModel, x: ArrayLike, mask: ArrayLike, y: ArrayLike | int, *, seed: int = 0) -> Tensor:
    """``inpaint`` for a wanted class: the unknown values as class ``y`` (one label, or one a sample) would have
    them.
    """
    return inpaint(model, x, mask, y=model._given_labels(y, len(x)), seed=seed)


def rank_anomalies(model: GenerativeModel, x: ArrayLike) -> Tensor:
    """Indices of ``x`` from the least to the most typical (by ``error``), shape (N,)."""
    return model.error(x).argsort(descending=True)


def _encode(model: GenerativeModel, x: ArrayLike, y: Tensor | None, task: str) -> tuple[Tensor, Tensor | None]:
    """Codes, and the classes that they are meant for: ``y``, or those that explain ``x`` best.

    ValueError where the model has no codes to do ``task`` with.
    """
    if _searches(model):
        return invert(model, model._check(x), y)
    encode: Any = getattr(model, "encode", None)
    if encode is None:
        raise ValueError(f"{type(model).__name__} cannot {task}: it has no codes; use an AutoEncoder or a VAE")
    if y is None and hasattr(model, "best_class"):
        y = model.best_class(x)
    return (encode(x) if y is None else encode(x, y)), y


def _decode(model: Any, codes: Tensor, y: Tensor | None) -> Tensor:
    return model.decode(codes) if y is None else model.decode(codes, y)


def _searches(model: GenerativeModel) -> bool:
    """Whether codes must be searched: a generator without an encoder."""
    return not hasattr(model, "encode") and hasattr(getattr(model, "net", None), "average")


def _reconstruct(model: GenerativeModel, x: Tensor, y: Tensor | None) -> Tensor:
    """decode(encode(x)); for a conditional model without labels, under the class that explains x best."""
    return _decode(model, *_encode(model, x, y, "reconstruct"))


def _valid(model: GenerativeModel, x: Tensor) -> Tensor:
    """``x`` brought to values that the model accepts: images to [0, 1], and to the nearest of few levels."""
    if x.ndim != 4:
        return x
    levels, x = model.spec["levels"], x.clamp(0, 1)
    return (x * (levels - 1)).round() / (levels - 1) if model.spec["value"] in ("binary", "categorical") else x


def _typical(model: Any, n: int, y: Tensor | None) -> Tensor:
    """What the code zero stands for (of class ``y``), ``n`` times: where filling in starts."""
    if y is None and model.spec.get("n_classes"):
        y = torch.full((n,), model.met_classes()[0])
    return _decode(model, torch.zeros(n, model.code_width, device=model.device), y)


def _in_range(x: Tensor) -> Tensor:
    return x.clamp(0, 1) if x.ndim == 4 else x


def _image_shape(model: GenerativeModel) -> list[int]:
    shape = model.spec.get("event_shape", [])
    if len(shape) != 3:
        raise ValueError(
            f"upscale needs a model fitted on images, this one was fitted on samples of shape {tuple(shape)}"
        )
    return shape
