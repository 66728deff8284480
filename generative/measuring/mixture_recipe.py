"""The MNIST rows of the Gaussian mixtures, on dequantised grey images: factor analysers, and the Bayesian mixture."""

from __future__ import annotations

import time
from pathlib import Path

from gail_suite.generative.data import sources as data
from gail_suite.generative.measuring import metrics
from gail_suite.generative.measuring.recipes import Reproduction
from gail_suite.generative.mixtures.bayesian_gmm import BayesianGaussianMixture
from gail_suite.generative.mixtures.gmm import GaussianMixture

FLOOR = 1e-5
"""Smallest noise variance of a pixel in [0, 1]; a likelihood in nats means nothing without it. Eight times the variance
of the dequantisation noise, 1 / (12 * 256^2): most pixels of a digit's background have no other, so with 1e-3 the floor
is all one sees.
"""


def reproduce(
    data_path: str | Path,
    out: str | Path,
    *,
    bayesian: bool = False,
    seed: int = 0,
    steps: int | None = None,
    progress: bool = True,
) -> Reproduction:
    """MFA with 50 components of 6 factors, at most 30 EM iterations, or the Bayesian mixture of 100 diagonal components
    with a Dirichlet process, at most 60; noise variance at least 1e-5, on uniformly dequantised MNIST.

    ``test_nats`` is the discrete negative log-likelihood of the 256 levels (bound by 4 draws of the dequantisation
    noise), ``test_density_nats`` minus the log density of one draw. ``components_used`` hold 99 % of the weight.
    """
    splits, began = data.load(data_path), time.perf_counter()
    model = (
        BayesianGaussianMixture(100, covariance_type="diag", tol=1e-2, reg_covar=FLOOR)
        if bayesian
        else GaussianMixture(50, covariance_type="mfa", tol=1e-2, n_factors=6, reg_covar=FLOOR)
    )
    model.fit(
        metrics.dequantise(splits.x_train, 256, seed),
        steps=steps or (60 if bayesian else 30),
        seed=seed,
        progress=progress,
    )
    spent = time.perf_counter() - began
    model.save(Path(out) / "model.safetensors")
    nats = metrics.discrete_nats(model, splits.x_test, 256, draws=4)
    heaviest = model.weights_.sort(descending=True).values.cumsum(0)
    figures = {
        "test_nats": nats,
        "test_bits_per_dim": metrics.bits_per_dim(nats, splits.x_test[0].numel()),
        "test_density_nats": metrics.nats(model, metrics.dequantise(splits.x_test, 256, seed)),
        "variance_floor": FLOOR,
        "components_used": int((heaviest < 0.99).sum()) + 1,
    }
    return Reproduction(figures, spent, len(splits.x_train) * model.n_iter_ / spent)
