"""The expert at the agent's moment: demonstrated rows by the time in the episode at which they were shown.

A learner that falls after 80 steps has seen nothing but the beginning, which is a twelfth of a demonstration of 1000
steps. A discriminator that draws the expert from the whole is then right to call every beginning the learner's, and its
reward says little about how to begin well. Drawn at the agent's moment, the expert is compared with what it did there;
for a learner whose episodes last as long as the expert's the two are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Draws rows that were shown at most `reach` steps before or after given times.

    Args:
        times: (N,) step in its episode at which each row was shown.
        reach: steps, at least 0.
    """

    def __init__(self, times: Tensor, reach: float) -> None:
        self.order = torch.argsort(times, stable=True)
        self.times = times[self.order].contiguous()
        self.reach = reach

    def draw(self, times: Tensor, generator: torch.Generator) -> Tensor:
        """A row (B,) for each time (B,), uniformly from those in reach; from the nearest moment where there is none.

        Where a time is not known (NaN), from all rows.
        """
        unknown = times.isnan()
        times = times.nan_to_num().contiguous()
        first = torch.searchsorted(self.times, times - self.reach)
        end = torch.searchsorted(self.times, times + self.reach, right=True)
        empty = end <= first
        if empty.any():
            nearest = self._nearest(times, first)
            first = torch.where(empty, torch.searchsorted(self.times, nearest), first)
            end = torch.where(empty, torch.searchsorted(self.times, nearest, right=True), end)
        first, end = first.masked_fill(unknown, 0), end.masked_fill(unknown, len(self.times))
        share = torch.rand(len(times), generator=generator)
        return self.order[first + (share * (end - first)).long().clamp(max=len(self.times) - 1)]

    def _nearest(self, times: Tensor, after: Tensor) -> Tensor:
        """The moment of a row that is nearest to each time; `after` (B,) points behind those that are too early."""
        before, behind = self.times[(after - 1).clamp(min=0)], self.times[after.clamp(max=len(self.times) - 1)]
        return torch.where((times - before).abs() <= (behind - times).abs(), before, behind)
