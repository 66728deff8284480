"""The Gaussian algebra of mixtures: log densities and sufficient statistics as a few large matrix products.

A component's log density is written as  const_k + theta_k . t(x) + sign/2 |x V_k - b_k|^2  with the statistic t(x) = x,
(x, x^2) or (x, x_i x_j); both EM steps are then products with t(x) and V. Data are centred and float64 throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
EPS = torch.finfo(torch.float64).eps
KINDS = ("full", "tied", "diag", "spherical", "mfa")
Params = dict[str, Tensor]
"""weights (K,), means (K, D) and covariances: full (K, D, D), tied (D, D), diag (K, D), spherical (K,); for mfa
factors (K, D, L) and noise (K, D), the covariance being factors factors^T + diag(noise)."""


@dataclass
class Evaluator:
    """The log densities of all components at once, for one setting of the parameters."""

    const: Tensor
    theta: Tensor | None = None
    """(Q, K) coefficients of the statistic t(x), rows ordered x first."""
    project: Tensor | None = None
    """(D, G R): G groups of R columns, G = K or 1 (shared)."""
    shift: Tensor | None = None
    groups: int = 1
    sign: float = -1.0
    work: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    def logits(self, x: Tensor, t: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """log N(x | k), shape (B, K), and y = x V_k - b_k, shape (B, G, R), in a buffer that the next call overwrites."""
        if self.theta is None or t is None:
            out = self.const.expand(len(x), -1)
        elif t.dtype == self.theta.dtype:
            out = torch.addmm(self.const, t, self.theta)
        else:
            out = (t @ self.theta.to(t.dtype)).to(self.theta.dtype) + self.const
        if self.project is None:
            return out, None
        key = (len(x), self.project.shape[1])
        y = torch.mm(x, self.project, out=self.work.setdefault(key, x.new_empty(key)))
        if self.shift is not None:
            y.sub_(self.shift)
        y = y.view(len(x), self.groups, -1)
        return out + 0.5 * self.sign * torch.linalg.vector_norm(y, dim=2).square_(), y


def statistic(kind: str, x: Tensor, pairs: bool = False) -> Tensor | None:
    """t(x): x for tied, (x, x^2) for diag, spherical and mfa, (x, x_i x_j for i <= j) for full with ``pairs``, else None."""
    if kind == "tied":
        return x
    if kind != "full":
        return torch.cat([x, x * x], 1)
    if not pairs:
        return None
    n, d = x.shape
    out, at = x.new_empty(n, d + d * (d + 1) // 2), d
    out[:, :d] = x
    for i in range(d):
        torch.mul(x[:, i : i + 1], x[:, i:], out=out[:, at : at + d - i])
        at += d - i
    return out


def regular(covariance: Tensor, floor: float) -> Tensor:
    """``covariance`` (..., D, D) itself where it has a Cholesky factor, else with its eigenvalues raised to ``floor`` or to
    1e-12 of the largest one, whichever is more."""
    if not bool((torch.linalg.cholesky_ex(covariance)[1] > 0).any()):
        return covariance
    values, vectors = torch.linalg.eigh(covariance)
    smallest = (1e-12 * values[..., -1:]).clamp_min(max(floor, torch.finfo(covariance.dtype).tiny))
    raised = (vectors * torch.maximum(values, smallest).unsqueeze(-2)) @ vectors.mT
    return 0.5 * (raised + raised.mT)


def precision_cholesky(covariance: Tensor) -> Tensor:
    """Upper-triangular P with P P^T = inverse covariance (..., D, D)."""
    lower = torch.linalg.cholesky(covariance)
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    return torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False).mT


def evaluator(kind: str, p: Params, reach: Tensor | None = None, limit: float = 1e-9 / EPS) -> Evaluator:
    """The evaluator of ``p``; with ``reach`` = max |x| (D,), full covariances use the statistic (x, x_i x_j) where that is safe.

    Safe means that rounding cannot matter: the terms of x^T P x, which add up to at most (sum_i sqrt(P_ii) reach_i)^2, stay
    under ``limit``.
    """
    means, d = p["means"], p["means"].shape[1]
    if kind in ("diag", "spherical", "mfa"):
        noise = p["noise"] if kind == "mfa" else p["covariances"].view(len(means), -1).expand_as(means)
        precision = 1.0 / noise
        theta = torch.cat([means * precision, -0.5 * precision], 1).T.contiguous()
        const = -0.5 * (d * LOG_2PI + noise.log().sum(1) + (means.square() * precision).sum(1))
        return _with_factors(Evaluator(const, theta), p, precision) if kind == "mfa" else Evaluator(const, theta)
    root = precision_cholesky(p["covariances"])
    half_logdet = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    if kind == "tied":
        whitened = means @ root
        const = half_logdet - 0.5 * (d * LOG_2PI + whitened.square().sum(1))
        return Evaluator(const, (root @ whitened.T).contiguous(), root)
    pairs = reach is not None and bool((root.square().sum(2).sqrt() @ reach).square().max() < limit)
    if not pairs:
        shift = torch.einsum("kd,kde->ke", means, root).reshape(-1)
        project = root.permute(1, 0, 2).reshape(d, -1).contiguous()
        return Evaluator(half_logdet - 0.5 * d * LOG_2PI, None, project, shift, len(means))
    precision = root @ root.mT
    i, j = torch.triu_indices(d, d, device=means.device)
    quadratic = -precision[:, i, j] * torch.where(i == j, 0.5, 1.0).to(means)
    linear = torch.einsum("kde,ke->kd", precision, means)
    const = half_logdet - 0.5 * (d * LOG_2PI + (linear * means).sum(1))
    return Evaluator(const, torch.cat([linear, quadratic], 1).T.contiguous())


def posterior_root(factors: Tensor, precision: Tensor) -> Tensor:
    """Lower-triangular C with C C^T = I + W^T diag(precision) W (K, L, L), the posterior precision of the factors."""
    inner = factors.mT @ (precision.unsqueeze(2) * factors)
    return torch.linalg.cholesky(inner + torch.eye(factors.shape[2]).to(inner))


def _with_factors(base: Evaluator, p: Params, precision: Tensor) -> Evaluator:
    """Add the low-rank part: (x-m)^T cov^-1 (x-m) = the diagonal form minus |C^-1 W^T diag(precision) (x-m)|^2 (Woodbury)."""
    root = posterior_root(p["factors"], precision)
    v = torch.linalg.solve_triangular(root, (precision.unsqueeze(2) * p["factors"]).mT, upper=False).mT
    base.const = base.const - root.diagonal(dim1=1, dim2=2).log().sum(1)
    base.project = v.permute(1, 0, 2).reshape(v.shape[1], -1).contiguous()
    base.shift = torch.einsum("kd,kdl->kl", p["means"], v).reshape(-1)
    base.groups, base.sign = len(v), 1.0
    return base


def dense_covariances(kind: str, p: Params) -> Tensor:
    """Every component's covariance as a matrix, (K, D, D)."""
    means = p["means"]
    if kind == "full":
        return p["covariances"]
    if kind == "tied":
        return p["covariances"].expand(len(means), -1, -1)
    if kind == "mfa":
        return p["factors"] @ p["factors"].mT + torch.diag_embed(p["noise"])
    return torch.diag_embed(p["covariances"].view(len(means), -1).expand_as(means))


def scatter(kind: str, mass: Tensor, means: Tensor, stats: dict[str, Tensor], floor: float) -> Tensor:
    """Covariances of the weighted data about ``means``, plus ``floor`` on the diagonal, in the shape of ``kind``."""
    d = means.shape[1]
    if kind in ("diag", "spherical"):
        variances = (stats["t"][:, d:] / mass.unsqueeze(1) - means.square()).clamp_min_(0) + floor
        return variances if kind == "diag" else variances.mean(1)
    if kind == "tied":
        covariance = (stats["total"] - means.T @ (mass.unsqueeze(1) * means)) / mass.sum()
    elif "t" in stats:
        i, j = torch.triu_indices(d, d, device=means.device)
        covariance = means.new_empty(len(means), d, d)
        covariance[:, i, j] = covariance[:, j, i] = stats["t"][:, d:] / mass.unsqueeze(1)
        covariance -= means.unsqueeze(2) * means.unsqueeze(1)
    else:
        covariance = stats["outer"] / mass.view(-1, 1, 1) - means.unsqueeze(2) * means.unsqueeze(1)
    covariance.diagonal(dim1=-2, dim2=-1).clamp_min_(0).add_(floor)
    return regular(covariance, floor)


def accumulate(kind: str, x: Tensor, t: Tensor | None, r: Tensor, y: Tensor | None, stats: dict[str, Tensor]) -> None:
    """Add one chunk with responsibilities ``r`` (B, K) to ``stats``: mass, and the weighted sums of t, of x x^T or of x y^T."""
    b, d = x.shape
    _add(stats, "mass", r.sum(0))
    if t is not None:
        _add(stats, "t", (r.to(t.dtype).T @ t).to(r.dtype))
        if kind != "mfa" or y is None:
            return
        weighted = r.unsqueeze(2) * y
        _add(stats, "y", weighted.sum(0))
        _add(stats, "yx", (weighted.view(b, -1).T @ x).view(*y.shape[1:], d))
        _add(stats, "yy", weighted.permute(1, 2, 0) @ y.transpose(0, 1))
        return
    _add(stats, "x", r.T @ x)
    weighted = (r.unsqueeze(2) * x.unsqueeze(1)).view(b, -1)
    _add(stats, "outer", (weighted.T @ x).view(r.shape[1], d, d))


def _add(stats: dict[str, Tensor], name: str, value: Tensor) -> None:
    stats[name] = stats[name].add_(value) if name in stats else value


def factor_step(old: Params, mass: Tensor, stats: dict[str, Tensor], floor: float) -> Params:
    """The exact M step of a mixture of factor analysers (Ghahramani and Hinton 1996), noise kept at or above ``floor``.

    [W m] = (sum r x [z 1]^T) (sum r [z 1][z 1]^T)^-1, with z = C^-T y the posterior mean of the factors.
    """
    d = old["means"].shape[1]
    root = posterior_root(old["factors"], 1.0 / old["noise"])
    back = torch.linalg.inv(root)
    xz, z = stats["yx"].mT @ back, (stats["y"].unsqueeze(1) @ back).squeeze(1)
    zz = back.mT @ stats["yy"] @ back + mass.view(-1, 1, 1) * (back.mT @ back)
    left = torch.cat([torch.cat([zz, z.unsqueeze(2)], 2), torch.cat([z, mass.unsqueeze(1)], 1).unsqueeze(1)], 1)
    right = torch.cat([xz, stats["t"][:, :d].unsqueeze(2)], 2)
    solution = torch.linalg.solve(left, right.mT).mT
    residual = stats["t"][:, d:] - (solution * right).sum(2)
    noise = (residual / mass.unsqueeze(1)).clamp_min(floor)
    return {"means": solution[:, :, -1].contiguous(), "factors": solution[:, :, :-1].contiguous(), "noise": noise}


def factors_of(rows: Tensor, n_factors: int, floor: float) -> tuple[Tensor, Tensor]:
    """Factors (D, L) and noise (D,) of one cluster from its principal components (Tipping and Bishop 1999)."""
    n, d = rows.shape
    centred = rows - rows.mean(0)
    variances = centred.square().mean(0)
    rank = min(n_factors, n - 1, d)
    factors = 1e-2 * variances.mean().sqrt() * torch.randn(d, n_factors, dtype=torch.float64).to(rows)
    if rank > 0 and float(variances.sum()) > 0:
        _, singular, vectors = torch.svd_lowrank(centred, q=min(rank + 4, n, d))
        spectrum = singular[:rank].square() / n
        rest = (variances.sum() - spectrum.sum()).clamp_min(0) / max(d - rank, 1)
        factors[:, :rank] = vectors[:, :rank] * (spectrum - rest).clamp_min(floor).sqrt()
    noise = (variances - factors.square().sum(1)).clamp_min(max(floor, 0.05 * float(variances.mean())))
    return factors, noise
