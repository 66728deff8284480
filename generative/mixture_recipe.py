"""The MNIST row of the Gaussian mixture: factor analysers on dequantised grey images."""

from __future__ import annotations

import time
from pathlib import Path

from generative import data, metrics
from generative.gmm import GaussianMixture
from generative.recipes import Reproduction

FLOOR = 1e-3
"""Smallest noise variance of a pixel in [0, 1]; a likelihood in nats means nothing without it."""


def reproduce(data_path: str | Path, out: str | Path, *, seed: int = 0, steps: int | None = None,
              progress: bool = True) -> Reproduction:
    """MFA with 50 components of 6 factors, at most 30 EM iterations, noise variance at least 1e-3, on uniformly dequantised MNIST.

    ``test_nats`` is the discrete negative log-likelihood of the 256 levels (bound by 4 draws of the dequantisation noise),
    ``test_density_nats`` minus the log density of one draw.
    """
    splits, began = data.load(data_path), time.perf_counter()
    model = GaussianMixture(50, "mfa", 30, 1e-2, n_factors=6, reg_covar=FLOOR)
    model.fit(metrics.dequantise(splits.x_train, 256, seed), steps=steps, seed=seed, progress=progress)
    spent = time.perf_counter() - began
    model.save(Path(out) / "model.safetensors")
    nats = metrics.discrete_nats(model, splits.x_test, 256, draws=4)
    figures = {"test_nats": nats, "test_bits_per_dim": metrics.bits_per_dim(nats, splits.x_test[0].numel()),
               "test_density_nats": metrics.nats(model, metrics.dequantise(splits.x_test, 256, seed)), "variance_floor": FLOOR}
    return Reproduction(figures, spent, len(splits.x_train) * model.n_iter_ / spent)
