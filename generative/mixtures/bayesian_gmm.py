"""Variational Gaussian mixtures: superfluous components lose their weight by themselves."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures.em import Passes
from gail_suite.generative.mixtures.mixture import CovarianceType, Mixture

LOG_2 = math.log(2)


class BayesianGaussianMixture(Mixture):
    """Mixture with a Dirichlet-process or Dirichlet prior on the weights and Gaussian-Wishart priors on the components.

    Mean-field variational inference (Blei and Jordan 2006; Bishop 2006, section 10.2); settings follow scikit-learn.
    ``log_prob`` is log sum_k exp(E[log w_k] + E[log N(x | k)]), by Jensen a lower bound on the posterior predictive
    density and scikit-learn's ``score_samples``. Samples and conditionals use the posterior means. "mfa" is not
    offered, NaN refused.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "bound"
    entropic = True

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
        weight_concentration_prior_type: Literal["dirichlet_process", "dirichlet_distribution"] = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | float | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        **unknown: object,
    ) -> None:
        if covariance_type == "mfa":
            raise ValueError(
                "BayesianGaussianMixture offers full, tied, diag and spherical; for mfa use GaussianMixture"
            )
        if weight_concentration_prior_type not in ("dirichlet_process", "dirichlet_distribution"):
            raise ValueError(
                f"weight_concentration_prior_type {weight_concentration_prior_type!r} is neither "
                "dirichlet_process nor dirichlet_distribution"
            )
        if any(v is not None and not v > 0 for v in (weight_concentration_prior, mean_precision_prior)):
            raise ValueError("weight_concentration_prior and mean_precision_prior must be above 0")
        super().__init__(
            unknown,
            n_components=n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weight_concentration_prior_type=weight_concentration_prior_type,
            weight_concentration_prior=weight_concentration_prior,
            mean_precision_prior=mean_precision_prior,
            mean_prior=mean_prior,
            degrees_of_freedom_prior=degrees_of_freedom_prior,
            covariance_prior=covariance_prior,
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
        )
        self.prior_mean = torch.zeros(0, dtype=torch.float64)
        """(D,) about the data's mean."""
        self.prior_covariance = torch.zeros(0, dtype=torch.float64)

    # ---- scikit-learn's names ---------------------------------------------------------------------------------------
    @property
    def weight_concentration_(self) -> Tensor | tuple[Tensor, Tensor]:
        """Posterior of the weights: for the Dirichlet process the two parameters of each Beta, (K,) each, else (K,)."""
        a = self._fitted("a")
        return (a, self.params["b"]) if self._is_process() else a

    @property
    def mean_precision_(self) -> Tensor:
        """(K,)."""
        return self._fitted("precision")

    @property
    def degrees_of_freedom_(self) -> Tensor:
        """(K,), for tied one number."""
        return self._fitted("freedom")

    @property
    def weight_concentration_prior_(self) -> float:
        """The prior's concentration of the weights, as given or 1 / K."""
        return self._concentration(len(self._fitted("a")))

    @property
    def mean_precision_prior_(self) -> float:
        """The prior's precision of the means, as given or 1."""
        given = self.config["mean_precision_prior"]
        return 1.0 if given is None else float(given)

    @property
    def mean_prior_(self) -> Tensor:
        """(D,)."""
        self._fitted("means")
        return self.prior_mean + self.offset

    @property
    def degrees_of_freedom_prior_(self) -> float:
        """The prior's degrees of freedom, as given or the number of columns."""
        return self._freedom_prior(self.n_features_in_)

    @property
    def covariance_prior_(self) -> Tensor:
        """full and tied (D, D), diag (D,), spherical a number."""
        self._fitted("means")
        return self.prior_covariance

    # ---- priors -----------------------------------------------------------------------------------------------------
    def _is_process(self) -> bool:
        return bool(self.config["weight_concentration_prior_type"] == "dirichlet_process")

    def _concentration(self, k: int) -> float:
        given = self.config["weight_concentration_prior"]
        return 1.0 / k if given is None else float(given)

    def _freedom_prior(self, d: int) -> float:
        given = self.config["degrees_of_freedom_prior"]
        return float(d if given is None else given)

    def _set_priors(self, passes: Passes) -> None:
        """Where none is given, the prior mean is the data's mean, zero after centring, and the prior covariance the
        data's.
        """
        d = passes.rows.d
        freedom = self._freedom_prior(d)
        if freedom <= d - 1:
            raise ValueError(
                f"degrees_of_freedom_prior={freedom} must be above {d - 1}, the number of columns less one"
            )
        mean, covariance = self.config["mean_prior"], self.config["covariance_prior"]
        self.prior_mean = torch.zeros_like(self.offset)
        if mean is not None:
            self.prior_mean = _given("mean_prior", mean, (d,)).to(self.offset) - self.offset
        if covariance is None:
            self.prior_covariance = self._covariance_of_data(passes)
            return
        shape = {"diag": (d,), "spherical": ()}.get(self.kind, (d, d))
        self.prior_covariance = _given("covariance_prior", covariance, shape).to(self.offset)

    def _covariance_of_data(self, passes: Passes) -> Tensor:
        """Regular, whatever the data: a component without rows has this covariance."""
        total = passes.outer if passes.outer is not None else passes.outer_of_rows()
        covariance = total / passes.rows.degrees_of_freedom()
        variances = covariance.diagonal()
        if self.kind in ("diag", "spherical"):
            variances = variances if self.kind == "diag" else variances.mean()
            return variances.clamp_min(self.config["reg_covar"] * bool((variances <= 0).any()))
        return ga.regular(covariance, self.config["reg_covar"], self._freedom_prior(passes.rows.d))

    # ---- fitting ----------------------------------------------------------------------------------------------------
    def _maximise(self, old: ga.Params, stats: ga.Statistics) -> ga.Params:
        """The variational posteriors given the responsibilities' statistics."""
        point = ga.maximise(self.kind, stats, self.config["reg_covar"])
        mass, spread = stats["mass"] + 10 * ga.EPS, point["covariances"]
        centre = point["means"] - self.prior_mean
        k, d = centre.shape
        prior = self.mean_precision_prior_
        precision = prior + mass
        shrink = prior / precision
        freedom = self._freedom_prior(d) + (mass.sum() / k if self.kind == "tied" else mass)
        m, s = mass.view(-1, 1, 1), shrink.view(-1, 1, 1)
        if self.kind == "full":
            outer = centre.unsqueeze(2) * centre.unsqueeze(1)
            covariance = (self.prior_covariance + m * (spread + s * outer)) / freedom.view(-1, 1, 1)
        elif self.kind == "tied":
            outer = centre.T @ ((mass / precision).unsqueeze(1) * centre)
            covariance = (self.prior_covariance + spread * mass.sum() / k + prior / k * outer) / freedom
        else:
            square = centre.square() if self.kind == "diag" else centre.square().mean(1, keepdim=True)
            spread = spread.view(k, -1)
            widths = self.prior_covariance + mass.unsqueeze(1) * (spread + shrink.unsqueeze(1) * square)
            covariance = (widths / freedom.unsqueeze(1)).view(point["covariances"].shape)
        return {
            "means": self.prior_mean + (mass / precision).unsqueeze(1) * centre,
            "covariances": covariance,
            "precision": precision,
            "freedom": freedom,
            **self._weights(mass),
        }

    def _weights(self, mass: Tensor) -> dict[str, Tensor]:
        """Posterior weight parameters (a, b), their expectations ``weights`` and ``log_weights``."""
        alpha = self._concentration(len(mass))
        if not self._is_process():
            a = alpha + mass
            return {"a": a, "b": a.new_zeros(0), "weights": a / a.sum(), "log_weights": a.digamma() - a.sum().digamma()}
        a, b = 1.0 + mass, alpha + mass.sum() - mass.cumsum(0)
        total = (a + b).digamma()
        log_rest = (b.digamma() - total).cumsum(0) - (b.digamma() - total)
        weights = a / (a + b) * (b / (a + b)).cumprod(0) / (b / (a + b))
        return {"a": a, "b": b, "weights": weights / weights.sum(), "log_weights": a.digamma() - total + log_rest}

    def _evaluator(self, params: ga.Params, reach: Tensor | None = None) -> ga.Evaluator:
        """E[log w_k] + E[log N(x | k)] under the variational posterior."""
        freedom, d = params["freedom"], params["means"].shape[1]
        halves = 0.5 * (freedom.reshape(-1, 1) - torch.arange(d).to(freedom))
        log_scale = d * LOG_2 + halves.digamma().sum(1) - d * freedom.reshape(-1).log()
        more = params["log_weights"] + 0.5 * (log_scale - d / params["precision"])
        return ga.evaluator(self.kind, params, reach).plus(more)

    def _objective(self, params: ga.Params, value: float, total: float) -> float:
        """The evidence lower bound up to a constant: entropy of the responsibilities and the posteriors'
        normalisers.
        """
        k, d = params["means"].shape
        freedom = params["freedom"].reshape(-1, 1)
        log_det = self._half_log_det(params).reshape(-1) - 0.5 * d * freedom.reshape(-1).log()
        gammas = torch.lgamma(0.5 * (freedom - torch.arange(d).to(freedom))).sum(1)
        wishart = -(freedom.reshape(-1) * log_det + freedom.reshape(-1) * d * 0.5 * LOG_2 + gammas).sum()
        wishart = wishart * k if self.kind == "tied" else wishart
        a, b = params["a"], params["b"]
        if self._is_process():
            weight_norm = -(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)).sum()
        else:
            weight_norm = torch.lgamma(a.sum()) - torch.lgamma(a).sum()
        return value - float(wishart + weight_norm + 0.5 * d * params["precision"].log().sum())

    def _half_log_det(self, params: ga.Params) -> Tensor:
        """Half the log determinant of every precision, from the covariances."""
        covariance, d = params["covariances"], params["means"].shape[1]
        if self.kind in ("full", "tied"):
            return -0.5 * torch.linalg.slogdet(covariance)[1]
        return -0.5 * covariance.log().sum(1) if self.kind == "diag" else -0.5 * d * covariance.log()

    # ---- files ------------------------------------------------------------------------------------------------------
    def _tensors(self) -> dict[str, Tensor]:
        return super()._tensors() | {"prior_mean": self.prior_mean, "prior_covariance": self.prior_covariance}

    def _set_tensors(self, tensors: dict[str, Tensor]) -> None:
        nothing = torch.zeros(0, dtype=torch.float64)  # files of before 2026-11-28 have no priors
        self.prior_mean = tensors.pop("prior_mean", nothing)
        self.prior_covariance = tensors.pop("prior_covariance", nothing)
        super()._set_tensors(tensors)

    def _to_device(self) -> None:
        super()._to_device()
        self.prior_mean, self.prior_covariance = (t.to(self.device) for t in (self.prior_mean, self.prior_covariance))


def _given(name: str, value: ArrayLike | float, shape: tuple[int, ...]) -> Tensor:
    """A prior as a tensor of ``shape``."""
    found = np.asarray(value, float)
    if found.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {found.shape}")
    return torch.as_tensor(found)
