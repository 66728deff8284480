"""Whether a generator has lost the variety of its data, told at the end of its fit."""

from __future__ import annotations

import warnings

from torch import Tensor

from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.measuring import metrics

LOOKED_AT = 1000
"""Samples, and training samples, at most that are compared."""
FEWEST = 200
"""Training samples below which nothing is said: too few for bins."""
BINS = 50
BINS_WRONG, DUPLICATES = 0.5, 0.2
"""Shares of bins and of samples above which a fit counts as collapsed; equal distributions give 0.05 and 0.01."""


class CollapsedWarning(UserWarning):
    """A generator draws a small part of its data only, or near copies of few samples."""


def warn_of_collapse(model: GenerativeModel, x: Tensor) -> None:
    """CollapsedWarning where samples of the fitted ``model`` miss much of its training data ``x`` or repeat
    themselves.
    """
    if len(x) < FEWEST:
        return
    real = x[:: -(-len(x) // LOOKED_AT)].to(model.device)
    samples = model._drawn(model._sample, len(real), None, 0)
    bins, _ = metrics.ndb(real, samples, bins=BINS)
    same = metrics.duplicate_share(samples, real)
    if bins > BINS_WRONG * BINS or same > DUPLICATES:
        warnings.warn(
            f"this {type(model).__name__} has collapsed: {bins} of {BINS} clusters of the data are drawn too often or "
            "too "
            f"seldom, and {same:.0%} of the samples nearly repeat another one (1% of real data do). Train for more "
            "steps, "
            "raise r1, or use spectral_norm=True",
            CollapsedWarning,
            stacklevel=5,
        )
