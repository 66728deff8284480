"""Typicality: a model's error, put on a scale in (0, 1] that is read off held-out data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

QUANTILES = (0.5, 0.95)
MOST = 1_000_000
"""Errors at most that a scale is read from; torch's quantile takes 16 million."""


class Scale(NamedTuple):
    """Where errors on held-out data lie."""

    median: float
    upper: float
    """Their 95 % quantile, always above the median."""


def scale_of(errors: Tensor) -> Scale:
    """Median and 95 % quantile of ``errors`` (N,), a little apart where all are equal; ValueError for NaN and
    infinity.
    """
    errors = errors.double().cpu()
    if not torch.isfinite(errors).all():
        raise ValueError("the error is not finite on held-out data, so typicality has no scale")
    median, upper = torch.quantile(errors[:MOST], errors.new_tensor(QUANTILES)).tolist()
    return Scale(median, max(upper, median + 1e-6 * (1.0 + abs(median))))


def typicality(errors: Tensor, scale: tuple[float, float], tail: float | None = None) -> Tensor:
    """exp(-f) for f = relu(error - median) / (upper - median), or with ``tail`` (1 + f)^-tail; in (0, 1], shape of
    ``errors``.

    Half of held-out data thus have typicality 1, and 5 % less than 1/e (with ``tail`` 2^-tail).
    """
    median, upper = scale
    far = torch.relu(errors - median) / (upper - median)
    return torch.exp(-far if tail is None else -tail * far.log1p()).clamp_min(torch.finfo(torch.float32).tiny)
