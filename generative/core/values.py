"""What kind of values images hold, which decides the likelihoods that suit them."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LEVELS = 64


def infer_values(x: Tensor) -> tuple[str, int]:
    """The value type of images in [0, 1] and its number of levels: ("binary", 2), ("categorical", L <= 64) or ("grey",
    256).

    Categorical means that every value is a multiple of 1 / (L - 1), for the smallest such L, but for the rounding of
    numbers of 16 bits.
    """
    if len(torch.unique(x.reshape(-1)[:100_000])) > MAX_LEVELS:
        return "grey", 256
    values = torch.unique(x)
    for levels in range(2, MAX_LEVELS + 1):
        if len(values) <= levels and not off_levels(values, levels, 1e-4).any():
            return ("binary" if levels == 2 else "categorical"), levels
    return "grey", 256


def off_levels(x: Tensor, levels: int, tolerance: float = 1e-3) -> Tensor:
    """Which values are no multiples of 1 / (levels - 1), to a share of that step, or to the rounding of numbers of 16
    bits where all values are such.
    """
    grid = x.double() * (levels - 1)
    far = (grid - grid.round()).abs()
    off = far > tolerance
    return far > max(tolerance, _rounding(x) * (levels - 1)) if off.any() else off


def _rounding(values: Tensor) -> float:
    """How far values below 1 may lie from what was meant, where all of them are numbers of 16 bits; 0 otherwise."""
    kinds = [k for k in (torch.bfloat16, torch.float16) if torch.equal(values.to(k).to(values.dtype), values)]
    return torch.finfo(kinds[0]).eps / 3 if kinds else 0.0  # a quarter, and what float32 adds
