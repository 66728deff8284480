"""What every model and every source of data refuses, in one line each."""

from __future__ import annotations

import torch
from torch import Tensor


def check_finite(x: Tensor) -> None:
    """ValueError for NaN and infinity."""
    if not torch.isfinite(x).all():
        raise ValueError(f"data holds {int((~torch.isfinite(x)).sum())} values that are NaN or infinite")


def check_range(images: Tensor) -> None:
    """ValueError for images outside [0, 1]."""
    if images.min() < 0 or images.max() > 1:
        raise ValueError(f"images must lie in [0, 1], got [{images.min():.4g}, {images.max():.4g}]: divide by the largest possible "
                         "value first")


def check_sizes(**sizes: int) -> None:
    """ValueError for a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
