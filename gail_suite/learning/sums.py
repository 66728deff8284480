"""What the updates report between two rows of metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


class Sums:
    """The numbers that each update reported since the last row, by name."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self.values)

    def add(self, info: Mapping[str, Tensor]) -> None:
        """What one update reported."""
        for name, value in info.items():
            self.values[name].append(value)

    def means(self) -> dict[str, float]:
        """The mean of each number, for a row."""
        return {name: float(torch.stack(values).mean()) for name, values in self.values.items()}

    def clear(self) -> None:
        """Begins the next row."""
        self.values.clear()

    def check(self, step: int) -> None:
        """FloatingPointError that names what stopped being finite first since the last row of metrics."""
        first = None
        for name, values in self.values.items():
            bad = torch.nonzero(~torch.isfinite(torch.stack(values).float().reshape(len(values), -1).sum(1)))
            if len(bad) and (first is None or int(bad[0]) < first[0]):
                first = int(bad[0]), name
        if first is not None:
            update, name = first
            raise FloatingPointError(
                f"step {step}: {name} was the first to be no finite number, {len(self.values[name]) - update} "
                f"updates ago: the {part_of(name)} has diverged; resume from the last checkpoint, or start a new run "
                "with a lower rate"
            )

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {name: torch.stack(values).cpu().numpy() for name, values in self.values.items()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        for name, values in arrays.items():
            self.values[name] = list(torch.from_numpy(np.array(values)))


def part_of(name: str) -> str:
    """The part of a run that a number of its metrics belongs to, in words."""
    prefixes = {"critic": "critic", "target": "critic", "actor": "actor", "entropy": "actor", "alpha": "temperature"}
    return next((part for prefix, part in prefixes.items() if name.startswith(prefix)), "discriminator or its prior")
