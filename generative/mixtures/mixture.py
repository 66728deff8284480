"""How every Gaussian mixture is fitted: EM by passes over rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from gail_suite.generative.core.backend import seed_generator
from gail_suite.generative.core.checks import as_seed, as_tensor, check_numbers, check_sizes, refuse_unknown
from gail_suite.generative.core.loaders import order_of
from gail_suite.generative.core.peer import convergence_warning
from gail_suite.generative.core.types import ArrayLike, Data, Held, Settings, Stream
from gail_suite.generative.interface import fitting
from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures.chunks import CentredBatches, CentredRows, is_stream, samples_of
from gail_suite.generative.mixtures.em import INIT_PARAMS, Passes, Run, starting
from gail_suite.generative.mixtures.fitted import FittedMixture
from gail_suite.generative.training.options import OnStep

HELD_MOST = 10_000
"""Rows at most that calibrate ``typicality`` when fit is given no held-out data."""
BATCH = 4096
"""Samples read at once from a Dataset."""
CovarianceType = Literal["full", "tied", "diag", "spherical", "mfa"]


class Mixture(FittedMixture):
    """Base of the mixtures; a subclass writes ``_maximise``, ``_evaluator``, ``_objective`` and ``_start``."""

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
        check_numbers(tol=config["tol"], reg_covar=config["reg_covar"])
        super().__init__(**config)

    # ---- what a subclass writes -------------------------------------------------------------------------------------
    def _maximise(self, old: ga.Params, stats: ga.Statistics) -> ga.Params:
        """The parameters given the statistics of the responsibilities."""
        raise NotImplementedError

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
            with fitting.begun(self, None, device):
                return self._fit_stream(x, as_seed(seed), device)
        warm = self._warm()
        with fitting.begun(self, steps, device):
            seed = as_seed(seed)
            rows = self._rows(x, sample_weight)
            held = None if val is None else self._held(val[0] if isinstance(val, tuple) else val)
            self._build()
            self.offset, self.n_rows_seen = rows.offset, rows.total
            passes = self._passes(rows)
            self._set_priors(passes)
            best = self._best_run(passes, seed, steps, on_step, warm)
            self.params, self.lower_bounds_, self.converged_ = best.params, best.bounds, best.converged
            errors = self._held_out_errors(passes, best, seed) if held is None else self.error(held)
            self.calibration = fitting.scale(self, errors)
        if not self.converged_ and steps is None:
            _warn_of_no_convergence(type(self).__name__, self.config["max_iter"], self.config["tol"])
        if rows.n == 1 and steps is None:
            _warn_of_no_spread(self.config["reg_covar"])
        return self

    def fit_predict(self, x: ArrayLike, y: object = None, **options: Any) -> Tensor:
        """``fit(x)``, then ``predict(x)``."""
        return self.fit(x, y, **options).predict(x)

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
            self._name_columns(x)
            rows = CentredRows(data, _weights(sample_weight, len(data), self.device))
        k = self.config["n_components"]
        if k > rows.n:
            raise ValueError(f"n_components={k} is larger than the {rows.n} samples: take at most {rows.n} components")
        return rows

    def _held(self, val: Data) -> Tensor:
        """Held-out data, checked, all of them in memory."""
        given = _in_order(val)
        return self._check(torch.cat([samples_of(b) for b in given]) if is_stream(given) else cast(ArrayLike, given))

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


def _in_order(x: Data | Stream) -> ArrayLike | Stream:
    """A Dataset as a DataLoader, and a DataLoader that shuffles without that: EM meets a row anew in every pass."""
    draws = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
    if isinstance(x, DataLoader) and isinstance(x.sampler, draws) and x.batch_size is not None:
        some = order_of(x, "EM reads the same rows in every pass, and")
        rows = None if some is None else some.tolist()
        return DataLoader(x.dataset, x.batch_size, sampler=rows, collate_fn=x.collate_fn, num_workers=x.num_workers)
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
    weight = as_tensor(sample_weight).detach().to(device, torch.float64)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one number a sample, got {tuple(weight.shape)}")
    if not torch.isfinite(weight).all() or weight.min() < 0 or not weight.sum() > 0:
        raise ValueError("sample_weight must be finite numbers >= 0, and not zero for every sample")
    return weight


def _warn_of_no_spread(reg_covar: float) -> None:
    warnings.warn(
        f"one sample has no spread, so the variances of this mixture are what reg_covar ({reg_covar:g}) or a prior "
        "says, not the data: fit to 2 samples or more",
        stacklevel=3,
    )


def _warn_of_no_convergence(name: str, max_iter: int, tol: float) -> None:
    warnings.warn(
        f"{name} did not converge in {max_iter} iterations: raise max_iter or tol ({tol}), or take fewer components",
        convergence_warning(),
        stacklevel=3,
    )
