"""Returns in words, with as many decimals as their size asks for."""

from __future__ import annotations

import math


def decimals(*values: float) -> int:
    """Decimals that give the largest of some numbers three digits, at most four.

    >>> decimals(5172.3), decimals(-17.0, 2.0), decimals(0.93), decimals(0.0)
    (0, 1, 3, 0)
    """
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return min(4, max(0, 2 - math.floor(math.log10(largest)))) if largest else 0


def said_return(mean: float, sd: float | None = None) -> str:
    """A return, or the mean and the standard deviation of some; "unknown" where rewards are not all known.

    >>> said_return(5172.3, 45.0), said_return(0.9312, 0.004), said_return(float("nan"), 0.0)
    ('5172 +- 45', '0.931 +- 0.004', 'unknown')
    """
    if math.isnan(mean):
        return "unknown"
    places = decimals(mean, sd or 0.0)
    return f"{mean:.{places}f}" + (f" +- {sd:.{places}f}" if sd is not None else "")
