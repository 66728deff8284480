"""Variational autoencoders with Bernoulli, categorical or Gaussian likelihood."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gail_suite.generative.core.backend import noise_by_content, normal_like, own_draws, uniform_like
from gail_suite.generative.core.checks import check_numbers, check_range, check_sizes
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.data.rows import in_memory
from gail_suite.generative.interface.coded import Coded
from gail_suite.generative.interface.density import DensityModel
from gail_suite.generative.latent.codes import LatentMixture
from gail_suite.generative.networks.coders import (
    ARCHITECTURES,
    LIKELIHOODS,
    Decoder,
    Encoder,
    Likelihood,
    condition,
    repeated,
    resolve_arch,
    resolve_likelihood,
)
from gail_suite.generative.training.fit import fit_likelihood
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, changed, check_training

MIN_LOG_VAR, MAX_LOG_VAR = -12.0, 8.0
DECODED = 1 << 23
"""Values that the likelihood decodes at once (32 MB; the layers before it take a few times as much)."""
CODE_DRAWS = 5
"""Draws of z from every q(z | x) that the mixture is fitted to: one leaves a full covariance short of data."""


class VAENet(nn.Module):
    """q(z | x, y) diagonal Gaussian, p(x | z, y), and the prior."""

    def __init__(self, config: Settings, spec: Settings) -> None:
        super().__init__()
        shape, latent = spec["event_shape"], config["latent"]
        classes, given = spec["n_classes"], spec["n_classes"] + spec.get("context", 0)
        arch = resolve_arch(config["arch"], shape)
        body = (config["hidden"], config["layers"], arch)
        self.latent, self.classes = latent, classes
        self.likelihood = Likelihood(resolve_likelihood(config["likelihood"], spec), spec, config["min_sd"])
        self.encoder = Encoder(shape, 2 * latent, *body, n_extra=given)
        self.decoder = Decoder(latent + given, shape, self.likelihood.per_value, *body)
        self.prior = LatentMixture(latent, config["prior_components"])

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, y), each (B, L)."""
        mean, log_var = self.encoder(self.likelihood.inputs(x), condition(y, self.classes)).chunk(2, 1)
        return mean, log_var.clamp(MIN_LOG_VAR, MAX_LOG_VAR)

    def decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Parameters of p(x | z, y): (B, L) -> (B, *event, per_value)."""
        extra = condition(y, self.classes)
        return self.decoder(z if extra is None else torch.cat([z, extra], 1))

    def log_weights(self, x: Tensor, y: Tensor | None, noise: Tensor) -> Tensor:
        """log p(x, z) - log q(z | x) at z = mean + sd noise; ``noise`` (S, B, L) -> (S, B)."""
        mean, log_var = self.posterior(x, y)
        z = mean + (0.5 * log_var).exp() * noise
        s, b, latent = z.shape
        out = self.decode(z.reshape(s * b, latent), repeated(y, s)).unflatten(0, (s, b))
        log_q = -0.5 * (noise.square() + log_var + math.log(2 * math.pi)).sum(2)
        return self.likelihood.log_prob(x, out) + self.prior.log_prob(z) - log_q


class VAE(Coded, DensityModel):
    """Variational autoencoder (Kingma and Welling 2014; importance-weighted: Burda, Grosse and Salakhutdinov 2016).

    Maximises E_q[log p(x | z)] - beta KL(q(z | x) || N(0, I)), with at least ``free_bits`` nats of KL in every latent
    dimension, or for ``objective="iwae"`` the bound log 1/k sum_i p(x, z_i) / q(z_i | x) with k = ``k_train``.
    ``likelihood`` "auto" follows the data: bernoulli for binary images, categorical for up to 64 levels, else gaussian,
    whose standard deviation is at least ``min_sd`` of the data's. ``prior_components`` > 0 fits a mixture to the codes
    after training and uses it as prior. ``binarize`` draws binary images from grey ones, anew in every minibatch (in
    log_prob, from a fixed seed). ``training`` changes other fields of ``training.recipe.Recipe`` (steps, ema, ...).
    With labels the model is conditional: p(x | y).

    log_prob is the importance-weighted bound with ``k_eval`` samples (float32, noise from a fixed seed); ``elbo`` is k
    = 1.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "bound"
    conditional = True
    batch = 128
    net: VAENet
    recipe = Recipe(steps=2500, batch_size=64, lr=2e-3, patience=8, precision="fast")

    def __init__(
        self,
        latent: int = 16,
        hidden: int = 256,
        layers: int = 2,
        arch: str = "auto",
        likelihood: str = "auto",
        beta: float = 1.0,
        free_bits: float = 0.0,
        objective: str = "elbo",
        k_train: int = 8,
        k_eval: int = 64,
        prior_components: int = 0,
        binarize: bool = False,
        min_sd: float = 0.01,
        lr: float = 2e-3,
        batch_size: int = 64,
        **training: object,
    ) -> None:
        if arch not in ARCHITECTURES or likelihood not in LIKELIHOODS or objective not in ("elbo", "iwae"):
            raise ValueError(
                f"arch is one of {', '.join(ARCHITECTURES)}, likelihood one of {', '.join(LIKELIHOODS)}, objective "
                f"elbo or iwae; got {arch!r}, {likelihood!r}, {objective!r}"
            )
        check_sizes(latent=latent, hidden=hidden, k_train=k_train, k_eval=k_eval, batch_size=batch_size)
        check_sizes(0, layers=layers, prior_components=prior_components)
        check_numbers(beta=beta, free_bits=free_bits)
        super().__init__(
            latent=latent,
            hidden=hidden,
            layers=layers,
            arch=arch,
            likelihood=likelihood,
            beta=beta,
            free_bits=free_bits,
            objective=objective,
            k_train=k_train,
            k_eval=k_eval,
            prior_components=prior_components,
            binarize=binarize,
            min_sd=min_sd,
            batch_size=batch_size,
            **check_training(type(self).__name__, {"lr": lr} | training),
        )

    def _infer(self, x: Tensor, y: Tensor | None) -> Settings:
        if not self.config["min_sd"] > 0:  # here, so that old files can be read
            raise ValueError(f"min_sd must be above 0, got {self.config['min_sd']}")
        spec = super()._infer(x, y)
        return spec | ({"value": "binary", "levels": 2} if self.config["binarize"] else {})

    def _build(self) -> None:
        self.net = VAENet(self.config, self.spec)

    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        for known in (in_memory(x), val[0]):
            if self.config["binarize"]:
                check_range(known)
            else:
                self.net.likelihood.check(known)
        if not options.fine_tune:
            self.net.likelihood.standardise(in_memory(x))
        self.net.prior.reset()  # training is under N(0, I), also where it goes on from a fit
        fit_likelihood(self.net, self._loss, (x, y), val, options, changed(self.recipe, self.config))
        if self.config["prior_components"]:
            with torch.no_grad(), own_draws(options.seed, options.device):  # the same codes after a resumed fit
                codes = torch.cat([self._codes(x, y) for _ in range(CODE_DRAWS)])
                self.net.prior.fit(codes, options.seed, len(x))

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Negative objective of each sample."""
        x, c = self._ink(x), self.config
        if c["objective"] == "iwae":
            noise = normal_like(x.new_empty(c["k_train"], len(x), c["latent"]), rows=1)
            weights = self.net.log_weights(x, y, noise)
            return math.log(c["k_train"]) - torch.logsumexp(weights, 0)
        mean, log_var = self.net.posterior(x, y)
        z = mean + (0.5 * log_var).exp() * normal_like(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var)
        reconstruction = self.net.likelihood.log_prob(x, self.net.decode(z, y).unsqueeze(0)).squeeze(0)
        paid = kl.mean(0).clamp_min(c["free_bits"]).sum() if c["free_bits"] else kl.sum(1)
        return c["beta"] * paid - reconstruction

    def _ink(self, x: Tensor, seed: int | None = None) -> Tensor:
        """Binary draws of grey values under ``binarize``, with a ``seed`` the same ones for the same image; else
        ``x``.
        """
        if not self.config["binarize"]:
            return x
        if seed is None:  # in training, on data that fit has checked
            return (uniform_like(x) < x).to(x)
        check_range(x)
        noise = noise_by_content(x, seed, lambda g: torch.rand(x.shape[1:], generator=g, device=x.device))
        return (noise < x).to(x)

    def _codes(self, x: Tensor, y: Tensor | None) -> Tensor:
        """One draw of z from q(z | x) for every sample: the aggregate posterior."""
        parts = []
        for rows in torch.arange(len(x), device=x.device).split(1024):
            part, labels = x[rows].to(self.device), None if y is None else y[rows].to(self.device)
            mean, log_var = self.net.posterior(self._ink(part), labels)
            parts.append(mean + (0.5 * log_var).exp() * normal_like(mean))
        return torch.cat(parts)

    def log_prob(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        k: int | None = None,
        seed: int = 0,
        with_grad: bool = False,
    ) -> Tensor:
        """Lower bound on log p(x) (or p(x | y)) with ``k`` importance samples (default ``k_eval``), nats (N,).

        A conditional model without ``y`` sums over the classes with their training frequencies. The noise of a sample
        depends on ``seed`` and its values alone.
        """
        draws = self.config["k_eval"] if k is None else k
        check_sizes(k=draws)
        return self._batched(lambda data, labels: self._bound(data, labels, draws, seed), x, y, with_grad)

    def elbo(self, x: ArrayLike, y: ArrayLike | None = None, *, seed: int = 0) -> Tensor:
        """One-sample evidence lower bound, nats (N,)."""
        return self.log_prob(x, y, k=1, seed=seed)

    def _draws(self) -> int:
        return self.config["k_eval"]

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self._bound(x, y, self.config["k_eval"], 0)

    def _bound(self, x: Tensor, y: Tensor | None, k: int, seed: int) -> Tensor:
        classes = self.spec["n_classes"]
        x = self._ink(x, seed)
        self.net.likelihood.check(x)
        noise = noise_by_content(x, seed, lambda g: torch.randn(k, self.net.latent, generator=g, device=x.device))
        noise = noise.movedim(1, 0)
        if y is not None or not classes:
            return self._given(x, y, noise)
        weights = torch.tensor(self.spec["class_weights"], device=x.device).log()
        each = [self._given(x, torch.full((len(x),), c, device=x.device), noise) for c in range(classes)]
        return torch.logsumexp(torch.stack(each) + weights.unsqueeze(1), 0)

    def _given(self, x: Tensor, y: Tensor | None, noise: Tensor) -> Tensor:
        """The bound with the k samples of ``noise`` (k, B, L), in slices of at most 32 of them and DECODED values."""
        values = x[0].numel() * self.net.likelihood.per_value
        rows = min(len(x), max(1, DECODED // values))
        draws = min(32, max(1, DECODED // (values * rows)))
        bounds = []
        for at in range(0, len(x), rows):
            part = slice(at, at + rows)
            weights = [
                self.net.log_weights(x[part], None if y is None else y[part], some[:, part])
                for some in noise.split(draws)
            ]
            bounds.append(torch.logsumexp(torch.cat(weights), 0))
        return torch.cat(bounds) - math.log(len(noise))

    def best_class(self, x: ArrayLike) -> Tensor | None:
        """The class (N,) with the highest one-sample bound on log p(x | class); None without classes."""
        if not self.spec.get("n_classes"):
            return None
        classes = self.met_classes()
        best = torch.stack([self.elbo(x, torch.tensor(c)) for c in classes]).argmax(0)
        return torch.tensor(classes, device=best.device)[best]

    def encode(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """Posterior means (N, latent); a conditional model takes ``best_class`` where ``y`` is None."""
        y = self.best_class(x) if y is None else y
        return self._batched(lambda data, labels: self.net.posterior(data, labels)[0], x, y)

    def decode(self, z: ArrayLike, y: ArrayLike | None = None, *, with_grad: bool = False) -> Tensor:
        """E[x | z] (N, *event shape), for a conditional model E[x | z, y]; images are clamped to [0, 1]."""
        return self._decoded(
            lambda codes, labels: self.net.likelihood.mean(self.net.decode(codes, labels)), z, y, with_grad
        )

    def reconstruct(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """decode(encode(x)); a conditional model takes ``best_class`` where ``y`` is None."""
        y = self.best_class(x) if y is None else y
        return self.decode(self.encode(x, y), y)

    def sample(
        self, n: int, *, seed: int | None = None, y: ArrayLike | int | None = None, mean: bool = False
    ) -> Tensor:
        """``n`` samples; with ``mean`` the decoder's mean E[x | z] in place of a draw from p(x | z)."""
        return self._drawn(self._sample_mean if mean else self._sample, n, y, seed)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        z, y = self._draw_code(n, y, generator)
        noise = self.net.likelihood.noise((n, *self.spec["event_shape"]), generator)
        x = self._chunked(lambda z, u, y: self.net.likelihood.draw(self.net.decode(z, y), u), z, noise, y)
        return x.clamp(0, 1) if x.ndim == 4 else x

    def _sample_mean(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.decode(*self._draw_code(n, y, generator))

    def _draw_code(self, n: int, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Codes (n, latent) from the prior, and labels as frequent as in training where none are given."""
        labels = self._draw_labels(n, generator) if y is None else y
        return self.net.prior.sample(n, generator), labels
