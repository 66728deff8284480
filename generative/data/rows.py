"""Data that are read row by row, so that they need not fit into memory: torch Datasets, their DataLoaders, NumPy
memmaps.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from gail_suite.generative.core.checks import check_finite, check_range

LOOKED_AT = 10_000
"""Rows at most that value type, classes, means and deviations are read from."""


class Rows:
    """What a tensor of rows offers to training, ``len`` and ``rows[index]``, over a data set that stays where it is.

    Every read is checked as data in memory are. ``labels`` are rows too, which share the last read. The workers of a
    ``loader`` read batches that are known to come.
    """

    device = torch.device("cpu")

    def __init__(self, source: Any, order: Tensor | None = None, loader: DataLoader[Any] | None = None) -> None:
        self.source, self.loader = source, loader
        self._coming: Iterator[list[Any]] = iter(())
        self._expected: deque[Tensor] = deque()
        self.order = torch.arange(len(source)) if order is None else order
        first = self._read(self.order[:1])
        self.shape, self.ndim = (len(self.order), *first[0].shape[1:]), first[0].ndim
        self.labels = Labels(self) if first[1] is not None else None
        self._last: tuple[Tensor, tuple[Tensor, Tensor | None]] = (self.order[:1], first)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.both(index)[0]

    def both(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The rows ``index`` and their labels, None where there are none."""
        if index is not self._last[0]:
            items = None
            if self._expected and torch.equal(self._expected[0], index):
                self._expected.popleft()
                items = next(self._coming)
            self._last = index, self._read(self.order[index], items)
        return self._last[1]

    def part(self, index: Tensor) -> Rows:
        """The rows ``index`` as rows of their own, still unread."""
        return Rows(self.source, self.order[index], self.loader)

    @contextlib.contextmanager
    def ahead(self, indices: Iterable[Tensor]) -> Iterator[None]:
        """Within the block the loader's workers, where it has any, read the rows of these ``indices``, in their order,
        before they are asked for.
        """
        if self.loader is None or not self.loader.num_workers:
            yield
            return
        self._coming = iter(
            DataLoader(
                self.source,
                batch_sampler=self._announced(indices),
                num_workers=self.loader.num_workers,
                prefetch_factor=self.loader.prefetch_factor,
                worker_init_fn=self.loader.worker_init_fn,
                multiprocessing_context=self.loader.multiprocessing_context,
                collate_fn=list,
                generator=torch.Generator(),
            )
        )
        try:
            yield
        finally:  # ends the workers
            self._coming = iter(())
            self._expected.clear()

    def _announced(self, indices: Iterable[Tensor]) -> Iterator[list[int]]:
        for index in indices:
            self._expected.append(index)
            yield self.order[index].tolist()

    def some(self) -> tuple[Tensor, Tensor | None]:
        """Rows from all over the data, in memory."""
        return self.both(torch.arange(0, len(self), -(-len(self) // LOOKED_AT)))

    def _read(self, index: Tensor, items: list[Any] | None = None) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.source, np.ndarray):
            x, y = torch.from_numpy(np.array(self.source[index.numpy()], np.float32)), None
        else:
            items = [self.source[i] for i in index.tolist()] if items is None else items
            pairs = [item if isinstance(item, tuple | list) else (item,) for item in items]
            x = torch.stack([torch.as_tensor(pair[0]) for pair in pairs]).to(torch.float32)
            y = torch.tensor([int(pair[1]) for pair in pairs]) if len(pairs[0]) > 1 else None
        check_finite(x)
        if x.ndim == 4:
            check_range(x)
        return x, y


class Labels:
    """The labels of ``Rows``."""

    device = torch.device("cpu")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __getitem__(self, index: Tensor) -> Tensor:
        y = self.rows.both(index)[1]
        assert y is not None
        return y


def as_rows(x: object) -> Rows | None:
    """``x`` as ``Rows`` where it is a Dataset, a DataLoader or a memmap; None for arrays and tensors in memory.

    A DataLoader lends its data set and workers; batch size and order are the model's own. ValueError for a Dataset
    without a length, and for an iterator.
    """
    source = x.dataset if isinstance(x, DataLoader) else x
    by_index = not isinstance(source, IterableDataset) and isinstance(source, Sized)
    if isinstance(source, Dataset) and not by_index:
        raise ValueError(
            f"{type(source).__name__} has no length and cannot be read by index, which seeded epochs need: give a "
            "Dataset with "
            "__len__ and __getitem__"
        )
    if isinstance(source, np.memmap | Dataset):
        return Rows(source, loader=x if isinstance(x, DataLoader) else None)
    if isinstance(source, Iterator):
        # every error of ours is a ValueError
        raise ValueError(  # noqa: TRY004
            f"a {type(source).__name__} can be read once, and a network reads its data many times: give an array, one "
            "mapped from a file (numpy.load(path, mmap_mode='r')), or a Dataset"
        )
    return None


def in_memory(x: Tensor | Rows) -> Tensor:
    """All of a tensor; of ``Rows`` those that statistics are read from."""
    return x.some()[0] if isinstance(x, Rows) else x


def part_of(x: Any, index: Tensor) -> Any:
    """The rows ``index`` of a tensor or of ``Rows``, unread if they were."""
    return x.part(index) if isinstance(x, Rows) else x[index]
