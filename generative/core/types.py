"""Names of types that several modules use."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

ArrayLike = np.ndarray | Tensor
Settings: TypeAlias = dict[str, Any]
"""A model's settings, or what it inferred from its data, by name: values that JSON holds."""
Data: TypeAlias = ArrayLike | Dataset[Any] | DataLoader[Any]
"""What ``fit`` takes: arrays, or what is read row by row."""
Held: TypeAlias = Data | tuple[Data, ArrayLike | None]
"""Held-out data, with labels or without."""
Stream: TypeAlias = Iterable[Any]
"""Batches that come one after the other: x, or (x, ...)."""
