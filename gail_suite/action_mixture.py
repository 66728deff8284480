"""A behaviour prior in closed form: p0(a|s) of a Gaussian mixture fitted to pairs (s, a)."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.gaussians import LOG_2PI
from generative.gmm import GaussianMixture


class ActionMixture:
    """p0(a|s) = sum_k w_k(s) N(a; m_k(s), C_k), the conditional of a joint mixture (Bishop 2006, section 2.3).

    The weights w_k(s) and the means, affine in s, are those of `generative.conditionals.Conditional`; everything that does
    not depend on s is factorised once, so that an update costs a few products. Float64, since responsibilities are
    differences of squared distances in tens of dimensions. Actions are in [-1, 1], where a little of a Gaussian's mass is
    missing; log p0 leaves out that normaliser, which does not depend on the action.
    """

    def __init__(self, mixture: GaussianMixture, n_features: int):
        self.conditional = mixture.condition(torch.arange(n_features))
        scale = self.conditional.scale
        identity = torch.eye(scale.shape[-1], dtype=scale.dtype).expand_as(scale)
        self.whiten = torch.linalg.solve_triangular(scale, identity, upper=False)
        self.log_scale = -scale.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * scale.shape[-1] * LOG_2PI

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """log p0(a|s) in nats (B,), differentiable in both, for features (B, F) and actions (B, A)."""
        log_weights, means = self.conditional.moments(features)
        residual = torch.einsum("kij,bkj->bki", self.whiten, actions.to(means).unsqueeze(1) - means)
        return torch.logsumexp(log_weights + self.log_scale - 0.5 * residual.square().sum(2), 1).to(actions.dtype)

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B, A), cut to [-1, 1]."""
        log_weights, means = self.conditional.moments(features)
        component = torch.multinomial(log_weights.exp(), 1, generator=generator).squeeze(1)
        noise = torch.randn(means.shape[::2], generator=generator, dtype=means.dtype)
        chosen = means[torch.arange(len(means)), component]
        return (chosen + torch.einsum("bij,bj->bi", self.conditional.scale[component], noise)).clamp(-1, 1).to(features.dtype)
