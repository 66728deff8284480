"""A Gaussian mixture that is there: its parameters by scikit-learn's names, its densities, samples, conditionals and
file."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.core.backend import seed_generator
from gail_suite.generative.core.checks import as_tensor
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.interface.density import DensityModel
from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures import missing
from gail_suite.generative.mixtures.conditionals import Conditional, posterior_mean
from gail_suite.generative.mixtures.em import chunk_rows

_DROPPED = ("random_state", "n_factors", "weights_init", "means_init", "precisions_init")
"""Settings that files of before 2026-11-28 hold for every mixture, and that a class may not have."""


class FittedMixture(DensityModel):
    """What a mixture can do once it is fitted."""

    density: ClassVar[Literal["exact", "bound", "none"]] = "exact"
    dtype = torch.float64
    any_shape = True
    holds_out = False
    by_batch = False
    in_range = False
    batch = 1 << 30

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.params = {}
        self.offset = torch.zeros(0, dtype=torch.float64)
        self.lower_bounds_: list[float] = []
        """The objective (mean log-likelihood; for the Bayesian mixture the evidence bound) after each iteration."""
        self.converged_ = False
        self.n_rows_seen = 0.0
        """The weight of all rows that ``fit`` and ``partial_fit`` were given."""

    @property
    def params(self) -> ga.Params:
        """The fitted parameters, means about ``offset``; setting them makes the evaluator that all threads read."""
        return self._params

    @params.setter
    def params(self, params: ga.Params) -> None:
        self._params, self._ready = params, self._evaluator(params) if params else None

    def _evaluator(self, params: ga.Params, reach: Tensor | None = None) -> ga.Evaluator:
        """log w_k + log N(x; m_k, S_k)."""
        return ga.evaluator(self.kind, params, reach).plus(params["weights"].log())

    @property
    def kind(self) -> str:
        """The covariance type."""
        return str(self.config["covariance_type"])

    @classmethod
    def _config_of_file(cls, config: Settings) -> Settings:
        taken = inspect.signature(cls).parameters
        return {name: value for name, value in config.items() if name in taken or name not in _DROPPED}

    # ---- scikit-learn's names ---------------------------------------------------------------------------------------
    @property
    def weights_(self) -> Tensor:
        """Weights of the components (K,)."""
        return self._fitted("weights")

    @property
    def means_(self) -> Tensor:
        """Means of the components (K, D)."""
        return self._fitted("means") + self.offset

    @property
    def covariances_(self) -> Tensor:
        """full and mfa (K, D, D), tied (D, D), diag (K, D), spherical (K,)."""
        self._fitted("means")
        return ga.dense_covariances("mfa", self.params) if self.kind == "mfa" else self.params["covariances"]

    @property
    def precisions_(self) -> Tensor:
        """Inverse covariances, in their shape."""
        covariances = self.covariances_
        return 1.0 / covariances if self.kind in ("diag", "spherical") else torch.linalg.inv(covariances)

    @property
    def precisions_cholesky_(self) -> Tensor:
        """Upper-triangular roots P of the precisions, P P^T = precision; for diag and spherical the square roots."""
        covariances = self.covariances_
        return covariances.rsqrt() if self.kind in ("diag", "spherical") else ga.precision_cholesky(covariances)

    @property
    def n_iter_(self) -> int:
        """Iterations of the fit."""
        self._fitted("means")
        return len(self.lower_bounds_)

    @property
    def lower_bound_(self) -> float:
        """The last of ``lower_bounds_``."""
        self._fitted("means")
        return self.lower_bounds_[-1]

    @property
    def n_features_in_(self) -> int:
        """Values of a sample."""
        return int(self._fitted("means").shape[1])

    @property
    def feature_names_in_(self) -> np.ndarray:
        """What the columns of the data frame are called that fit was given; without one there is no such attribute."""
        if "columns" not in self.spec:
            raise AttributeError(f"this {type(self).__name__} was not fitted to a data frame with named columns")
        return np.array(self.spec["columns"], dtype=object)

    def _fitted(self, name: str) -> Tensor:
        """A parameter; before fit AttributeError, so that hasattr says False as for scikit-learn's models."""
        if name not in self.params:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit(x) first")
        return self.params[name]

    def predict_proba(self, x: ArrayLike) -> Tensor:
        """Responsibilities p(k | x), shape (N, K), on the CPU."""
        return self._batched(lambda data, _: self._logits(data).softmax(0).T, x, None).cpu()

    def predict(self, x: ArrayLike) -> Tensor:
        """The most responsible component, shape (N,), on the CPU."""
        return self._batched(lambda data, _: self._logits(data).argmax(0), x, None).cpu()

    def n_parameters(self) -> int:
        """Free parameters, as scikit-learn counts them; mfa counts D L - L (L - 1) / 2 + D for a covariance."""
        k, d = self._fitted("means").shape
        factors = min(self.config.get("n_factors", 0), d)
        covariance = {
            "full": k * d * (d + 1) // 2,
            "tied": d * (d + 1) // 2,
            "diag": k * d,
            "spherical": k,
            "mfa": k * (d * factors - factors * (factors - 1) // 2 + d),
        }[self.kind]
        return covariance + k * d + k - 1

    def bic(self, x: ArrayLike) -> float:
        """Bayesian information criterion on ``x`` (lower is better)."""
        log_prob = self.log_prob(x)
        return -2 * float(log_prob.sum()) + self.n_parameters() * math.log(len(log_prob))

    def aic(self, x: ArrayLike) -> float:
        """Akaike information criterion on ``x`` (lower is better)."""
        return -2 * float(self.log_prob(x).sum()) + 2 * self.n_parameters()

    # ---- using ------------------------------------------------------------------------------------------------------
    def sample(self, n: int = 1, *, seed: int | None = None, y: ArrayLike | int | None = None) -> Tensor:
        """``n`` samples (n, *event shape), and nothing else: scikit-learn's pair with their components is
        ``sample_with_components``.
        """
        return super().sample(n, seed=seed, y=y)

    def sample_with_components(self, n: int = 1, *, seed: int | None = None) -> tuple[Tensor, Tensor]:
        """The samples of ``sample`` and the component (n,) that each was drawn from."""
        seed = seed_generator(None).initial_seed() if seed is None else seed
        return self.sample(n, seed=seed), self._draw_components(n, seed_generator(seed, self.device))

    def condition(self, given: Sequence[int] | ArrayLike) -> Conditional:
        """x_a -> p(x_b | x_a): ``given`` are the column indices a, or a mask of them, the rest (in order) are b;
        factorised once, batched over x_a.
        """
        self._need_fit()
        d = len(self.offset)
        asked = as_tensor(given).to(self.device).reshape(-1)
        if asked.dtype == torch.bool:
            if len(asked) != d:
                raise ValueError(f"a mask of the given columns needs {d} values, one a column, got {len(asked)}")
            asked = asked.nonzero()[:, 0]
        columns = asked.to(torch.int64)
        if (
            not 0 < len(columns) < d
            or not torch.equal(columns.to(asked.dtype), asked)
            or len(columns.unique()) < len(columns)
            or int(columns.min()) < 0
            or int(columns.max()) >= d
        ):
            raise ValueError(f"given must be 1 to {d - 1} different columns in 0..{d - 1}, got {asked.tolist()}")
        return Conditional(self.weights_, self.means_, ga.dense_covariances(self.kind, self.params), columns)

    def impute(self, x: ArrayLike, mask: ArrayLike | None = None) -> Tensor:
        """``x`` with the entries where ``mask`` is False (without one, NaN) replaced by their mean given the others."""
        self._need_fit()
        mask = ~as_tensor(x).isnan() if mask is None else mask
        data, known = self._known(x, mask)
        flat, known = data.reshape(len(data), -1), known.reshape(len(data), -1)
        out = flat.clone()
        for pattern in torch.unique(known, dim=0):
            rows = (known == pattern).all(1)
            operator = torch.eye(flat.shape[1]).to(flat)[pattern]
            out[rows] = torch.where(pattern, flat[rows], self.posterior_mean(flat[rows][:, pattern], operator))
        return out.view(data.shape)

    def posterior_mean(self, y: ArrayLike, operator: ArrayLike, noise: float = 0.0) -> Tensor:
        """E[x | y] for y = A x + noise, (B, D) from ``y`` (B, M) and A (M, D)."""
        self._need_fit()
        covariances = ga.dense_covariances(self.kind, self.params)
        seen, by = (as_tensor(t).to(self.device, self.dtype) for t in (y, operator))
        return posterior_mean(self.weights_, self.means_, covariances, seen, by, noise)

    def _rows_at_once(self) -> int:
        k, d = self.config["n_components"], len(self.offset)
        columns = {"full": k * d, "mfa": k * self.config.get("n_factors", 0) + 2 * d}.get(self.kind, k + 2 * d)
        return chunk_rows(columns, self.offset.device)

    def _of_chunk(self, ev: ga.Evaluator, x: Tensor, params: ga.Params) -> Tensor:
        if not bool(x.isnan().any()):
            return ev.logits(x, ga.statistic(self.kind, x))[0]
        covariances = ga.dense_covariances(self.kind, params)
        return missing.log_densities(params["means"], covariances, x) + params["weights"].log().unsqueeze(1)

    def _logits(self, x: Tensor) -> Tensor:
        """log w_k + log N(x | k), shape (K, B)."""
        ev, params = self._ready, self.params
        assert ev is not None
        parts = (self._flat(part) for part in x.split(self._rows_at_once()))
        return torch.cat([self._of_chunk(ev, part, params) for part in parts], 1)

    def _flat(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1).to(self.dtype) - self.offset

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return torch.logsumexp(self._logits(x), 0)

    def _draw_components(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.multinomial(self.params["weights"], n, replacement=True, generator=generator)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        p = self.params
        component = self._draw_components(n, generator)
        noise = torch.randn(n, len(self.offset), generator=generator, device=self.device, dtype=self.dtype)
        if self.kind in ("full", "tied"):
            roots = torch.linalg.cholesky(p["covariances"]).expand(len(p["means"]), -1, -1)
            for k in torch.unique(component).tolist():
                noise[component == k] = noise[component == k] @ roots[k].T
        elif self.kind == "mfa":
            z = torch.randn(n, p["factors"].shape[2], generator=generator, device=self.device, dtype=self.dtype)
            noise *= p["noise"].sqrt()[component]
            for k in torch.unique(component).tolist():
                noise[component == k] += z[component == k] @ p["factors"][k].T
        else:
            noise *= p["covariances"].sqrt().view(len(p["means"]), -1)[component]
        return (p["means"][component] + self.offset + noise).view(n, *self.spec["event_shape"])

    # ---- data and files ---------------------------------------------------------------------------------------------
    def _own(self, x: ArrayLike, device: torch.device) -> Tensor:
        """``x`` on ``device`` in its own floating type: chunks become float64 when they are used."""
        data = as_tensor(x).to(device)
        return data if data.is_floating_point() else data.to(self.dtype)

    def _check_values(self, x: Tensor) -> None:
        if not self._takes_missing():
            super()._check_values(x)
            return
        if torch.isinf(x).any():
            raise ValueError(f"data holds {int(torch.isinf(x).sum())} values that are infinite")
        empty = x.reshape(len(x), -1).isnan().all(1)
        if empty.any():
            raise ValueError(f"{int(empty.sum())} samples hold nothing but NaN, the first is {int(empty.nonzero()[0])}")

    def _takes_missing(self) -> bool:
        return False

    def _build(self) -> None:
        self.params, self.lower_bounds_, self.converged_ = {}, [], False
        self.n_rows_seen = 0.0

    def _tensors(self) -> dict[str, Tensor]:
        history = {
            "bounds": torch.tensor(self.lower_bounds_, dtype=self.dtype),
            "converged": torch.tensor(self.converged_),
            "rows": torch.tensor(self.n_rows_seen, dtype=self.dtype),
        }
        return self.params | {"offset": self.offset, **history}

    def _set_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.offset, self.converged_ = tensors.pop("offset"), bool(tensors.pop("converged", False))
        self.lower_bounds_ = tensors.pop("bounds", torch.zeros(0)).tolist()
        self.n_rows_seen = float(tensors.pop("rows", 0.0))
        self.params = tensors

    def _to_device(self) -> None:
        self.params = {name: tensor.to(self.device) for name, tensor in self.params.items()}
        self.offset = self.offset.to(self.device)
