"""Unknown values, NaN, in a Gaussian mixture: densities of what is known, and EM that expects the rest.

Source: Ghahramani and Jordan (1994), Supervised learning from incomplete data via an EM approach.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gail_suite.generative.mixtures import gaussians as ga
from gail_suite.generative.mixtures.chunks import CentredRows

WORKING = 1 << 20
"""Numbers in the largest array of a chunk."""


class Known(NamedTuple):
    """What components (K) say of rows (B) with unknown values, patterns (P) of what is known."""

    log_density: Tensor
    """(K, B) of the known values."""
    expected: Tensor
    """(K, B, D) the row with its unknown values expected."""
    spread: Tensor
    """(P, K, D, D) covariance of the unknown values."""
    pattern: Tensor
    """(B,) of each row."""


def chunk_rows(components: int, d: int) -> int:
    """Rows whose covariances, one for each component, fill the working array."""
    return max(1, WORKING // (components * d * d))


def look(means: Tensor, covariances: Tensor, x: Tensor) -> Known:
    """Condition each component, ``means`` (K, D) and ``covariances`` (K, D, D), on the known values of ``x`` (B, D).

    With M the diagonal matrix of what is known, A = M S M + I - M has the known block of S and is regular.
    """
    known, pattern = torch.unique(~x.isnan(), dim=0, return_inverse=True)
    m = known.to(means)[:, None]  # (P, 1, D)
    inner = covariances * m.unsqueeze(3) * m.unsqueeze(2) + torch.diag_embed(1 - m)
    root = torch.linalg.cholesky(inner)  # (P, K, D, D)
    cross = covariances * m.unsqueeze(2)  # S M
    gain = torch.cholesky_solve(cross.mT, root).mT
    spread = covariances - gain @ cross.mT
    apart = torch.where(x.isnan().unsqueeze(1), 0.0, x.unsqueeze(1) - means)  # (B, K, D)
    white = torch.linalg.solve_triangular(root[pattern], apart.unsqueeze(3), upper=False).squeeze(3)
    half_log_det = root.diagonal(dim1=2, dim2=3).log().sum(2)[pattern]
    size = known.sum(1).to(means)[pattern].unsqueeze(1)
    log_density = -0.5 * (white.square().sum(2) + size * ga.LOG_2PI) - half_log_det
    expected = means + (gain[pattern] @ apart.unsqueeze(3)).squeeze(3)
    return Known(log_density.T, expected.transpose(0, 1), spread, pattern)


def log_densities(means: Tensor, covariances: Tensor, x: Tensor) -> Tensor:
    """log N(known values of x | k), shape (K, B)."""
    parts = x.split(chunk_rows(*means.shape))
    return torch.cat([look(means, covariances, part).log_density for part in parts], 1)


def expect(kind: str, rows: CentredRows, params: ga.Params) -> tuple[ga.Statistics, float]:
    """Statistics about the means of ``params`` with unknown values expected, and the sum of log p(known values)."""
    means, covariances = params["means"], ga.dense_covariances(kind, params)
    k, d = means.shape
    sums: ga.Statistics = {}
    value = 0.0
    for _, x, w in rows.chunks(chunk_rows(k, d)):
        found = look(means, covariances, x)
        joint = found.log_density + params["weights"].log().unsqueeze(1)
        log_p = torch.logsumexp(joint, 0)
        r = (joint - log_p).exp()
        r, log_p = (r, log_p) if w is None else (r * w, log_p * w)
        value += float(log_p.sum())
        ga.accumulate_apart(kind, found.expected - means.unsqueeze(1), r, sums)
        mass = r.new_zeros(k, len(found.spread)).index_add_(1, found.pattern, r)  # of every pattern
        rest = torch.einsum("kp,pkde->kde", mass, found.spread)
        sums["second"] = sums["second"] + _shaped(kind, rest)
        sums["mass"] = sums.get("mass", 0.0) + r.sum(1)
    return sums | {"centre": means}, value


def _shaped(kind: str, covariances: Tensor) -> Tensor:
    """Second moments (K, D, D) in the shape of the covariances of ``kind``."""
    if kind == "full":
        return covariances
    if kind == "tied":
        return covariances.sum(0)
    variances = covariances.diagonal(dim1=1, dim2=2)
    return variances if kind == "diag" else variances.sum(1)
