"""Gaussian mixtures fitted by expectation-maximisation, with closed-form conditionals."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative import gaussians as ga
from gail_suite.generative.checks import refuse_unknown
from gail_suite.generative.conditionals import Conditional, posterior_mean
from gail_suite.generative.em import (
    INIT_PARAMS,
    Data,
    Run,
    chunk_rows,
    initial_factors,
    initial_responsibilities,
    without,
)
from gail_suite.generative.interface import ArrayLike, FitOptions, GenerativeModel

SINGLE_CHANGE = 1e-6
"""Change of the objective in one iteration below which EM goes on in float64."""
HELD_MOST = 10_000
"""Rows at most that calibrate ``typicality`` when fit is given no held-out data."""
CovarianceType = Literal["full", "tied", "diag", "spherical", "mfa"]


class GaussianMixture(GenerativeModel):
    """p(x) = sum_k w_k N(x; m_k, S_k), fitted by EM (Dempster, Laird and Rubin 1977); parameters follow scikit-learn.

    ``covariance_type``: "full", "tied", "diag", "spherical", or "mfa", low rank plus diagonal with ``n_factors`` factors
    (Ghahramani and Hinton 1996). ``reg_covar`` is added to every variance (for mfa it is the smallest noise variance).
    Data are (N, D); any other sample shape is flattened and restored. Statistics are float64.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "exact"
    dtype = torch.float64
    any_shape = True
    holds_out = False
    by_batch = False
    in_range = False
    batch = 1 << 30

    def __init__(
        self,
        n_components: int = 1,
        covariance_type: CovarianceType = "full",
        max_iter: int = 100,
        tol: float = 1e-3,
        *,
        reg_covar: float = 1e-6,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: int | None = None,
        n_factors: int = 5,
        **more: Any,
    ) -> None:
        refuse_unknown(type(self), more)
        if random_state is not None and not isinstance(random_state, Integral):
            raise TypeError(
                f"random_state must be an integer or None, which a file can hold, got {type(random_state).__name__}"
            )
        if covariance_type not in ga.KINDS:
            raise ValueError(f"covariance_type {covariance_type!r} is none of {', '.join(ga.KINDS)}")
        if init_params not in INIT_PARAMS:
            raise ValueError(f"init_params {init_params!r} is none of {', '.join(INIT_PARAMS)}")
        if n_components < 1 or max_iter < 1 or n_init < 1 or n_factors < 1 or tol < 0 or reg_covar < 0:
            raise ValueError("n_components, max_iter, n_init and n_factors must be >= 1, tol and reg_covar >= 0")
        if covariance_type == "mfa" and precisions_init is not None:
            raise ValueError(
                "precisions_init has no meaning for mfa, whose covariances are factors and noise: leave it out"
            )
        starts = {
            name: None if value is None else np.asarray(value, dtype=np.float64).tolist()
            for name, value in (
                ("weights_init", weights_init),
                ("means_init", means_init),
                ("precisions_init", precisions_init),
            )
        }
        super().__init__(
            n_components=n_components,
            covariance_type=covariance_type,
            max_iter=max_iter,
            tol=tol,
            reg_covar=reg_covar,
            n_init=n_init,
            init_params=init_params,
            random_state=random_state,
            n_factors=n_factors,
            **starts,
        )
        self.kind: str = covariance_type
        self.params: ga.Params = {}
        self.offset = torch.zeros(0, dtype=torch.float64)
        self.bounds: list[float] = []
        """The objective (mean log-likelihood; for the Bayesian mixture the evidence bound) after each iteration."""
        self.converged_ = False
        self._cached: ga.Evaluator | None = None

    # ---- scikit-learn's names ---------------------------------------------------------------------------------------
    @property
    def weights_(self) -> Tensor:
        return self._fitted("weights")

    @property
    def means_(self) -> Tensor:
        return self._fitted("means") + self.offset

    @property
    def covariances_(self) -> Tensor:
        """full and mfa (K, D, D), tied (D, D), diag (K, D), spherical (K,)."""
        self._fitted("means")
        return ga.dense_covariances("mfa", self.params) if self.kind == "mfa" else self.params["covariances"]

    @property
    def n_iter_(self) -> int:
        self._fitted("means")
        return len(self.bounds)

    @property
    def lower_bound_(self) -> float:
        self._fitted("means")
        return self.bounds[-1]

    def _fitted(self, name: str) -> Tensor:
        """A parameter; before fit AttributeError, so that hasattr says False as for scikit-learn's models."""
        if name not in self.params:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit(x) first")
        return self.params[name]

    def score_samples(self, x: ArrayLike) -> Tensor:
        """log_prob under scikit-learn's name, nats (N,)."""
        return self.log_prob(x)

    def predict_proba(self, x: ArrayLike) -> Tensor:
        """Responsibilities p(k | x), shape (N, K)."""
        return self._batched(lambda data, _: self._logits(data).softmax(1), x, None)

    def predict(self, x: ArrayLike) -> Tensor:
        """The most responsible component, shape (N,)."""
        return self.predict_proba(x).argmax(1)

    def n_parameters(self) -> int:
        """Free parameters, as scikit-learn counts them; mfa counts D L - L (L - 1) / 2 + D for a covariance."""
        k, d = self._fitted("means").shape
        factors = min(self.config["n_factors"], d)
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
        return -2 * float(log_prob.sum()) + self.n_parameters() * float(np.log(len(log_prob)))

    def aic(self, x: ArrayLike) -> float:
        """Akaike information criterion on ``x`` (lower is better)."""
        return -2 * float(self.log_prob(x).sum()) + 2 * self.n_parameters()

    # ---- fitting ----------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        self.params, self.bounds, self._cached, self.converged_ = {}, [], None, False

    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> Tensor:
        if options.checkpoint is not None or options.resume:
            raise ValueError("a mixture fits in one go and keeps no checkpoints: leave out checkpoint and resume")
        flat, k = x.reshape(len(x), -1), self.config["n_components"]
        if k > len(flat):
            raise ValueError(
                f"n_components={k} is larger than the {len(flat)} samples: take at most {len(flat)} components"
            )
        self.offset = flat.mean(0)
        data = Data(self.kind, flat - self.offset, self._columns())
        seed = options.seed if self.config["random_state"] is None else self.config["random_state"]
        self._set_priors(data.x)
        draws, runs = np.random.RandomState(seed), []
        for run in range(self.config["n_init"]):
            try:
                runs.append(self._run(data, self._start(data, draws, seed + run), options))
            except torch.linalg.LinAlgError as error:
                raise ValueError(
                    f"a covariance is singular: raise reg_covar ({self.config['reg_covar']}) or take fewer than "
                    f"{k} components"
                ) from error
        best = max(runs, key=lambda run: run.bounds[-1])
        self.params, self.bounds, self.converged_ = best.params, best.bounds, best.converged
        self._cached = None
        return self._held_out_errors(x, val[0], best)

    def _run(self, data: Data, params: ga.Params, options: FitOptions) -> Run:
        """EM from ``params`` until the objective changes by less than tol."""
        bounds: list[float] = []
        for iteration in range(options.steps or self.config["max_iter"]):
            old = params
            stats, value = data.expect(self._evaluator(old, data), self._entropic)
            params = self._maximise(old, stats)
            bounds.append(self._objective(params, value, len(data.x)))
            if not np.isfinite(bounds[-1]):
                raise ValueError(
                    f"EM iteration {iteration + 1} gave {bounds[-1]}: raise reg_covar ({self.config['reg_covar']})"
                )
            if options.on_step is not None:
                self.params, self._cached = params, None
                options.on_step(iteration + 1, {"objective": bounds[-1]})
            change = abs(bounds[-1] - bounds[-2]) if iteration else np.inf
            if change < self.config["tol"] and not (data.single and self.config["tol"] < SINGLE_CHANGE):
                return Run(params, bounds, True, old, stats)
            if data.single and change < SINGLE_CHANGE:
                data.refine()
        return Run(params, bounds, False, old, stats)

    _entropic = False

    def _set_priors(self, x: Tensor) -> None:
        """A place for the Bayesian mixture to set its priors from the centred data."""

    def _objective(self, params: ga.Params, value: float, n: int) -> float:
        return value / n

    def _densities(self, params: ga.Params, data: Data | None) -> ga.Evaluator:
        """log N(x; m_k, S_k); ``data`` goes on in float64 where single precision would not do."""
        if data is None or data.reach is None:
            return ga.evaluator(self.kind, params)
        found = ga.evaluator(self.kind, params, data.reach, data.limit)
        if data.single and found.theta is None:
            data.refine()
            return self._densities(params, data)
        return found

    def _evaluator(self, params: ga.Params, data: Data | None = None) -> ga.Evaluator:
        """log w_k + log N(x; m_k, S_k)."""
        found = self._densities(params, data)
        found.const = found.const + params["weights"].log()
        return found

    def _maximise(self, old: ga.Params, stats: dict[str, Tensor]) -> ga.Params:
        floor = self.config["reg_covar"]
        mass = stats["mass"] + 10 * ga.EPS
        weights = {"weights": mass / mass.sum()}
        if self.kind == "mfa" and "y" in stats:
            return weights | ga.factor_step(old, mass, stats, max(floor, 1e-10))
        first = stats["t"][:, : len(self.offset)] if "t" in stats else stats["x"]
        means = first / mass.unsqueeze(1)
        return weights | {"means": means, "covariances": ga.scatter(self.kind, mass, means, stats, floor)}

    def _start(self, data: Data, draws: np.random.RandomState, seed: int) -> ga.Params:
        """The first parameters: from responsibilities, overridden by weights_init, means_init and precisions_init."""
        c, x = self.config, data.x
        self._check_start(x.shape[1])
        params: ga.Params = {}
        given = [c["weights_init"], c["means_init"], c["precisions_init"]]
        if any(v is None for v in given):
            resp = initial_responsibilities(c["init_params"], x, c["n_components"], draws, seed)
            params = (
                initial_factors(x, resp, min(c["n_factors"], x.shape[1]), c["reg_covar"])
                if self.kind == "mfa"
                else self._maximise({}, data.expect(None, False, resp)[0])
            )
        if given[0] is not None:
            params["weights"] = x.new_tensor(given[0])
        if given[1] is not None:
            params["means"] = x.new_tensor(given[1]) - self.offset
        if given[2] is not None:
            precisions = x.new_tensor(given[2])
            params["covariances"] = (
                ga.regular(torch.linalg.inv(precisions), c["reg_covar"])
                if self.kind in ("full", "tied")
                else 1 / precisions
            )
        return params

    def _check_start(self, d: int) -> None:
        """ValueError for a start that does not fit ``n_components`` and ``d`` columns."""
        k = self.config["n_components"]
        precisions = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,), "mfa": ()}[self.kind]
        for name, shape in (("weights_init", (k,)), ("means_init", (k, d)), ("precisions_init", precisions)):
            value = self.config[name]
            if value is not None and np.shape(value) != shape:
                raise ValueError(
                    f"{name} must have shape {shape} for {k} components of {d} columns, got {np.shape(value)}"
                )
        weights = self.config["weights_init"]
        if weights is not None and (min(weights) < 0 or abs(sum(weights) - 1) > 1e-6):
            raise ValueError(
                f"weights_init must be >= 0 and sum to 1, got a sum of {sum(weights):.6g}, least {min(weights):.4g}"
            )

    def _held_out_errors(self, x: Tensor, val: Tensor, last: Run) -> Tensor:
        """The errors on ``val`` where it was given, else on a tenth of the rows under parameters from which they are left out.

        The last M step is repeated without these rows' share of the statistics; a component that they alone held keeps its
        fitted parameters.
        """
        if val is not x or len(x) < 20:
            return self.error(val)
        flat = self._flat(x[torch.randperm(len(x))[: min(len(x) // 10, HELD_MOST)].to(x.device)])
        theirs = Data(self.kind, flat, self._columns()).expect(self._evaluator(last.before), False)[0]
        kept = without(last.stats, theirs, self.kind)
        alone = kept["mass"] < 1e-3 * theirs["mass"]
        refitted = self._maximise(last.before, kept)
        for name in {"means", "factors", "noise"} | ({"covariances"} if self.kind != "tied" else set()):
            if name in refitted:
                refitted[name][alone] = self.params[name][alone]
        return -torch.logsumexp(self._component_log_probs(self._evaluator(refitted), flat), 1)

    # ---- using ------------------------------------------------------------------------------------------------------
    def condition(self, given: Any) -> Conditional:
        """x_a -> p(x_b | x_a): ``given`` are the column indices a, the rest (in order) are b; factorised once, batched over x_a."""
        self._need_fit()
        d = len(self.offset)
        columns = torch.as_tensor(given, dtype=torch.int64, device=self.device).reshape(-1)
        if (
            not 0 < len(columns) < d
            or len(columns.unique()) < len(columns)
            or int(columns.min()) < 0
            or int(columns.max()) >= d
        ):
            raise ValueError(f"given must be 1 to {d - 1} different columns in 0..{d - 1}, got {columns.tolist()}")
        return Conditional(self.weights_, self.means_, ga.dense_covariances(self.kind, self.params), columns)

    def impute(self, x: ArrayLike, mask: ArrayLike) -> Tensor:
        """``x`` with the entries where ``mask`` is False replaced by their conditional mean given the others."""
        self._need_fit()
        data, known = self._known(x, mask)
        flat, known = data.reshape(len(data), -1), known.reshape(len(data), -1)
        out = flat.clone()
        for pattern in torch.unique(known, dim=0):
            rows = (known == pattern).all(1)
            operator = torch.eye(flat.shape[1]).to(flat)[pattern]
            out[rows] = torch.where(pattern, flat[rows], self.posterior_mean(flat[rows][:, pattern], operator))
        return out.view(data.shape)

    def posterior_mean(self, y: Tensor, operator: Tensor, noise: float = 0.0) -> Tensor:
        """E[x | y] for y = A x + noise, (B, D) from ``y`` (B, M) and A (M, D)."""
        self._need_fit()
        y, operator = (t.to(self.device, self.dtype) for t in (y, operator))
        covariances = ga.dense_covariances(self.kind, self.params)
        return posterior_mean(self.weights_, self.means_, covariances, y, operator, noise)

    def _flat(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1) - self.offset

    def _columns(self) -> int:
        """Width of the working array of one E step."""
        k, d = self.config["n_components"], len(self.offset)
        return {"full": k * d, "mfa": k * self.config["n_factors"] + 2 * d}.get(self.kind, k + 2 * d)

    def _component_log_probs(self, ev: ga.Evaluator, flat: Tensor) -> Tensor:
        chunks = flat.split(chunk_rows(self._columns(), flat.device))
        return torch.cat([ev.logits(f, ga.statistic(self.kind, f))[0] for f in chunks])

    def _logits(self, x: Tensor) -> Tensor:
        if self._cached is None:
            self._cached = self._evaluator(self.params)
        return self._component_log_probs(self._cached, self._flat(x))

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return torch.logsumexp(self._logits(x), 1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        p = self.params
        component = torch.multinomial(p["weights"], n, replacement=True, generator=generator)
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

    def _tensors(self) -> dict[str, Tensor]:
        history = {"bounds": torch.tensor(self.bounds, dtype=self.dtype), "converged": torch.tensor(self.converged_)}
        return self.params | {"offset": self.offset, **history}

    def _set_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.offset, self.converged_ = tensors.pop("offset"), bool(tensors.pop("converged", False))
        self.bounds = tensors.pop("bounds", torch.zeros(0)).tolist()
        self.params, self._cached = tensors, None

    def _to_device(self) -> None:
        self.params = {name: tensor.to(self.device) for name, tensor in self.params.items()}
        self.offset, self._cached = self.offset.to(self.device), None
