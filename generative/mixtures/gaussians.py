"""The Gaussian algebra of mixtures: log densities and sufficient statistics as a few large matrix products.

A component's log density is written as  const_k + theta_k . t(x) + sign/2 |x V_k - b_k|^2  with the statistic t(x) = x,
(x, x^2), (x, |x|^2) or (x, x_i x_j); both EM steps are then products with t(x) and V. Squares of x lose the digits of a
component that is narrow for its distance from the origin; such components are treated in differences from their own
mean. Data are centred and float64 throughout; what belongs to components comes first: log densities are (K, B).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
EPS = torch.finfo(torch.float64).eps
LIMIT = 1e-9 / EPS
"""The largest terms of a quadratic form that float64 adds up to 1e-9 nats."""
KINDS = ("full", "tied", "diag", "spherical", "mfa")
Params = dict[str, Tensor]
"""weights (K,), means (K, D) and covariances: full (K, D, D), tied (D, D), diag (K, D), spherical (K,); for mfa
factors (K, D, L) and noise (K, D), the covariance being factors factors^T + diag(noise)."""
Statistics = dict[str, Tensor]
"""Weighted sums over rows: mass (K,), first (K, D) of x - centre, second of its products in the shape of the
covariances (mfa: their diagonal, and with the posterior factors y also y (K, L), yy and yx); centre (K, D), or a zero
for the origin.
"""


@dataclass(frozen=True)
class Evaluator:
    """The log densities of all components at once, for one setting of the parameters; safe to share between threads."""

    const: Tensor
    theta: Tensor | None = None
    """(K, Q) coefficients of the statistic t(x), columns ordered x first."""
    scale: Tensor | None = None
    """(K, D) or (K, 1): in place of theta, roots of the precisions of x - centre."""
    project: Tensor | None = None
    """(D, G R): G groups of R columns, G = K or 1 (shared)."""
    shift: Tensor | None = None
    groups: int = 1
    sign: float = -1.0
    centre: Tensor | None = None
    """(K, D): the means, where products of x itself would lose digits."""

    def logits(self, x: Tensor, t: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """log N(x | k), shape (K, B), and y = x V_k - b_k, shape (B, G, R)."""
        if self.theta is not None and t is not None:
            out = (self.theta @ t.T).add_(self.const.unsqueeze(1))
        elif self.scale is not None and self.centre is not None:
            apart = (x.unsqueeze(0) - self.centre.unsqueeze(1)) * self.scale.unsqueeze(1)
            out = self.const.unsqueeze(1) - 0.5 * apart.square_().sum(2)
        else:
            out = self.const.unsqueeze(1).expand(-1, len(x))
        if self.project is None:
            return out, None
        y = x @ self.project
        if self.shift is not None:
            y -= self.shift
        y = y.view(len(x), self.groups, -1)
        return out + 0.5 * self.sign * y.square().sum(2).T, y

    def plus(self, more: Tensor) -> Evaluator:
        """The evaluator whose log densities are larger by ``more`` (K,)."""
        return replace(self, const=self.const + more)


@lru_cache(maxsize=64)
def pairs(d: int) -> tuple[Tensor, Tensor]:
    """The columns (i, j) of the products x_i x_j: blocks of rows of the upper triangle, whole squares on its
    diagonal.
    """
    step = _block(d)
    with torch.inference_mode(False):  # they are kept, and may serve a gradient later
        found = [torch.cartesian_prod(torch.arange(a, min(a + step, d)), torch.arange(a, d)) for a in range(0, d, step)]
        return torch.cat(found).unbind(1)  # type: ignore[return-value]


def _block(d: int) -> int:
    """Rows of a block: eight blocks make the products fast and hold a few more of them than the triangle."""
    return max(1, -(-d // 8))


def width(kind: str, d: int) -> int:
    """Columns of the statistic."""
    return {"full": d + len(pairs(d)[0]), "tied": d, "spherical": d + 1}.get(kind, 2 * d)


def statistic(kind: str, x: Tensor, products: bool = False, memory: Tensor | None = None) -> Tensor | None:
    """t(x): x for tied, (x, x^2) for diag and mfa, (x, |x|^2) for spherical, (x, x_i x_j) for full with ``products``,
    else None.

    ``memory``, at least B times the width, takes the result in place of new memory.
    """
    n, d = x.shape
    if kind == "tied":
        return x
    if kind == "full" and not products:
        return None
    if x.requires_grad and kind != "full":  # what follows writes into memory
        return torch.cat([x, x.square().sum(1, keepdim=True) if kind == "spherical" else x.square()], 1)
    size = n * width(kind, d)
    memory = x.new_empty(size) if memory is None else memory[:size]
    if kind == "full":
        return _with_products(x, memory.view(-1, n)).T
    t = memory.view(n, -1)
    t[:, :d] = x
    if kind == "spherical":
        torch.linalg.vecdot(x, x, out=t[:, d])
    else:
        torch.mul(x, x, out=t[:, d:])
    return t


def _with_products(x: Tensor, out: Tensor) -> Tensor:
    """``out`` (width, B) filled with x and the products of ``pairs``, the rows of ``x`` side by side: so the inner
    loop is long.
    """
    d = x.shape[1]
    out[:d] = x.T
    step, at = _block(d), d
    for a in range(0, d, step):
        first, rest = out[a : min(a + step, d)], out[a:d]
        to = at + len(first) * len(rest)
        torch.mul(first.unsqueeze(1), rest.unsqueeze(0), out=out[at:to].unflatten(0, (len(first), -1)))
        at = to
    return out


def regular(covariance: Tensor, floor: float, margin: float = 0.0) -> Tensor:
    """``covariance`` (..., D, D) itself where it has a Cholesky factor, else with its eigenvalues raised to ``floor``
    or to 1e-12 of the largest one, whichever is more. With ``margin`` also where subtracting that many eps of the trace
    leaves it none.
    """
    less = covariance
    if margin:
        rounding = margin * EPS * covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
        less = covariance - rounding[..., None, None] * torch.eye(covariance.shape[-1]).to(covariance)
    if not bool((torch.linalg.cholesky_ex(less)[1] > 0).any()):
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


def evaluator(kind: str, p: Params, reach: Tensor | None = None) -> Evaluator:
    """The evaluator of ``p``; with ``reach`` = max |x| (D,), full covariances use the statistic (x, x_i x_j) where that
    is safe.

    Safe means that rounding cannot matter: the terms of x^T P x, which add up to at most (sum_i sqrt(P_ii) reach_i)^2,
    stay under ``LIMIT``.
    """
    if kind in ("diag", "spherical", "mfa"):
        return _axes(kind, p)
    means, d = p["means"], p["means"].shape[1]
    root = precision_cholesky(p["covariances"])
    const = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * d * LOG_2PI
    if kind == "tied":
        whitened = means @ root
        if whitened.square().sum(1).max() < LIMIT:
            return Evaluator(const - 0.5 * whitened.square().sum(1), (whitened @ root.T).contiguous(), project=root)
        root, const = root.expand(len(means), d, d), const.expand(len(means))
    elif reach is not None and bool((root.square().sum(2).sqrt() @ reach).square().max() < LIMIT):
        return _quadratic(means, root @ root.mT, const)
    project = root.permute(1, 0, 2).reshape(d, -1).contiguous()
    shift = torch.einsum("kd,kde->ke", means, root).reshape(-1)
    return Evaluator(const, project=project, shift=shift, groups=len(means), centre=means)


def _quadratic(means: Tensor, precision: Tensor, const: Tensor) -> Evaluator:
    """Full covariances by the statistic (x, x_i x_j)."""
    i, j = (index.to(means.device) for index in pairs(means.shape[1]))
    once = (i // _block(means.shape[1])) == (j // _block(means.shape[1]))  # both (i, j) and (j, i) are columns
    quadratic = -precision[:, i, j] * torch.where(once, 0.5, 1.0).to(means)
    linear = torch.einsum("kde,ke->kd", precision, means)
    return Evaluator(const - 0.5 * (linear * means).sum(1), torch.cat([linear, quadratic], 1))


def _axes(kind: str, p: Params) -> Evaluator:
    """Diagonal and spherical covariances, and the noise of mfa."""
    means, d = p["means"], p["means"].shape[1]
    noise = p["noise"] if kind == "mfa" else p["covariances"].view(len(means), -1)
    precision = 1.0 / noise
    const = -0.5 * (d * LOG_2PI + noise.log().expand_as(means).sum(1))
    far = (means.square() * precision).sum(1)
    if far.max() < LIMIT:
        theta = torch.cat([means * precision, -0.5 * precision], 1)
        base = Evaluator(const - 0.5 * far, theta)
    else:
        base = Evaluator(const, scale=precision.sqrt(), centre=means)
    return _with_factors(base, p, precision) if kind == "mfa" else base


def posterior_root(factors: Tensor, precision: Tensor) -> Tensor:
    """Lower-triangular C with C C^T = I + W^T diag(precision) W (K, L, L), the posterior precision of the factors."""
    inner = factors.mT @ (precision.unsqueeze(2) * factors)
    return torch.linalg.cholesky(inner + torch.eye(factors.shape[2]).to(inner))


def _with_factors(base: Evaluator, p: Params, precision: Tensor) -> Evaluator:
    """Add the low-rank part: (x-m)^T cov^-1 (x-m) = the diagonal form minus |C^-1 W^T diag(precision) (x-m)|^2
    (Woodbury).
    """
    root = posterior_root(p["factors"], precision)
    v = torch.linalg.solve_triangular(root, (precision.unsqueeze(2) * p["factors"]).mT, upper=False).mT
    return replace(
        base.plus(-root.diagonal(dim1=1, dim2=2).log().sum(1)),
        project=v.permute(1, 0, 2).reshape(v.shape[1], -1).contiguous(),
        shift=torch.einsum("kd,kdl->kl", p["means"], v).reshape(-1),
        groups=len(v),
        sign=1.0,
    )


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


def is_tight(kind: str, p: Params) -> bool:
    """Whether a component is so narrow for its distance from the origin that sums of squares of x lose its digits."""
    variances = dense_covariances(kind, p).diagonal(dim1=1, dim2=2)
    return bool((p["means"].square() / variances).sum(1).max() >= LIMIT)


def maximise(kind: str, stats: Statistics, floor: float) -> Params:
    """The M step: weights, means and covariances (plus ``floor`` on their diagonals) of the weighted rows."""
    mass = stats["mass"] + 10 * EPS
    shift = stats["first"] / mass.unsqueeze(1)
    covariances = _scatter(kind, mass, shift, stats["second"], floor)
    return {"weights": mass / mass.sum(), "means": stats["centre"] + shift, "covariances": covariances}


def _scatter(kind: str, mass: Tensor, shift: Tensor, second: Tensor, floor: float) -> Tensor:
    """Covariances about the means, which lie ``shift`` (K, D) away from where the products ``second`` were taken."""
    if kind == "diag":
        return (second / mass.unsqueeze(1) - shift.square()).clamp_min_(0) + floor
    if kind == "spherical":
        return (second / mass - shift.square().sum(1)).clamp_min_(0) / shift.shape[1] + floor
    if kind == "tied":
        covariance = (second - shift.T @ (mass.unsqueeze(1) * shift)) / mass.sum()
    else:
        covariance = second / mass.view(-1, 1, 1) - shift.unsqueeze(2) * shift.unsqueeze(1)
    covariance.diagonal(dim1=-2, dim2=-1).clamp_min_(0).add_(floor)
    return regular(covariance, floor)


def accumulate(
    kind: str, x: Tensor, t: Tensor | None, r: Tensor, y: Tensor | None, centre: Tensor | None, sums: Statistics
) -> None:
    """Add one chunk with responsibilities ``r`` (K, B): products of t(x), or of x - ``centre`` (K, D) where that is
    given.
    """
    _add(sums, "mass", r.sum(1))
    apart = None if centre is None else x.unsqueeze(0) - centre.unsqueeze(1)
    if apart is None:
        _add(sums, "t", r @ t)  # type: ignore[operator]
    else:
        accumulate_apart(kind, apart, r, sums)
    if kind == "mfa" and y is not None:
        weighted = r.T.unsqueeze(2) * y
        _add(sums, "y", weighted.sum(0))
        _add(sums, "yy", weighted.permute(1, 2, 0) @ y.transpose(0, 1))
        if apart is None:
            _add(sums, "yx", (weighted.reshape(len(x), -1).T @ x).view(*y.shape[1:], -1))
        else:
            _add(sums, "yx", weighted.permute(1, 2, 0) @ apart)


def accumulate_apart(kind: str, apart: Tensor, r: Tensor, sums: Statistics) -> None:
    """Moments of ``apart`` = x - centre (K, B, D)."""
    weighted = apart * r.unsqueeze(2)
    _add(sums, "first", weighted.sum(1))
    if kind == "full":
        _add(sums, "second", weighted.mT @ apart)
    elif kind == "tied":
        flat = apart.shape[0] * apart.shape[1]
        _add(sums, "second", weighted.reshape(flat, -1).T @ apart.reshape(flat, -1))
    else:
        squares = (weighted * apart).sum(1)
        _add(sums, "second", squares.sum(1) if kind == "spherical" else squares)


def finished(kind: str, sums: Statistics, d: int, centre: Tensor | None, total: Tensor | None) -> Statistics:
    """The sums of a whole pass in their final form; ``total`` = sum x x^T serves tied covariances."""
    zero = sums["mass"].new_zeros(())
    if "t" not in sums:
        return sums | {"centre": zero if centre is None else centre}
    t = sums.pop("t")
    second = t[:, d:].squeeze(1) if kind == "spherical" else t[:, d:]
    if kind == "tied":
        assert total is not None
        second = total
    elif kind == "full":
        i, j = (index.to(t.device) for index in pairs(d))
        second = t.new_empty(len(t), d, d)
        second[:, i, j] = second[:, j, i] = t[:, d:]
    return sums | {"first": t[:, :d], "second": second, "centre": zero}


def _add(sums: Statistics, name: str, value: Tensor) -> None:
    sums[name] = sums[name].add_(value) if name in sums else value


def factor_step(old: Params, stats: Statistics, floor: float) -> Params:
    """The exact M step of a mixture of factor analysers (Ghahramani and Hinton 1996), noise kept at or above ``floor``.

    [W m] = (sum r x [z 1]^T) (sum r [z 1][z 1]^T)^-1, with z = C^-T y the posterior mean of the factors.
    """
    mass = stats["mass"] + 10 * EPS
    root = posterior_root(old["factors"], 1.0 / old["noise"])
    back = torch.linalg.inv(root)
    xz, z = stats["yx"].mT @ back, (stats["y"].unsqueeze(1) @ back).squeeze(1)
    zz = back.mT @ stats["yy"] @ back + mass.view(-1, 1, 1) * (back.mT @ back)
    left = torch.cat([torch.cat([zz, z.unsqueeze(2)], 2), torch.cat([z, mass.unsqueeze(1)], 1).unsqueeze(1)], 1)
    right = torch.cat([xz, stats["first"].unsqueeze(2)], 2)
    solution = torch.linalg.solve(left, right.mT).mT
    residual = stats["second"] - (solution * right).sum(2)
    return {
        "weights": mass / mass.sum(),
        "means": stats["centre"] + solution[:, :, -1],
        "factors": solution[:, :, :-1].contiguous(),
        "noise": (residual / mass.unsqueeze(1)).clamp_min(floor),
    }


def factors_of(rows: Tensor, n_factors: int, floor: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors (D, L) and noise (D,) of one cluster from its principal components (Tipping and Bishop 1999)."""
    n, d = rows.shape
    centred = rows - rows.mean(0)
    variances = centred.square().mean(0)
    rank = min(n_factors, n - 1, d)
    factors = 1e-2 * variances.mean().sqrt() * _normal(rows, (d, n_factors), generator)
    if rank > 0 and float(variances.sum()) > 0:
        singular, vectors = _leading(centred, min(rank + 4, n, d), generator)
        spectrum = singular[:rank].square() / n
        rest = (variances.sum() - spectrum.sum()).clamp_min(0) / max(d - rank, 1)
        factors[:, :rank] = vectors[:, :rank] * (spectrum - rest).clamp_min(floor).sqrt()
    noise = (variances - factors.square().sum(1)).clamp_min(max(floor, 0.05 * float(variances.mean())))
    return factors, noise


def _leading(x: Tensor, q: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The ``q`` largest singular values of ``x`` (N, D) and their right vectors (D, q), by subspace iteration
    (Halko et al. 2011).
    """
    basis = _normal(x, (x.shape[1], q), generator)
    for _ in range(3):
        basis = torch.linalg.qr(x.T @ (x @ basis)).Q
    _, singular, vectors = torch.linalg.svd(x @ basis, full_matrices=False)
    return singular, basis @ vectors.mT


def _normal(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device).to(like)
