"""What changes over a run."""

from __future__ import annotations


def linear(start: float, end: float | None, fraction: float) -> float:
    """From `start` to `end` for a run that is `fraction` in [0, 1] done; `start` throughout where there is no end."""
    return start if end is None else start + (end - start) * fraction
