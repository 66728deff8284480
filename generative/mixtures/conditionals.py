"""Closed-form conditionals of a Gaussian mixture: p(b | a), and the posterior mean under a linear observation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from gail_suite.generative.core.checks import as_tensor, check_finite
from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.mixtures.gaussians import LOG_2PI


class Conditional:
    """x_a -> p(x_b | x_a) of sum_k w_k N(x; m_k, S_k), itself a mixture with the same covariances for every x_a.

    w_k(a) ~ w_k N(a; m_a, S_aa),  m_b|a = m_b + S_ba S_aa^-1 (a - m_a),  S_b|a = S_bb - S_ba S_aa^-1 S_ab
    (Bishop 2006, section 2.3). All K components are factorised once, here.
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, given: Tensor) -> None:
        rest = torch.ones(means.shape[1], dtype=torch.bool, device=means.device)
        rest[given] = False
        self.given, self.rest = given, rest.nonzero().squeeze(1)
        s_aa = covariances[:, given][:, :, given]
        s_ab = covariances[:, given][:, :, self.rest]
        self.root = torch.linalg.cholesky(s_aa)
        self.log_scale = weights.log() - self.root.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * len(given) * LOG_2PI
        self.gain = torch.cholesky_solve(s_ab, self.root)
        self.mean_a, self.mean_b = means[:, given], means[:, self.rest]
        covariance = covariances[:, self.rest][:, :, self.rest] - s_ab.mT @ self.gain
        self.scale = torch.linalg.cholesky(0.5 * (covariance + covariance.mT))

    def moments(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Log weights (B, K), normalised, and means (B, K, Db) for ``a`` (B, Da)."""
        distance, means = self.located(a)
        return (self.log_scale - 0.5 * distance).log_softmax(1), means

    def located(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Squared Mahalanobis distances (B, K) of ``a`` (B, Da), and the means (B, K, Db) there."""
        centred = a.to(self.mean_a).unsqueeze(1) - self.mean_a
        whitened = torch.linalg.solve_triangular(self.root, centred.permute(1, 2, 0), upper=False)
        return whitened.square().sum(1).T, self.mean_b + torch.einsum("bka,kac->bkc", centred, self.gain)

    def __call__(self, a: ArrayLike) -> MixtureSameFamily:
        """The distribution of x_b (B, Db) given ``a`` (B, Da): log_prob, sample, mean, variance."""
        known = as_tensor(a)
        if known.ndim != 2 or known.shape[1] != len(self.given):
            raise ValueError(f"the given values must have shape (B, {len(self.given)}), got {tuple(known.shape)}")
        check_finite(known)
        log_weights, means = self.moments(known)
        components = MultivariateNormal(means, scale_tril=self.scale, validate_args=False)
        return MixtureSameFamily(Categorical(logits=log_weights), components, validate_args=False)


def posterior_mean(
    weights: Tensor, means: Tensor, covariances: Tensor, y: Tensor, operator: Tensor, noise: float = 0.0
) -> Tensor:
    """E[x | y] for y = A x + e, e ~ N(0, noise^2): (B, D) from ``y`` (B, M) and ``operator`` A (M, D).

    One formula for filling in (A picks the known entries), denoising (A is the identity) and upscaling (A averages
    blocks). Where S_yy has no Cholesky factor, its diagonal is raised by a billionth of itself, row by row.
    """
    projected = covariances @ operator.T
    s_yy = operator @ projected
    s_yy = s_yy + noise**2 * torch.eye(len(operator)).to(s_yy)
    root, failed = torch.linalg.cholesky_ex(s_yy)
    if bool(failed.any()):
        root = torch.linalg.cholesky(s_yy + 1e-9 * torch.diag_embed(s_yy.diagonal(dim1=1, dim2=2)))
    centred = y.unsqueeze(0) - (means @ operator.T).unsqueeze(1)
    whitened = torch.linalg.solve_triangular(root, centred.mT, upper=False)
    logits = weights.log().unsqueeze(1) - root.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)
    responsibilities = (logits - 0.5 * whitened.square().sum(1)).softmax(0)
    update = torch.linalg.solve_triangular(root.mT, whitened, upper=True)
    each = means.unsqueeze(1) + (projected @ update).mT
    return torch.einsum("kb,kbd->bd", responsibilities, each)
