"""The rows that a mixture is fitted to, centred and float64 a chunk at a time, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from gail_suite.generative.core.checks import as_tensor
from gail_suite.generative.core.types import Stream

KEEP = 1 << 26
"""Bytes of rows, in float64, of which a centred copy is kept; larger data are centred anew in every chunk."""
SUMMED = 1 << 20
"""Values that are added up at once."""


class Chunk(NamedTuple):
    """Some rows."""

    at: int
    """The index of the first one."""
    x: Tensor
    """(B, D) float64, centred."""
    weight: Tensor | None
    """(B,) or None for all ones."""


class CentredRows:
    """Rows of one array: (N, ...) of any floating type, in memory or mapped from a file."""

    event: tuple[int, ...]
    """Shape of a sample."""

    def __init__(self, x: Tensor, weight: Tensor | None = None, offset: Tensor | None = None) -> None:
        """``offset`` is what is subtracted in place of the mean."""
        self.n, self.weight, self.device = len(x), weight, x.device
        self.source = x.reshape(len(x), -1) if x.is_contiguous() else x
        self.event, self.d = tuple(x.shape[1:]), x[0].numel()
        self.total = float(len(x)) if weight is None else float(weight.sum())
        self.offset = self._mean() if offset is None else offset
        self.centred = self._centre(self.source) if self.n * self.d * 8 <= KEEP else None

    def _mean(self) -> Tensor:
        """The weighted mean (D,) of what is known."""
        sums = known = torch.zeros(self.d, dtype=torch.float64, device=self.device)
        size = max(1, SUMMED // self.d)
        for i in range(0, self.n, size):
            part = self.source[i : i + size].reshape(-1, self.d).to(torch.float64)
            weight = torch.ones_like(part[:, 0]) if self.weight is None else self.weight[i : i + size]
            sums = sums + weight @ part.nan_to_num(0.0)
            known = known + weight @ (~part.isnan()).to(weight)
        return _mean_of(sums, known)

    def degrees_of_freedom(self) -> float:
        """What sums of squares about the mean are divided by: as for rows that are repeated as often as they weigh,
        and with weights below 1 in proportion to them, as if all rows weighed the same.
        """
        counted = self.n if self.weight is None else int(self.weight.count_nonzero())
        return self.total * (1 - 1 / max(counted, self.total)) or 1.0

    def _centre(self, part: Tensor) -> Tensor:
        return part.reshape(len(part), -1).to(torch.float64) - self.offset

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows in order, ``rows`` at a time."""
        for i in range(0, self.n, rows):
            part = slice(i, i + rows)
            x = self._centre(self.source[part]) if self.centred is None else self.centred[part]
            yield Chunk(i, x, None if self.weight is None else self.weight[part])

    def pick(self, index: Tensor) -> Tensor:
        """The centred rows at ``index``."""
        return self._centre(self.source[index.to(self.device)])


class CentredBatches(CentredRows):
    """Rows that an iterable yields batch by batch in every pass, such as a DataLoader; ``check`` sees every
    batch.
    """

    def __init__(self, batches: Stream, check: Callable[[Tensor], Tensor], device: torch.device) -> None:
        self.batches, self.check, self.device, self.weight = batches, check, device, None
        self.n, known, total = 0, torch.zeros((), device=device), torch.zeros((), device=device)
        self.event: tuple[int, ...] = ()
        for batch in self._raw():
            if self.n and tuple(batch.shape[1:]) != self.event:
                raise ValueError(f"one batch has samples of shape {self.event}, another of {tuple(batch.shape[1:])}")
            self.n, self.event = self.n + len(batch), tuple(batch.shape[1:])
            flat = batch.reshape(len(batch), -1)
            total = total + torch.nansum(flat, 0, dtype=torch.float64)
            known = known + (~flat.isnan()).sum(0)
        if self.n == 0:
            raise ValueError("the data hold no batch: give at least one")
        self.offset = _mean_of(total, known)
        self.d, self.total = len(self.offset), float(self.n)

    def _raw(self) -> Iterator[Tensor]:
        for batch in self.batches:
            yield self.check(samples_of(batch))

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows in order, at most ``rows`` at a time."""
        at = 0
        for batch in self._raw():
            for part in batch.split(rows):
                yield Chunk(at, self._centre(part), None)
                at += len(part)

    def pick(self, index: Tensor) -> Tensor:
        """The centred rows at ``index``, read in one pass."""
        out = torch.zeros(len(index), self.d, dtype=torch.float64, device=self.device)
        where = index.to(self.device)
        for at, x, _ in self.chunks(1 << 16):
            here = (where >= at) & (where < at + len(x))
            out[here] = x[where[here] - at]
        return out


def _mean_of(sums: Tensor, known: Tensor) -> Tensor:
    """Sums over counts (D,); ValueError for columns of which nothing is known."""
    if not bool((known > 0).all()):
        raise ValueError(
            f"column {int((known > 0).logical_not().nonzero()[0, 0])} holds nothing but NaN: leave it out of the data"
        )
    return sums / known


def samples_of(batch: Any) -> Tensor:
    """The samples of one batch; of a pair (samples, labels) the first."""
    x = as_tensor(batch[0] if isinstance(batch, tuple | list) else batch)
    return x if x.is_floating_point() else x.to(torch.float64)


def is_stream(x: object) -> TypeGuard[Stream]:
    """Whether ``x`` yields batches of samples, as a DataLoader does, and is no array itself."""
    is_array = isinstance(x, Tensor | list | tuple) or hasattr(x, "__array__") or hasattr(x, "toarray")
    return hasattr(x, "__iter__") and not is_array
