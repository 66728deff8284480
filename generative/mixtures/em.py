"""One EM pass over rows in chunks that fit the cache, and the responsibilities EM starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures import missing
from gail_suite.generative.mixtures.chunks import CentredRows, Chunk
from gail_suite.generative.mixtures.kmeans import SUBSAMPLE, kmeans, nearest, plus_plus

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")
Assign = Callable[[Chunk], Tensor]
"""Responsibilities (K, B) of a chunk."""


def chunk_rows(columns: int, device: torch.device) -> int:
    """Rows whose float64 working array of ``columns`` stays near 2 MB (cache of one core), or 256 MB on a
    GPU.
    """
    return max(64, (1 << (18 if device.type == "cpu" else 25)) // max(columns, 1))


@dataclass(frozen=True)
class Run:
    """One run of EM: where it ended, and the last statistics with the evaluator and the parameters that made them."""

    params: ga.Params
    bounds: list[float]
    converged: bool
    before: ga.Params
    evaluator: ga.Evaluator
    stats: ga.Statistics


class Passes:
    """The passes of EM over ``rows`` for one kind of covariance."""

    def __init__(self, kind: str, rows: CentredRows, components: int, factors: int, has_missing: bool = False) -> None:
        self.kind, self.rows, self.components, self.has_missing = kind, rows, components, has_missing
        d = rows.d
        self.width = ga.width(kind, d)
        self.columns = self.width + components
        self.columns_apart = 2 * components * (d + factors)
        self.reach = self._reach() if kind == "full" else None
        self.outer = self.outer_of_rows() if kind == "tied" and not has_missing else None

    def _reach(self) -> Tensor:
        reach = torch.zeros(self.rows.d, dtype=torch.float64, device=self.rows.device)
        for chunk in self.rows.chunks(chunk_rows(self.rows.d, self.rows.device)):
            reach = torch.maximum(reach, chunk.x.nan_to_num(0.0).abs().amax(0))
        return reach

    def outer_of_rows(self) -> Tensor:
        """sum of x x^T over the weighted rows; unknown values count as their column's mean."""
        total = torch.zeros(self.rows.d, self.rows.d, dtype=torch.float64, device=self.rows.device)
        for _, x, w in self.rows.chunks(chunk_rows(self.rows.d, self.rows.device)):
            x = x.nan_to_num(0.0) if self.has_missing else x
            total += (x if w is None else x * w.unsqueeze(1)).T @ x
        return total

    def over(self, rows: CentredRows) -> Passes:
        """The same passes over other rows."""
        factors = self.columns_apart // (2 * self.components) - rows.d
        return Passes(self.kind, rows, self.components, factors, self.has_missing)

    def _memory(self, count: int) -> Tensor:
        """Room for the statistic of ``count`` rows, which a pass fills again and again."""
        return torch.empty(min(count, self.rows.n) * self.width, dtype=torch.float64, device=self.rows.device)

    def expect(
        self, ev: ga.Evaluator, params: ga.Params, entropic: bool, apart: bool = False
    ) -> tuple[ga.Statistics, float]:
        """The E step fused with the sums of the M step: statistics, and sum of log p(x), or with ``entropic`` the
        entropy of r.

        With ``apart`` products are taken about the means of ``params``, as they are where digits would be lost.
        """
        if self.has_missing:
            return missing.expect(self.kind, self.rows, params)
        sums: ga.Statistics = {}
        value = torch.zeros((), dtype=torch.float64, device=self.rows.device)
        products = ev.theta is not None
        centre = params["means"] if apart or ev.centre is not None else None
        columns = self.columns if centre is None else self.columns_apart
        count = chunk_rows(columns, self.rows.device)
        memory = self._memory(count)
        for _, x, w in self.rows.chunks(count):
            t = ga.statistic(self.kind, x, products, memory)
            logits, y = ev.logits(x, t)
            r, log_p = normalise(logits)
            gain = torch.special.entr(r).sum(0) if entropic else log_p
            if w is not None:
                r, gain = r * w, gain * w
            value += gain.sum()
            ga.accumulate(self.kind, x, t, r, y, centre, sums)
        return ga.finished(self.kind, sums, self.rows.d, centre, self.outer), float(value)

    def sums(self, assign: Assign, centre: Tensor | None = None) -> ga.Statistics:
        """Statistics of given responsibilities; unknown values count as their column's mean."""
        sums: ga.Statistics = {}
        columns = self.columns if centre is None else self.columns_apart
        count = chunk_rows(columns, self.rows.device)
        memory = self._memory(count)
        for chunk in self.rows.chunks(count):
            r = assign(chunk) if chunk.weight is None else assign(chunk) * chunk.weight
            x = chunk.x.nan_to_num(0.0) if self.has_missing else chunk.x
            t = None if centre is not None else ga.statistic(self.kind, x, True, memory)
            ga.accumulate(self.kind, x, t, r, None, centre, sums)
        outer = self.outer
        if outer is None and self.kind == "tied" and centre is None:
            outer = self.outer_of_rows()
        return ga.finished(self.kind, sums, self.rows.d, centre, outer)


def normalise(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the first axis with entries below 1e-30 set to 0, and the log of its normaliser (B,).

    Such entries would be denormal numbers in products, which processors multiply a hundred times more slowly.
    """
    top = logits.amax(0)
    r = torch.nn.functional.threshold((logits - top).exp_(), 1e-30, 0.0, inplace=True)
    total = r.sum(0)
    return r.div_(total), total.log_().add_(top)


def starting(how: str, rows: CentredRows, k: int, draws: np.random.RandomState, seed: int) -> Assign:
    """Responsibilities to start from; "random" and "random_from_data" draw as scikit-learn does for the same seed.

    k-means sees at most ``SUBSAMPLE`` rows, or a hundred for a component.
    """
    if how == "random":
        drawn = torch.as_tensor(draws.uniform(size=(rows.n, k)), device=rows.device).T
        whole = drawn / drawn.sum(0)
        return lambda chunk: whole[:, chunk.at : chunk.at + len(chunk.x)]
    if how == "random_from_data":
        return _owners(torch.as_tensor(draws.choice(rows.n, size=k, replace=False), device=rows.device))
    generator = torch.Generator().manual_seed(seed)
    most = max(SUBSAMPLE, 100 * k)
    some = torch.randperm(rows.n, generator=generator)[:most] if rows.n > most else torch.arange(rows.n)
    seen = rows.pick(some).nan_to_num_(0.0)
    weight = None if rows.weight is None else rows.weight[some.to(rows.device)]
    if how == "k-means++":
        return _owners(some.to(rows.device)[plus_plus(seen, k, generator, weight)])
    centres = kmeans(seen, k, generator, weight)
    classes = torch.arange(k, device=rows.device).unsqueeze(1)
    return lambda chunk: (nearest(chunk.x.nan_to_num(0.0), centres) == classes).to(torch.float64)


def _owners(index: Tensor) -> Assign:
    """Component k owns the row ``index[k]`` and nothing else."""
    return lambda chunk: (torch.arange(len(chunk.x), device=index.device) + chunk.at == index.unsqueeze(1)).to(chunk.x)


def initial_factors(
    rows: Tensor, labels: Tensor, k: int, n_factors: int, floor: float, generator: torch.Generator
) -> ga.Params:
    """Every factor analyser of a mixture from the principal components of the ``rows`` it owns."""
    owned = [rows[labels == i] if bool((labels == i).any()) else rows for i in range(k)]
    parts = [ga.factors_of(r, n_factors, floor, generator) for r in owned]
    mass = torch.bincount(labels, minlength=k).to(rows).clamp_min(1)
    return {
        "weights": mass / mass.sum(),
        "means": torch.stack([r.mean(0) for r in owned]),
        "factors": torch.stack([w for w, _ in parts]),
        "noise": torch.stack([v for _, v in parts]),
    }
