"""What all Gaussian mixtures share: fitting by passes over rows, use, and scikit-learn's manners."""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from gail_suite.generative.core.backend import seed_generator
from gail_suite.generative.core.checks import as_tensor, check_sizes, refuse_unknown
from gail_suite.generative.core.peer import convergence_warning
from gail_suite.generative.core.types import ArrayLike, Data, Held, Settings, Stream
from gail_suite.generative.interface.density import DensityModel
from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures import missing
from gail_suite.generative.mixtures.chunks import CentredBatches, CentredRows, is_stream
from gail_suite.generative.mixtures.conditionals import Conditional, posterior_mean
from gail_suite.generative.mixtures.em import INIT_PARAMS, Passes, Run, chunk_rows, starting
from gail_suite.generative.training.options import OnStep

HELD_MOST = 10_000
"""CentredRows at most that calibrate ``typicality`` when fit is given no held-out data."""
BATCH = 4096
"""Samples read at once from a Dataset."""
_DROPPED = ("random_state", "n_factors", "weights_init", "means_init", "precisions_init")
"""Settings that files of before 2026-11-28 hold for every mixture, and that a class may not have."""
CovarianceType = Literal["full", "tied", "diag", "spherical", "mfa"]


class Mixture(DensityModel):
    """Base of the mixtures; a subclass writes ``_maximise``, ``_evaluator``, ``_objective`` and ``_start``."""

    density: ClassVar[Literal["exact", "bound", "none"]] = "exact"
    dtype = torch.float64
    any_shape = True
    holds_out = False
    by_batch = False
    in_range = False
    batch = 1 << 30
    how_to_fit = frozenset({"max_iter", "tol", "n_init", "init_params", "warm_start", "verbose", "verbose_interval"})
    entropic: ClassVar[bool] = False
    """Whether the objective counts the entropy of the responsibilities in place of log p(x)."""

    def __init__(self, unknown: Settings, **config: Any) -> None:
        if "random_state" in unknown:
            raise TypeError(
                f"{type(self).__name__} takes no random_state: the seed has one home, fit(x, seed=0) and sample(n, "
                "seed=0)"
            )
        refuse_unknown(type(self), unknown)
        if config["covariance_type"] not in ga.KINDS:
            raise ValueError(f"covariance_type {config['covariance_type']!r} is none of {', '.join(ga.KINDS)}")
        if config["init_params"] not in INIT_PARAMS:
            raise ValueError(f"init_params {config['init_params']!r} is none of {', '.join(INIT_PARAMS)}")
        check_sizes(**{name: config[name] for name in ("n_components", "max_iter", "n_init", "verbose_interval")})
        if config["tol"] < 0 or config["reg_covar"] < 0:
            raise ValueError(f"tol and reg_covar must be >= 0, got {config['tol']} and {config['reg_covar']}")
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

    @classmethod
    def _config_of_file(cls, config: Settings) -> Settings:
        taken = inspect.signature(cls).parameters
        return {name: value for name, value in config.items() if name in taken or name not in _DROPPED}

    @property
    def kind(self) -> str:
        """The covariance type."""
        return str(self.config["covariance_type"])

    # ---- what a subclass writes -------------------------------------------------------------------------------------
    def _maximise(self, old: ga.Params, stats: ga.Statistics) -> ga.Params:
        """The parameters given the statistics of the responsibilities."""
        raise NotImplementedError

    def _evaluator(self, params: ga.Params, reach: Tensor | None = None) -> ga.Evaluator:
        """log w_k + log N(x; m_k, S_k)."""
        return ga.evaluator(self.kind, params, reach).plus(params["weights"].log())

    def _objective(self, params: ga.Params, value: float, total: float) -> float:
        """What EM raises, from the ``value`` of a pass over rows of ``total`` weight."""
        return value / total

    def _set_priors(self, passes: Passes) -> None:
        """A place for the Bayesian mixture to set its priors from the rows."""

    def _start(self, passes: Passes, draws: np.random.RandomState, seed: int) -> ga.Params:
        """The first parameters, by ``init_params``."""
        assign = starting(self.config["init_params"], passes.rows, self.config["n_components"], draws, seed)
        params = self._maximise({}, passes.sums(assign))
        if ga.is_tight(self.kind, params):
            params = self._maximise({}, passes.sums(assign, params["means"]))
        return params

    # ---- fitting ----------------------------------------------------------------------------------------------------
    def fit(  # type: ignore[override]
        self,
        x: Data | Stream,
        y: object = None,
        *,
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        progress: bool = True,
        val: Held | None = None,
        on_step: OnStep | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Fit to ``x`` (N, D) or samples (N, ...) of any shape, which are flattened and restored; ``y`` is ignored.

        ``x`` may be an array, also one mapped from a file, a torch Dataset of x or (x, label), or yield batches (a
        DataLoader, whose shuffling is left out): then every EM iteration is a pass over it. A one-shot iterator is
        fitted by ``partial_fit`` of its batches. ``sample_weight`` (N,) counts a row more or less often; ``steps`` is
        the number of iterations, at most, in place of ``max_iter``. Warns (scikit-learn's ConvergenceWarning) where
        ``max_iter`` ended the fit. Returns self.
        """
        if checkpoint is not None or resume:
            raise ValueError("a mixture fits in one go and keeps no checkpoints: leave out checkpoint and resume")
        x = _in_order(x)
        if isinstance(x, Iterator):
            asked = {"sample_weight": sample_weight, "val": val, "steps": steps, "on_step": on_step}
            if unusable := [name for name, value in asked.items() if value is not None]:
                raise ValueError(
                    f"a one-shot iterator is learned batch by batch, without {' and '.join(unusable)}: leave that out, "
                    "or give a DataLoader or an array"
                )
            with self._fitting(None, device):
                return self._fit_stream(x, operator.index(seed), device)
        warm = self._warm()
        with self._fitting(steps, device):
            rows = self._rows(x, sample_weight)
            held = None if val is None else self._check(val[0] if isinstance(val, tuple) else val)
            self._build()
            self.offset, self.n_rows_seen = rows.offset, rows.total
            passes = self._passes(rows)
            self._set_priors(passes)
            best = self._best_run(passes, operator.index(seed), steps, on_step, warm)
            self.params, self.lower_bounds_, self.converged_ = best.params, best.bounds, best.converged
            self.calibration = self._scale(
                self._held_out_errors(passes, best, operator.index(seed)) if held is None else self.error(held)
            )
        if not self.converged_ and steps is None:
            _warn_of_no_convergence(type(self).__name__, self.config["max_iter"], self.config["tol"])
        return self

    def _rows(self, x: ArrayLike | Stream, sample_weight: ArrayLike | None) -> CentredRows:
        """The rows of ``x``, checked; sets ``spec``."""
        if is_stream(x):
            if sample_weight is not None:
                raise ValueError("sample_weight needs the rows in one array: leave it out, or give an array")
            rows: CentredRows = CentredBatches(x, lambda batch: self._check(batch, first=True), self.device)
            self.spec = self._infer(torch.zeros(1, *rows.event), None)
        else:
            data = self._check(cast(ArrayLike, x), first=True)
            self.spec = self._infer(data, None)
            rows = CentredRows(data, _weights(sample_weight, len(data), self.device))
        k = self.config["n_components"]
        if k > rows.n:
            raise ValueError(f"n_components={k} is larger than the {rows.n} samples: take at most {rows.n} components")
        return rows

    def _passes(self, rows: CentredRows) -> Passes:
        has_missing = self._takes_missing() and any(bool(chunk.x.isnan().any()) for chunk in rows.chunks(1 << 16))
        return Passes(self.kind, rows, self.config["n_components"], self.config.get("n_factors", 0), has_missing)

    def _best_run(
        self, passes: Passes, seed: int, steps: int | None, on_step: OnStep | None, warm: ga.Params | None
    ) -> Run:
        """The best of ``n_init`` runs; with parameters to start from, the one run."""
        draws, runs = np.random.RandomState(seed & 0xFFFFFFFF), []
        for run in range(1 if warm else self.config["n_init"]):
            if self.config["verbose"]:
                print(f"{type(self).__name__}: start {run + 1}", flush=True)
            try:
                start = self._moved(warm) if warm else self._start(passes, draws, seed + run)
                runs.append(self._run(passes, start, steps, on_step))
            except torch.linalg.LinAlgError as error:
                raise ValueError(
                    f"a covariance is singular: raise reg_covar ({self.config['reg_covar']}) or take fewer than "
                    f"{self.config['n_components']} components"
                ) from error
        return max(runs, key=lambda run: run.bounds[-1])

    def _warm(self) -> ga.Params | None:
        """With ``warm_start``, the parameters of the fit before, means uncentred."""
        if not self.config["warm_start"] or not self.params:
            return None
        return self.params | {"means": self.params["means"] + self.offset}

    def _moved(self, warm: ga.Params) -> ga.Params:
        if warm["means"].shape[1:] != self.offset.shape:
            raise ValueError(
                f"warm_start resumes from a fit to {warm['means'].shape[1]} columns, these data have "
                f"{len(self.offset)}: "
                "set warm_start=False"
            )
        return {name: tensor.to(self.device) for name, tensor in warm.items()} | {
            "means": warm["means"].to(self.device) - self.offset
        }

    def _run(self, passes: Passes, params: ga.Params, steps: int | None, on_step: OnStep | None) -> Run:
        """EM from ``params`` until the objective changes by less than tol."""
        bounds: list[float] = []
        for iteration in range(steps or self.config["max_iter"]):
            old, ev = params, self._evaluator(params, passes.reach)
            stats, value = passes.expect(ev, old, self.entropic)
            params = self._maximise(old, stats)
            bounds.append(self._objective(params, value, passes.rows.total))
            if not math.isfinite(bounds[-1]):
                raise ValueError(
                    f"EM iteration {iteration + 1} gave {bounds[-1]}: raise reg_covar ({self.config['reg_covar']})"
                )
            self._report(iteration + 1, params, bounds, on_step)
            if iteration and abs(bounds[-1] - bounds[-2]) < self.config["tol"]:
                return Run(params, bounds, True, old, ev, stats)
        return Run(params, bounds, False, old, ev, stats)

    def _report(self, iteration: int, params: ga.Params, bounds: list[float], on_step: OnStep | None) -> None:
        if self.config["verbose"] and iteration % self.config["verbose_interval"] == 0:
            change = bounds[-1] - bounds[-2] if len(bounds) > 1 else math.nan
            print(f"  iteration {iteration}: objective {bounds[-1]:.6g}, change {change:.3g}", flush=True)
        if on_step is not None:
            self.params = params
            on_step(iteration, {"objective": bounds[-1]})

    def _held_out_errors(self, passes: Passes, last: Run, seed: int) -> Tensor:
        """The errors on a tenth of the rows under parameters from which they are left out.

        The last M step is repeated without these rows' share of the statistics; a component that they alone held keeps
        its fitted parameters.
        """
        rows = passes.rows
        some, all_of_them = _to_hold_out(rows, seed)
        x = rows.pick(some)
        if all_of_them:
            return self._errors_of(self._evaluator(self.params), x, self.params)
        weight = None if rows.weight is None else rows.weight[some.to(rows.device)]
        theirs = passes.over(CentredRows(x, weight, torch.zeros_like(rows.offset))).expect(
            last.evaluator, last.before, False
        )[0]
        kept = {name: value if name == "centre" else value - theirs[name] for name, value in last.stats.items()}
        alone = kept["mass"] < 1e-3 * theirs["mass"]
        refitted = self._maximise(last.before, kept)
        for name in {"means", "factors", "noise"} | ({"covariances"} if self.kind != "tied" else set()):
            if name in refitted:
                refitted[name][alone] = self.params[name][alone]
        return self._errors_of(self._evaluator(refitted), x, refitted)

    def _errors_of(self, ev: ga.Evaluator, centred: Tensor, params: ga.Params) -> Tensor:
        parts = centred.split(self._rows_at_once())
        return -torch.logsumexp(torch.cat([self._of_chunk(ev, part, params) for part in parts], 1), 0)

    def _fit_stream(self, x: Stream, seed: int, device: str | torch.device) -> Self:
        raise ValueError(
            f"this {type(self).__name__} is fitted by whole passes, which a one-shot iterator does not give: give fit "
            "a "
            "DataLoader or an array mapped from a file"
        )

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

    def fit_predict(self, x: ArrayLike, y: object = None, **options: Any) -> Tensor:
        """``fit(x)``, then ``predict(x)``."""
        return self.fit(x, y, **options).predict(x)

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
        """x_a -> p(x_b | x_a): ``given`` are the column indices a, the rest (in order) are b; factorised once,
        batched over x_a.
        """
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

    def posterior_mean(self, y: Tensor, operator: Tensor, noise: float = 0.0) -> Tensor:
        """E[x | y] for y = A x + noise, (B, D) from ``y`` (B, M) and A (M, D)."""
        self._need_fit()
        covariances = ga.dense_covariances(self.kind, self.params)
        y, operator = (t.to(self.device, self.dtype) for t in (y, operator))
        return posterior_mean(self.weights_, self.means_, covariances, y, operator, noise)

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


def _in_order(x: Data | Stream) -> ArrayLike | Stream:
    """A Dataset as a DataLoader, and a DataLoader that shuffles without that: EM meets a row anew in every pass."""
    if isinstance(x, DataLoader) and isinstance(x.sampler, RandomSampler) and x.batch_size is not None:
        return DataLoader(x.dataset, x.batch_size, collate_fn=x.collate_fn, num_workers=x.num_workers)
    return DataLoader(x, batch_size=BATCH) if isinstance(x, Dataset) else x


def _to_hold_out(rows: CentredRows, seed: int) -> tuple[Tensor, bool]:
    """A tenth of the rows that count, drawn by their weights, or all of fewer than 20; and whether it is all."""
    counted = torch.arange(rows.n) if rows.weight is None else rows.weight.nonzero()[:, 0].cpu()
    if len(counted) < 20:
        return counted, True
    most, generator = min(len(counted) // 10, HELD_MOST), seed_generator(seed)
    if rows.weight is None:
        return torch.randperm(rows.n, generator=generator)[:most], False
    # without replacement, and of more rows than torch.multinomial takes: Efraimidis and Spirakis (2006)
    keys = torch.rand(len(counted), generator=generator, dtype=torch.float64).log() / rows.weight.cpu()[counted]
    return counted[keys.topk(most).indices], False


def _weights(sample_weight: ArrayLike | None, n: int, device: torch.device) -> Tensor | None:
    """Weights (n,) in float64, checked; None for all ones."""
    if sample_weight is None:
        return None
    weight = as_tensor(sample_weight).to(device, torch.float64)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one number a sample, got {tuple(weight.shape)}")
    if not torch.isfinite(weight).all() or weight.min() < 0 or not weight.sum() > 0:
        raise ValueError("sample_weight must be finite numbers >= 0, and not zero for every sample")
    return weight


def _warn_of_no_convergence(name: str, max_iter: int, tol: float) -> None:
    warnings.warn(
        f"{name} did not converge in {max_iter} iterations: raise max_iter or tol ({tol}), or take fewer components",
        convergence_warning(),
        stacklevel=3,
    )
