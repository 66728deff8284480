"""What kind of values images hold, which decides the likelihoods that suit them."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LEVELS = 64


def infer_values(x: Tensor) -> tuple[str, int]:
    """The value type of images in [0, 1] and its number of levels: ("binary", 2), ("categorical", L <= 64) or ("grey",
    256).

    Categorical means that every value is a multiple of 1 / (L - 1), for the smallest such L.
    """
    if len(torch.unique(x.reshape(-1)[:100_000])) > MAX_LEVELS:
        return "grey", 256
    values = torch.unique(x.double())
    for levels in range(2, MAX_LEVELS + 1):
        grid = values * (levels - 1)
        if len(values) <= levels and bool((grid - grid.round()).abs().max() < 1e-4):
            return ("binary" if levels == 2 else "categorical"), levels
    return "grey", 256
