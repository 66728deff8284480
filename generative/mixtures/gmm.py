"""Gaussian mixtures fitted by expectation-maximisation."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.core.backend import learning
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.core.types import ArrayLike, Stream
from gail_suite.generative.interface import fitting
from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures.chunks import CentredRows, samples_of
from gail_suite.generative.mixtures.em import Passes, initial_factors, starting
from gail_suite.generative.mixtures.mixture import CovarianceType, Mixture

FORGETTING = 0.6
"""Batch t of ``partial_fit`` enters with weight t^-0.6; powers above 1/2 and up to 1 converge (Cappe and Moulines
2009).
"""
FACTOR_ROWS = 20_000
"""Rows at most that the factors of mfa start from."""
STARTS = ("weights_init", "means_init", "precisions_init")


class GaussianMixture(Mixture):
    """p(x) = sum_k w_k N(x; m_k, S_k), fitted by EM (Dempster, Laird and Rubin 1977); settings follow scikit-learn.

    ``covariance_type``: "full", "tied", "diag", "spherical", or "mfa", low rank plus diagonal with ``n_factors``
    factors (Ghahramani and Hinton 1996). ``reg_covar`` is added to every variance (for mfa it is the smallest noise
    variance). Data are (N, D); any other sample shape is flattened and restored. Statistics are float64. NaN is a value
    that is not known (not for mfa): fit expects it, densities are those of what is known, ``impute`` fills it in. With
    ``warm_start`` a fit starts from the one before. The seed belongs to ``fit`` and ``sample``; scikit-learn's
    random_state is refused.

    >>> import torch
    >>> from gail_suite import generative as g
    >>> x = torch.cat([torch.randn(200, 2) - 5, torch.randn(200, 2) + 5])
    >>> model = g.GaussianMixture(2).fit(x, seed=0)
    >>> model.sample(3, seed=0).shape, model.log_prob(x).shape
    (torch.Size([3, 2]), torch.Size([400]))
    """

    how_to_fit = Mixture.how_to_fit | set(STARTS)

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_factors: int = 5,
        **unknown: object,
    ) -> None:
        check_sizes(n_factors=n_factors)
        if covariance_type == "mfa" and precisions_init is not None:
            raise ValueError(
                "precisions_init has no meaning for mfa, whose covariances are factors and noise: leave it out"
            )
        super().__init__(
            unknown,
            n_components=n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weights_init=weights_init,
            means_init=means_init,
            precisions_init=precisions_init,
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
            n_factors=n_factors,
        )

    def _maximise(self, old: ga.Params, stats: ga.Statistics) -> ga.Params:
        if self.kind == "mfa":
            return ga.factor_step(old, stats, max(self.config["reg_covar"], 1e-10))
        return ga.maximise(self.kind, stats, self.config["reg_covar"])

    def partial_fit(
        self, x: ArrayLike, y: object = None, *, seed: int = 0, device: str | torch.device = "auto"
    ) -> Self:
        """One step of stepwise EM (Cappe and Moulines 2009) on the batch ``x`` (N, ...); ``y`` is ignored.

        An unfitted model is fitted to its first batch, which needs at least ``n_components`` rows; after that batch t
        moves the mean statistics by t^-0.6 of the way to its own, t = rows so far / rows of the batch + 1.
        ``typicality`` gets its scale from each batch before it is learned. Raises ValueError for mfa.
        """
        if self.kind == "mfa":
            raise ValueError(
                "partial_fit knows no step for mfa: fit(x) to all rows at once, or take a covariance_type of full, "
                "tied, diag or spherical"
            )
        if not self.params:
            return self.fit(x, seed=seed, device=device, steps=self.config["max_iter"])
        with learning():
            return self._learn(self._check(x).detach())

    def _learn(self, data: Tensor) -> Self:
        """One step of stepwise EM."""
        rows = CentredRows(data, None, self.offset)
        known = self._statistics()
        errors = self.error(data)
        fresh, _ = self._passes(rows).expect(self._evaluator(self.params), self.params, self.entropic, apart=True)
        rate = (self.n_rows_seen / rows.n + 1) ** -FORGETTING
        mixed = {name: known[name].lerp(fresh[name] / rows.total, rate) for name in ("mass", "first", "second")}
        self.params = self._maximise(self.params, mixed | {"centre": self.params["means"]})
        self.n_rows_seen += rows.total
        self.lower_bounds_ = [*self.lower_bounds_, -float(errors.mean())]
        self.calibration = fitting.scale(self, errors)
        return self

    def _fit_stream(self, x: Stream, seed: int, device: str | torch.device) -> Self:
        if self.kind == "mfa":
            return super()._fit_stream(x, seed, device)
        self._build()
        for batch in x:
            self.partial_fit(samples_of(batch), seed=seed, device=device)
        if not self.spec:
            raise ValueError("the iterator gave no batch to fit to")
        return self

    def _statistics(self) -> ga.Statistics:
        """The statistics, for one unit of weight and about the means, whose M step gives the parameters."""
        mass, means, spread = (self.params[name] for name in ("weights", "means", "covariances"))
        floor = self.config["reg_covar"]
        if self.kind in ("full", "tied"):
            spread = spread - floor * torch.eye(means.shape[1]).to(spread)
            second = spread if self.kind == "tied" else mass.view(-1, 1, 1) * spread
        else:
            second = (
                mass * (spread - floor) * means.shape[1]
                if self.kind == "spherical"
                else (spread - floor) * mass[:, None]
            )
        return {"mass": mass, "first": torch.zeros_like(means), "second": second}

    def _start(self, passes: Passes, draws: np.random.RandomState, seed: int) -> ga.Params:
        """By ``init_params``, overridden by weights_init, means_init and precisions_init."""
        given = {name: None if self.config[name] is None else np.asarray(self.config[name], float) for name in STARTS}
        _check_start(given, self.kind, self.config["n_components"], passes.rows.d)
        weights, means, precisions = (
            None if value is None else torch.as_tensor(value, device=self.device) for value in given.values()
        )
        params: ga.Params = {}
        if weights is None or means is None or precisions is None:
            params = self._factors(passes, draws, seed) if self.kind == "mfa" else super()._start(passes, draws, seed)
        if weights is not None:
            params["weights"] = weights
        if means is not None:
            params["means"] = means - self.offset
        if precisions is not None:
            params["covariances"] = self._covariances(precisions)
        return params

    def _covariances(self, precisions: Tensor) -> Tensor:
        if self.kind in ("full", "tied"):
            return ga.regular(torch.linalg.inv(precisions), self.config["reg_covar"])
        return 1 / precisions

    def _factors(self, passes: Passes, draws: np.random.RandomState, seed: int) -> ga.Params:
        """The start of mfa, from some of the rows."""
        c, rows = self.config, passes.rows
        assign = starting(c["init_params"], rows, c["n_components"], draws, seed)
        owner = torch.cat([assign(chunk).argmax(0) for chunk in rows.chunks(1 << 14)])
        generator = torch.Generator().manual_seed(seed)
        some = torch.randperm(rows.n, generator=generator)[:FACTOR_ROWS].sort().values
        count = min(c["n_factors"], rows.d)
        return initial_factors(
            rows.pick(some), owner[some.to(owner.device)], c["n_components"], count, c["reg_covar"], generator
        )

    def _takes_missing(self) -> bool:
        return self.kind != "mfa"


def _check_start(given: dict[str, np.ndarray | None], kind: str, k: int, d: int) -> None:
    """ValueError for a start that does not fit ``k`` components of ``d`` columns."""
    precisions = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,), "mfa": ()}[kind]
    for (name, value), shape in zip(given.items(), ((k,), (k, d), precisions), strict=True):
        if value is not None and value.shape != shape:
            raise ValueError(f"{name} must have shape {shape} for {k} components of {d} columns, got {value.shape}")
    weights = given["weights_init"]
    if weights is not None and (weights.min() < 0 or abs(weights.sum() - 1) > 1e-6):
        raise ValueError(
            f"weights_init must be >= 0 and sum to 1, got a sum of {weights.sum():.6g}, least {weights.min():.4g}"
        )
