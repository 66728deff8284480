"""A behaviour prior in closed form: p0(a|s) of a mixture fitted to pairs (s, a)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.mixtures.gaussians import LOG_2PI
from gail_suite.generative.mixtures.gmm import GaussianMixture


class ActionMixture:
    """p0(a|s) = sum_k w_k(s) p_k(a|s), the conditional of a joint mixture.

    Gaussian components (Bishop 2006, section 2.3): N(a; m_k(s), C_k) with means affine in s and one covariance for
    every s, which far from the demonstrations is as sure of itself as among them. With `dof` the components are
    Student's t with the same locations and scales (Kotz and Nadarajah 2004, section 1.11): p_k(a|s) = t(a; m_k(s),
    g_k(s) C_k, dof + F) with g_k(s) = (dof + d_k(s)) / (dof + F), d_k the squared Mahalanobis distance of s, so that
    the density widens where the state is foreign.

    Everything that does not depend on s is factorised once, so that an update costs a few products. Float64, since
    responsibilities are differences of squared distances in tens of dimensions. Actions are in [-1, 1], where a little
    of the mass is missing; log p0 leaves out that normaliser, which does not depend on the action.

    Args:
        mixture: of (features, actions), F + A columns.
        n_features: F.
        dof: degrees of freedom of the joint components, infinite for Gaussian ones.
    """

    def __init__(self, mixture: GaussianMixture, n_features: int, dof: float = math.inf) -> None:
        self.conditional, self.dof, self.n_features = mixture.condition(torch.arange(n_features)), dof, n_features
        scale = self.conditional.scale
        identity = torch.eye(scale.shape[-1], dtype=scale.dtype).expand_as(scale)
        self.whiten = torch.linalg.solve_triangular(scale, identity, upper=False)
        self.log_scale = -scale.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * scale.shape[-1] * LOG_2PI

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """log p0(a|s) in nats (B,), differentiable in both, for features (B, F) and actions (B, A)."""
        log_weights, means, widening = self.moments(features)
        residual = torch.einsum("kij,bkj->bki", self.whiten, actions.to(means).unsqueeze(1) - means)
        distance = residual.square().sum(2)
        if widening is None:
            log_probs = -0.5 * distance
        else:
            dof, n = self.dof + self.n_features, actions.shape[1]
            log_probs = (
                math.lgamma((dof + n) / 2)
                - math.lgamma(dof / 2)
                - 0.5 * n * math.log(dof / 2)
                - 0.5 * n * widening.log()
                - 0.5 * (dof + n) * torch.log1p(distance / (dof * widening))
            )
        return torch.logsumexp(log_weights + self.log_scale + log_probs, 1).to(actions.dtype)

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B, A), cut to [-1, 1]."""
        log_weights, means, widening = self.moments(features)
        component = torch.multinomial(log_weights.exp(), 1, generator=generator).squeeze(1)
        noise = torch.randn(means.shape[::2], generator=generator, dtype=means.dtype)
        rows = torch.arange(len(means))
        if widening is not None:
            dof = self.dof + self.n_features
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
            chi = torch.from_numpy(rng.chisquare(dof, len(means)))
            noise = noise * (widening[rows, component] * dof / chi).sqrt().unsqueeze(1)
        chosen = means[rows, component]
        return (
            (chosen + torch.einsum("bij,bj->bi", self.conditional.scale[component], noise))
            .clamp(-1, 1)
            .to(features.dtype)
        )

    def moments(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Log weights (B, K), means (B, K, A) and what the squared scales are multiplied with (B, K), None for
        Gaussian components.
        """
        c = self.conditional
        if math.isinf(self.dof):
            return *c.moments(features), None
        distance, means = c.located(features)
        dof, n = self.dof, self.n_features
        # the normaliser of the marginal t is the same for all components but for the determinant
        logits = c.log_scale - 0.5 * (dof + n) * torch.log1p(distance / dof)
        return logits.log_softmax(1), means, (dof + distance) / (dof + n)
