"""Data that are read row by row, so that they need not fit into memory: torch Datasets, their DataLoaders, NumPy
memmaps.
"""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    default_collate,
)

from gail_suite.generative.core.checks import as_context, as_labels, as_tensor, check_finite, check_range, is_context
from gail_suite.generative.core.loaders import order_of
from gail_suite.generative.core.types import ArrayLike

LOOKED_AT = 10_000
"""Rows at most that value type, classes, means and deviations are read from."""


class Rows:
    """What a tensor of rows offers to training, ``len`` and ``rows[index]``, over a data set that stays where it is.

    Every read is checked as data in memory are. ``labels`` are rows too, which share the last read: those of the
    source where ``labelled``, or those ``given`` to a source that has none. The workers of a ``loader`` read batches
    that are known to come.
    """

    device = torch.device("cpu")
    classes: int | None = None
    """Labels that training knows, once it does; then any other is an error."""

    def __init__(
        self,
        source: Any,
        order: Tensor | None = None,
        loader: DataLoader[Any] | None = None,
        labelled: bool = True,
        given: Tensor | None = None,
    ) -> None:
        self.source, self.loader, self.labelled, self.given = source, loader, labelled, given
        self._begin(torch.arange(len(source)) if order is None else order)

    def _begin(self, order: Tensor) -> None:
        if len(order) == 0:
            raise ValueError(f"the {type(self.source).__name__} holds no sample")
        self._coming: Iterator[list[Any]] = iter(())
        self._expected: deque[Tensor] = deque()
        self._some: tuple[Tensor, Tensor | None] | None = None
        self.order = order
        first = self._read(order[:1])
        self.shape, self.ndim = (len(order), *first[0].shape[1:]), first[0].ndim
        self.labels = Labels(self) if first[1] is not None else None
        self._last: tuple[Tensor, tuple[Tensor, Tensor | None]] = (order[:1], first)

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
        other = copy.copy(self)
        other._begin(self.order[index])
        return other

    @contextlib.contextmanager
    def ahead(self, indices: Iterable[Tensor]) -> Iterator[None]:
        """Within the block the loader's workers, where it has any, read the rows of these ``indices``, in their order,
        before they are asked for. What ``some`` keeps is let go: training needs it no more.
        """
        self._some = None
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
        """Rows from all over the data, in memory, where they are kept until training begins."""
        if self._some is None:
            self._some = self.both(torch.arange(0, len(self), -(-len(self) // LOOKED_AT)))
        return self._some

    def _read(self, index: Tensor, items: list[Any] | None = None) -> tuple[Tensor, Tensor | None]:
        y = None
        if isinstance(self.source, np.ndarray):
            x = as_tensor(self.source[index.numpy()]).to(torch.float32)
        else:
            items = [self.source[i] for i in index.tolist()] if items is None else items
            x, labels = _collated(items, self.loader)
            if self.labelled and labels is not None:
                y = self._labels(labels)
        check_finite(x)
        if x.ndim == 4:
            check_range(x)
        return x, y if self.given is None else self.given[index]

    def _labels(self, y: Tensor) -> Tensor:
        if is_context(y):
            return as_context(y, len(y), self.device, None)
        try:
            return as_labels(y, len(y), self.device, self.classes)
        except ValueError as error:
            where = f" (classes are counted in {LOOKED_AT:,} rows from all over the data)" if self.classes else ""
            raise ValueError(f"{error}{where}") from None


class Labels:
    """The labels of ``Rows``."""

    device = torch.device("cpu")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __getitem__(self, index: Tensor) -> Tensor:
        y = self.rows.both(index)[1]
        assert y is not None
        return y


def _collated(items: list[Any], loader: DataLoader[Any] | None) -> tuple[Tensor, Tensor | None]:
    """Samples and, where there are any, labels of a batch of a Dataset's items, by the loader's ``collate_fn`` if it
    has one of its own."""
    if loader is not None and loader.collate_fn is not default_collate:
        batch = loader.collate_fn(items)
        parts = list(batch) if isinstance(batch, tuple | list) else [batch]
        x, *labels = (as_tensor(part) for part in parts[:2])
        if x.ndim == 0 or len(x) != len(items):
            raise ValueError(
                f"collate_fn made a batch of shape {tuple(x.shape)} of {len(items)} items: it has to give one sample "
                "an item, x or (x, y)"
            )
        return x.to(torch.float32), labels[0] if labels else None
    pairs = [item if isinstance(item, tuple | list) else (item,) for item in items]
    x = _stacked([pair[0] for pair in pairs], "samples").to(torch.float32)
    return x, _stacked([pair[1] for pair in pairs], "labels") if len(pairs[0]) > 1 else None


def _stacked(each: list[Any], what: str) -> Tensor:
    """Numbers of every row, side by side; ValueError where they are none or do not fit together."""
    try:
        return torch.stack([torch.as_tensor(one) for one in each])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"the {what} of a Dataset must be numbers of one shape: {str(error).splitlines()[0]}"
        ) from None


def as_rows(x: object, y: ArrayLike | None = None, *, labelled: bool = True) -> Rows | None:
    """``x`` as ``Rows`` where it is a Dataset, a DataLoader or a memmap; None for arrays and tensors in memory.

    A DataLoader lends its data set, its workers and the rows that a SubsetRandomSampler names; batch size and order are
    the model's own. Labels are the source's or, where it has none, ``y``, and are read if ``labelled``. ValueError for
    a Dataset without a length, another sampler, and for an iterator.
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
        loader = x if isinstance(x, DataLoader) else None
        if loader is not None and loader.batch_size is None and loader.batch_sampler is None:
            raise ValueError(
                "a network draws its own batches, and batch_size=None makes every item of a DataLoader one: give a "
                "Dataset whose items are single samples, and let the loader batch them"
            )
        rows = Rows(source, None if loader is None else order_of(loader), loader, labelled)
        if y is None:
            return rows
        if rows.labels is not None:
            raise ValueError(f"the labels of a {type(x).__name__} come from there: leave y out")
        n, device = len(rows.source), torch.device("cpu")
        given = as_context(y, n, device, None) if is_context(y) else as_labels(y, n, device)
        return Rows(source, rows.order, loader, labelled, given)
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
