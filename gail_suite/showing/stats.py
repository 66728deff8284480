"""Averages and intervals over a few noisy numbers: interquartile mean and bootstrap (Agarwal et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def iqm(values: np.ndarray) -> float:
    """Interquartile mean: the mean of what is left after dropping the lowest and the highest int(n / 4) values.

    >>> iqm([0.1, 0.8, 0.9, 1.0, 5.0])
    0.9
    """
    ordered = np.sort(np.asarray(values, np.float64).ravel())
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float] = lambda x: float(np.mean(x)),
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of values (n,) or (n, tasks); rows are resampled within each task.

    Raises ValueError for no values or a level outside (0, 1).
    """
    values = np.asarray(values, np.float64)
    if len(values) == 0 or not 0 < level < 1:
        raise ValueError(f"an interval needs at least one value and a level in (0, 1), got {len(values)} and {level}")
    table = values.reshape(len(values), -1)
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(table), size=(resamples, *table.shape))
    found = [statistic(np.take_along_axis(table, row, axis=0)) for row in rows]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def with_interval(value: float, interval: Sequence[float] | None, digits: int = 3) -> str:
    """A number with its interval in brackets, where there is a finite one.

    >>> with_interval(0.9, (0.85, 0.95), 2)
    '0.90 [0.85, 0.95]'
    """
    low, high = interval or (np.inf, np.inf)
    return f"{value:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite([low, high]).all() else "")


def interval_of(found: Mapping[str, Any], key: str) -> Sequence[float] | None:
    """The interval of a result of an evaluation, as eval.json holds it; None of one episode, which shows no spread.

    >>> interval_of({"score_interval": [0.8, 0.9], "n_episodes": 2}, "score")
    [0.8, 0.9]
    >>> interval_of({"score_interval": [0.8, 0.8], "n_episodes": 1}, "score")
    """
    return None if found.get("n_episodes") == 1 else found.get(f"{key}_interval")


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of a few values (n,), such as paired differences; endless for one value.

    For three seeds a percentile bootstrap is hardly more than their range, and excludes zero far too often.
    """
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return -np.inf, np.inf
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def probability_of_improvement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """P(a run of ours is better than one of theirs) over all pairs of runs, ties counted half (Agarwal et al., 2021).

    >>> probability_of_improvement([0.9, 0.8], [0.7, 0.8])
    0.875
    """
    gap = np.asarray(ours, np.float64)[:, None] - np.asarray(theirs, np.float64)[None, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))
