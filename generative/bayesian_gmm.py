"""Variational Gaussian mixtures: superfluous components lose their weight by themselves."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from gail_suite.generative import gaussians as ga
from gail_suite.generative.checks import refuse_unknown
from gail_suite.generative.em import Data
from gail_suite.generative.gmm import CovarianceType, GaussianMixture

LOG_2 = 0.6931471805599453
_UNUSED = ("n_factors", "weights_init", "means_init", "precisions_init")
"""Parameters of GaussianMixture alone, which every config holds all the same."""


class BayesianGaussianMixture(GaussianMixture):
    """Mixture with a Dirichlet-process or Dirichlet prior on the weights and Gaussian-Wishart priors on the components.

    Mean-field variational inference (Blei and Jordan 2006; Bishop 2006, section 10.2); parameters follow scikit-learn.
    ``log_prob`` is log sum_k exp(E[log w_k] + E[log N(x | k)]), by Jensen a lower bound on the posterior predictive density
    and scikit-learn's ``score_samples``. Samples and conditionals use the posterior means. "mfa" is not offered.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "bound"
    _entropic = True

    def __init__(
        self,
        n_components: int = 1,
        covariance_type: CovarianceType = "full",
        max_iter: int = 100,
        tol: float = 1e-3,
        *,
        weight_concentration_prior_type: Literal["dirichlet_process", "dirichlet_distribution"] = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float = 1.0,
        degrees_of_freedom_prior: float | None = None,
        reg_covar: float = 1e-6,
        n_init: int = 1,
        init_params: str = "kmeans",
        random_state: int | None = None,
        **more: Any,
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
        if (weight_concentration_prior is not None and weight_concentration_prior <= 0) or mean_precision_prior <= 0:
            raise ValueError("weight_concentration_prior and mean_precision_prior must be above 0")
        refuse_unknown(type(self), [name for name in more if name not in _UNUSED])
        if any(more.get(name) is not None for name in _UNUSED[1:]):
            raise ValueError(f"BayesianGaussianMixture takes none of {', '.join(_UNUSED[1:])}: start it by init_params")
        super().__init__(
            n_components,
            covariance_type,
            max_iter,
            tol,
            reg_covar=reg_covar,
            n_init=n_init,
            init_params=init_params,
            random_state=random_state,
        )
        self._set_config(
            mean_precision_prior=mean_precision_prior,
            weight_concentration_prior_type=weight_concentration_prior_type,
            weight_concentration_prior=weight_concentration_prior,
            degrees_of_freedom_prior=degrees_of_freedom_prior,
        )
        self.process = weight_concentration_prior_type == "dirichlet_process"
        self.prior_covariance = torch.zeros(0, dtype=torch.float64)

    def _set_priors(self, x: Tensor) -> None:
        """The prior covariance is the data's; the prior mean is the data's mean, which is zero after centring."""
        n, d = x.shape
        freedom = self._freedom_prior(d)
        if freedom <= d - 1:
            raise ValueError(
                f"degrees_of_freedom_prior={freedom} must be above {d - 1}, the number of columns less one"
            )
        covariance = x.T @ x / max(n - 1, 1)
        variances = covariance.diagonal()
        self.prior_covariance = {"diag": variances, "spherical": variances.mean()}.get(self.kind, covariance)

    def _freedom_prior(self, d: int) -> float:
        given = self.config["degrees_of_freedom_prior"]
        return float(d if given is None else given)

    def _maximise(self, old: ga.Params, stats: dict[str, Tensor]) -> ga.Params:
        """The variational posteriors given the responsibilities' statistics."""
        point = super()._maximise(old, stats)
        mass, centre, spread = stats["mass"] + 10 * ga.EPS, point["means"], point["covariances"]
        k, d = centre.shape
        prior = self.config["mean_precision_prior"]
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
            "means": (mass / precision).unsqueeze(1) * centre,
            "covariances": covariance,
            "precision": precision,
            "freedom": freedom,
            **self._weights(mass),
        }

    def _weights(self, mass: Tensor) -> dict[str, Tensor]:
        """Posterior weight parameters (a, b), their expectations ``weights`` and ``log_weights``."""
        given = self.config["weight_concentration_prior"]
        alpha = 1.0 / len(mass) if given is None else given
        if not self.process:
            a = alpha + mass
            return {"a": a, "b": a.new_zeros(0), "weights": a / a.sum(), "log_weights": a.digamma() - a.sum().digamma()}
        a, b = 1.0 + mass, alpha + mass.sum() - mass.cumsum(0)
        total = (a + b).digamma()
        log_rest = (b.digamma() - total).cumsum(0) - (b.digamma() - total)
        weights = a / (a + b) * (b / (a + b)).cumprod(0) / (b / (a + b))
        return {"a": a, "b": b, "weights": weights / weights.sum(), "log_weights": a.digamma() - total + log_rest}

    def _evaluator(self, params: ga.Params, data: Data | None = None) -> ga.Evaluator:
        """E[log w_k] + E[log N(x | k)] under the variational posterior."""
        found = self._densities(params, data)
        freedom, d = params["freedom"], params["means"].shape[1]
        halves = 0.5 * (freedom.reshape(-1, 1) - torch.arange(d).to(freedom))
        log_scale = d * LOG_2 + halves.digamma().sum(1) - d * freedom.reshape(-1).log()
        found.const = found.const + params["log_weights"] + 0.5 * (log_scale - d / params["precision"])
        return found

    def _objective(self, params: ga.Params, value: float, n: int) -> float:
        """The evidence lower bound up to a constant: entropy of the responsibilities and the posteriors' normalisers."""
        k, d = params["means"].shape
        freedom = params["freedom"].reshape(-1, 1)
        log_det = self._half_log_det(params).reshape(-1) - 0.5 * d * freedom.reshape(-1).log()
        gammas = torch.lgamma(0.5 * (freedom - torch.arange(d).to(freedom))).sum(1)
        wishart = -(freedom.reshape(-1) * log_det + freedom.reshape(-1) * d * 0.5 * LOG_2 + gammas).sum()
        wishart = wishart * k if self.kind == "tied" else wishart
        a, b = params["a"], params["b"]
        if self.process:
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
