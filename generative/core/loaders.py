"""Which rows of its data set a torch DataLoader stands for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler, SubsetRandomSampler


def order_of(loader: DataLoader[Any], reader: str = "a network draws its own batches, and") -> Tensor | None:
    """The rows that a loader's sampler leaves to it, None for all; ValueError for one that draws in its own way."""
    sampler, batches = loader.sampler, loader.batch_sampler
    if isinstance(sampler, SubsetRandomSampler):
        return torch.tensor(list(sampler.indices))
    all_of_them = isinstance(sampler, SequentialSampler | RandomSampler) and _each_once(sampler, loader.dataset)
    if not all_of_them or not (batches is None or type(batches) is BatchSampler):
        name = type(sampler if not all_of_them else batches).__name__
        raise ValueError(
            f"{reader} cannot follow the loader's {name}: leave it out, or choose the rows with "
            "torch.utils.data.Subset(dataset, indices)"
        )
    return None


def _each_once(sampler: SequentialSampler | RandomSampler, dataset: Dataset[Any]) -> bool:
    """Whether a sampler draws every row of ``dataset`` once."""
    n = len(dataset)  # type: ignore[arg-type]
    if isinstance(sampler, RandomSampler) and (sampler.replacement or sampler.num_samples != n):
        return False
    return len(sampler.data_source) == n
