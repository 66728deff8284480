"""One EM pass over data in chunks that fit the cache, and the responsibilities EM starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative import gaussians as ga
from gail_suite.generative.kmeans import kmeans, plus_plus

STORE_BYTES = 1 << 30
"""Statistics (x, x_i x_j) of full covariances up to this size are kept in memory over all iterations."""
CACHE_BYTES = 1 << 22
"""Statistics (x, x^2) up to this size are kept; making larger ones anew is cheaper than reading them from memory."""
SINGLE_FROM = 1 << 27
"""Statistics of full covariances above this size (float64) start in single precision."""
INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")


def chunk_rows(columns: int, device: torch.device) -> int:
    """Rows whose float64 working array of ``columns`` stays near 2 MB (cache of one core), or 256 MB on a GPU."""
    return max(64, (1 << (25 if device.type == "cuda" else 18)) // max(columns, 1))


class Data:
    """Centred rows (N, D) with what EM needs of them again and again.

    Large statistics of full covariances are kept in single precision until ``refine``: their products are then rounded to
    float32 within a chunk, and summed in float64. The last iterations and every density are float64 throughout.
    """

    def __init__(self, kind: str, x: Tensor, columns: int) -> None:
        self.kind, self.x = kind, x.contiguous()
        self.rows = chunk_rows(columns, x.device)
        self.total = x.T @ x if kind == "tied" else None
        width = x.shape[1] * (x.shape[1] + 3) // 2 if kind == "full" else 2 * x.shape[1]
        self.bytes = len(x) * width * x.element_size()
        self.single = kind == "full" and SINGLE_FROM < self.bytes <= 2 * STORE_BYTES
        self.t = ga.statistic(kind, self.x.float() if self.single else self.x, pairs=True) if self._fits() else None
        self.reach = x.abs().amax(0) if self.t is not None and kind == "full" else None

    def _fits(self) -> bool:
        """Whether the statistics are kept: for full covariances, whose making is the larger part, in memory, else in cache."""
        return self.bytes <= (STORE_BYTES * (2 if self.single else 1) if self.kind == "full" else CACHE_BYTES)

    @property
    def limit(self) -> float:
        """The largest |terms| of a quadratic form that this precision adds up well enough: to 1e-9 nats, while ``single`` 0.03."""
        return 0.03 / torch.finfo(torch.float32).eps if self.single else 1e-9 / ga.EPS

    def refine(self) -> None:
        """Go on in float64."""
        self.single, self.t = False, None
        if self._fits():
            self.t = ga.statistic(self.kind, self.x, pairs=True)
        else:
            self.reach = None

    def expect(
        self, ev: ga.Evaluator | None, entropic: bool, resp: Tensor | None = None
    ) -> tuple[dict[str, Tensor], float]:
        """The E step fused with the sums of the M step: (statistics, sum of log p(x)), or with ``entropic`` the entropy of r.

        ``resp`` (N, K) replaces the evaluator's responsibilities.
        """
        stats: dict[str, Tensor] = {}
        value = 0.0
        stored = self.t if ev is None or ev.theta is not None else None
        rows = max(self.rows, 2048) if stored is not None else self.rows
        for i in range(0, len(self.x), rows):
            chunk, y = self.x[i : i + rows], None
            t = stored[i : i + rows] if stored is not None else ga.statistic(self.kind, chunk)
            if ev is None or resp is not None:
                r = resp[i : i + rows]  # type: ignore[index]
            else:
                logits, y = ev.logits(chunk, t)
                r, log_p = _normalise(logits)
                value += float(torch.special.entr(r).sum() if entropic else log_p.sum())
            ga.accumulate(self.kind, chunk, t, r, y, stats)
        if self.total is not None:
            stats["total"] = self.total
        return stats, value


@dataclass(frozen=True)
class Run:
    """One run of EM: where it ended, and the last statistics with the parameters whose responsibilities made them."""

    params: ga.Params
    bounds: list[float]
    converged: bool
    before: ga.Params
    stats: dict[str, Tensor]


def _normalise(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the last axis with entries below 1e-30 set to 0, and the log of its normaliser (B, 1).

    Such entries would be denormal numbers in products, which processors multiply a hundred times more slowly.
    """
    top = logits.amax(1, keepdim=True)
    r = torch.nn.functional.threshold((logits - top).exp_(), 1e-30, 0.0, inplace=True)
    total = r.sum(1, keepdim=True)
    return r.div_(total), total.log_().add_(top)


def initial_responsibilities(how: str, x: Tensor, k: int, draws: np.random.RandomState, seed: int) -> Tensor:
    """Responsibilities (N, K) to start from; "random" and "random_from_data" draw as scikit-learn does for the same seed."""
    n = len(x)
    generator = torch.Generator(x.device).manual_seed(seed)
    if how == "random":
        resp = torch.as_tensor(draws.uniform(size=(n, k))).to(x)
        return resp / resp.sum(1, keepdim=True)
    if how == "kmeans":
        return torch.nn.functional.one_hot(kmeans(x, k, generator), k).to(x)
    if how == "random_from_data":
        rows = torch.as_tensor(draws.choice(n, size=k, replace=False), device=x.device)
    else:
        rows = plus_plus(x, k, generator)
    resp = x.new_zeros(n, k)
    resp[rows, torch.arange(k, device=x.device)] = 1
    return resp


def initial_factors(x: Tensor, resp: Tensor, n_factors: int, floor: float) -> ga.Params:
    """Every factor analyser of a mixture from the principal components of the rows it owns."""
    labels, k = resp.argmax(1), resp.shape[1]
    rows = [x[labels == i] if bool((labels == i).any()) else x for i in range(k)]
    parts = [ga.factors_of(r, n_factors, floor) for r in rows]
    mass = torch.bincount(labels, minlength=k).to(x).clamp_min(1)
    return {
        "weights": mass / mass.sum(),
        "means": torch.stack([r.mean(0) for r in rows]),
        "factors": torch.stack([w for w, _ in parts]),
        "noise": torch.stack([v for _, v in parts]),
    }


def without(all_rows: dict[str, Tensor], some: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Statistics of the rows that are not among ``some``; full covariances may have either form of second moments."""
    if kind == "full" and "t" in all_rows and "t" not in some:
        i, j = torch.triu_indices(*some["outer"].shape[1:], device=some["x"].device)
        some = {"mass": some["mass"], "t": torch.cat([some["x"], some["outer"][:, i, j]], 1)}
    return {name: value - some[name] if name in some else value for name, value in all_rows.items()}
