"""A Gaussian mixture over latent codes, kept in a network's buffers so that it is saved with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from gail_suite.generative.mixtures.gmm import GaussianMixture


class LatentMixture(nn.Module):
    """q(z) = sum_k w_k N(z; m_k, C_k C_k^T), fitted after training on the codes of the training data.

    Source: ex-post density estimation (Ghosh et al. 2020); the aggregate posterior as prior (Tomczak and Welling 2018).
    With no components, and before ``fit``, it is the standard normal.
    """

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        self.components = components
        k = max(components, 1)
        self.register_buffer("weights", torch.full((k,), 1.0 / k))
        self.register_buffer("means", torch.zeros(k, latent))
        self.register_buffer("roots", torch.eye(latent).repeat(k, 1, 1))

    def reset(self) -> None:
        """Be the standard normal."""
        self.weights.fill_(1.0 / len(self.weights))
        self.means.zero_()
        self.roots.copy_(torch.eye(self.roots.shape[-1]))

    def is_normal(self) -> bool:
        """Whether it is the standard normal, which has simpler formulas."""
        eye = torch.eye(self.roots.shape[-1], device=self.roots.device)
        return not bool(self.means.any()) and bool((self.roots == eye).all())

    def fit(self, z: Tensor, seed: int, samples: int | None = None) -> None:
        """Fit to codes ``z`` (N, L) of ``samples`` samples (default N) by EM; a no-op for the standard normal."""
        if not self.components:
            return
        k = max(1, min(self.components, (samples or len(z)) // (2 * z.shape[1] + 2)))
        regular = 1e-3 * float(z.var(0, correction=min(1, len(z) - 1)).mean()) + 1e-8
        mixture = GaussianMixture(k, reg_covar=regular).fit(z, steps=100, seed=seed, device=z.device)
        self.weights.zero_(), self.means.zero_()
        self.weights[:k] = mixture.weights_.to(self.weights)
        self.means[:k] = mixture.means_.to(self.means)
        self.roots[:k] = torch.linalg.cholesky(mixture.covariances_).to(self.roots)

    def distribution(self) -> MixtureSameFamily:
        """The mixture as a torch distribution over codes."""
        components = MultivariateNormal(self.means, scale_tril=self.roots, validate_args=False)
        # not probs, which torch holds above 1e-7: a component that the fit does not use has no density
        used = Categorical(logits=self.weights.log(), validate_args=False)
        return MixtureSameFamily(used, components, validate_args=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z), shape of ``z`` without its last axis."""
        if self.is_normal():
            return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        return self.distribution().log_prob(z)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` codes (n, L) from ``generator`` alone."""
        if self.is_normal():
            return torch.randn(n, self.means.shape[1], generator=generator, device=self.means.device)
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, device=self.means.device)
        return self.means[component] + torch.einsum("nij,nj->ni", self.roots[component], noise)
