"""What every model and every source of data refuses, in one line each."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


MOST_CLASSES = 100_000
"""Labels have to be below this: each class costs memory, whether or not a sample is of it."""


class NoNumbers(ValueError, TypeError):
    """Data that hold something else than numbers: one of our errors, and what scikit-learn's tools expect."""


def as_tensor(x: ArrayLike) -> Tensor:
    """``x`` as a tensor: arrays, also read-only ones, share their memory; lists and data frames are copied.

    What an array masks and what a data frame lacks is NaN. ValueError for complex numbers, sparse data and what holds
    no numbers.
    """
    if isinstance(x, Tensor):
        if x.is_complex():
            raise ValueError(f"data must be real numbers, got values of type {x.dtype} (Complex data not supported)")
        if x.layout != torch.strided:
            raise ValueError("sparse data are not supported: give x.to_dense()")
        return x
    if hasattr(x, "toarray"):
        raise ValueError("sparse data are not supported: give x.toarray()")
    try:
        array = _filled(x)
    except (TypeError, ValueError, OverflowError) as error:  # texts and gaps in data frames, ragged lists
        raise NoNumbers(f"data must be real numbers: {' '.join(str(error).split())}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"data must be real numbers, got values of type {array.dtype} (Complex data not supported)")
    if any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return torch.as_tensor(array) if array.flags.writeable else torch.from_dlpack(array)


def _filled(x: ArrayLike) -> np.ndarray:
    """``x`` as an array that torch has a type for, NaN where a mask or a data frame says that there is no value."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        return np.ma.filled(x.astype(np.float64), np.nan)
    array = np.asarray(x)
    if array.dtype.kind == "O" and hasattr(x, "to_numpy") and hasattr(x, "isna"):  # pandas, whose NA is no number
        array = np.where(np.asarray(x.isna()), np.nan, array)
    return array.astype(np.float64) if array.dtype.kind == "O" or array.dtype == np.longdouble else array


def column_names(x: object) -> list[str]:
    """The names of a data frame's columns, where all of them are texts; of anything else none."""
    names = list(getattr(x, "columns", ()))
    return names if all(isinstance(name, str) for name in names) else []


def check_finite(x: Tensor) -> None:
    """ValueError for NaN and infinity."""
    if not torch.isfinite(x).all():
        raise ValueError(f"data holds {int((~torch.isfinite(x)).sum())} values that are NaN or infinite")


def check_range(images: Tensor) -> None:
    """ValueError for images outside [0, 1]."""
    if images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"images must lie in [0, 1], got [{images.min():.4g}, {images.max():.4g}]: divide by the largest possible "
            "value first"
        )


def check_sizes(least: int = 1, /, **sizes: object) -> None:
    """ValueError for a size that is no whole number, or below ``least``."""
    for name, size in sizes.items():
        check_whole(**{name: size})
        if size < least:  # type: ignore[operator]
            raise ValueError(f"{name} must be at least {least}, got {size}")


def check_whole(**values: object) -> None:
    """ValueError for what is no whole number: every error of ours is one."""
    for name, value in values.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be a whole number")  # noqa: TRY004


def as_seed(seed: object) -> int:
    """A seed as torch's generators take it; ValueError for anything else."""
    check_whole(seed=seed)
    if not -(2**63) <= int(seed) < 2**64:  # type: ignore[call-overload]
        raise ValueError(f"seed={seed} does not fit into 64 bits: take a smaller one")
    return int(seed)  # type: ignore[call-overload, no-any-return]


def check_numbers(least: float = 0.0, /, **values: object) -> None:
    """ValueError for what is no number, NaN, or below ``least``."""
    for name, value in values.items():
        if not isinstance(value, int | float | np.number) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be a number")  # noqa: TRY004
        if not value >= least:
            raise ValueError(f"{name} must be {least:g} or more, got {value!r}")


def as_labels(y: ArrayLike, n: int, device: torch.device, classes: int | None = None) -> Tensor:
    """Labels (n,) on `device`; a single one is everyone's. ValueError for what is no label, or none of the
    `classes` where given.
    """
    try:
        given = as_tensor(y)
    except (TypeError, ValueError):
        raise ValueError(
            f"labels must be integers >= 0, got {type(y).__name__} of {getattr(y, 'dtype', 'other values')}: number "
            "the "
            "classes from 0"
        ) from None
    labels = given.to(device, torch.int64)
    if given.is_floating_point() and bool((given.to(device) != labels).any()):
        raise ValueError("labels must be integers >= 0, got numbers with fractions: number the classes from 0")
    labels = labels.expand(n) if labels.ndim == 0 else labels
    if labels.shape != (n,) or (n and int(labels.min()) < 0):
        raise ValueError(
            f"labels must be {n} integers >= 0, one a sample, got shape {tuple(labels.shape)}"
            + (f" from {int(labels.min())}" if labels.numel() else "")
        )
    if n and int(labels.max()) >= MOST_CLASSES:
        raise ValueError(
            f"label {int(labels.max())} is no class number below {MOST_CLASSES:,}: number the classes from 0"
        )
    if classes and int(labels.max()) >= classes:
        raise ValueError(f"label {int(labels.max())} is outside the {classes} classes seen at fit")
    return labels


def is_context(y: ArrayLike) -> bool:
    """Whether ``y`` is vectors of real numbers and not labels."""
    if isinstance(y, Tensor):
        return y.is_floating_point() and y.ndim == 2
    given = np.asarray(y)
    return given.dtype.kind == "f" and given.ndim == 2


def as_context(y: ArrayLike, n: int, device: torch.device, length: int | None) -> Tensor:
    """Context vectors (n, C) in float32 on ``device``; a single one (C,) is everyone's. ValueError for another
    shape, or ``length``.
    """
    given = as_tensor(y).to(device, torch.float32)
    given = given.expand(n, -1) if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != n or (length and given.shape[1] != length):
        wanted = f"({n}, {length or 'C'})"
        raise ValueError(f"context vectors must have shape {wanted}, got {tuple(given.shape)}")
    check_finite(given)
    return given


def refuse_unknown(model: type, names: Iterable[str]) -> None:
    """TypeError for ``names`` that the constructor of ``model`` does not have, with the nearest one that it has."""
    known = [name for name, p in inspect.signature(model).parameters.items() if p.kind is not p.VAR_KEYWORD]
    for name in names:
        raise TypeError(f"{model.__name__} has no parameter {name!r}: {hint(name, known)}")


def hint(name: str, known: list[str]) -> str:
    """Which of the ``known`` names was meant, whatever its case, or all of them where none is near."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[near[0]]!r}?" if near else f"known are {', '.join(known)}"
