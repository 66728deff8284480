"""VQ-VAE: images as grids of codes from a learned book, and a PixelCNN over the codes (van den Oord, Vinyals and
Kavukcuoglu 2017).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.autoregressive.causal_sampling import sample_cached
from gail_suite.generative.autoregressive.pixelcnn import GatedNet
from gail_suite.generative.core.backend import own_generator
from gail_suite.generative.core.checks import check_finite, check_numbers, check_sizes
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.data.rows import in_memory
from gail_suite.generative.interface.coded import Coded
from gail_suite.generative.interface.density import DensityModel
from gail_suite.generative.mixtures.kmeans import nearest
from gail_suite.generative.networks.coders import LIKELIHOODS, Likelihood, resolve_likelihood
from gail_suite.generative.networks.layers import UpTo, convolutional, halvings, unrounded
from gail_suite.generative.training.fit import fit_likelihood
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, changed, check_training


class VQNet(nn.Module):
    """Encoder to a grid (h, w) of vectors, the book of codes, decoder to p(x | codes), and the prior over the codes."""

    def __init__(self, config: Settings, spec: Settings) -> None:
        super().__init__()
        channels, height, width = spec["event_shape"]
        size, hidden, n = config["code"], config["hidden"], config["codes"]
        sizes = halvings(height, width, config["halvings"])
        self.likelihood = Likelihood(resolve_likelihood(config["likelihood"], spec), spec, config["min_sd"])
        self.per_value, self.channels = self.likelihood.per_value, channels
        down: list[nn.Module] = [nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU()]
        up: list[nn.Module] = [nn.Conv2d(size, hidden, 3, padding=1), nn.ReLU()]
        for k in range(len(sizes) - 1):
            down += [nn.Conv2d(hidden, hidden, 3, stride=2, padding=1), nn.ReLU()]
            up += [UpTo(sizes[-2 - k]), nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU()]
        self.encoder = convolutional([*down, nn.Conv2d(hidden, size, 1)])
        self.decoder = convolutional([*up, nn.Conv2d(hidden, channels * self.per_value, 3, padding=1)])
        self.book = nn.Parameter(torch.randn(n, size))
        self.grid = sizes[-1]
        self.prior = GatedNet((1, *self.grid), n, 0, config["features"], config["layers"], symbols=n > 2)

    def vectors(self, x: Tensor) -> Tensor:
        """What the encoder says, (B, h, w, code), each of length sqrt(code)."""
        return _on_sphere(unrounded(self.encoder(self.likelihood.inputs(x))).permute(0, 2, 3, 1))

    def entries(self) -> Tensor:
        """The vectors of the book, (codes, code), as long as the encoder's."""
        return _on_sphere(self.book)

    def codes(self, vectors: Tensor) -> Tensor:
        """Index of the nearest code, the shape of ``vectors`` without its last axis."""
        return nearest(vectors.detach().flatten(0, -2), self.entries().detach()).view(vectors.shape[:-1])

    def decode(self, vectors: Tensor) -> Tensor:
        """Parameters of p(x | vectors): (B, h, w, code) to (B, C, H, W, per_value)."""
        out = unrounded(self.decoder(vectors.permute(0, 3, 1, 2)))
        return out.unflatten(1, (self.channels, self.per_value)).movedim(2, -1)


def _on_sphere(v: Tensor) -> Tensor:
    return F.normalize(v, dim=-1) * math.sqrt(v.shape[-1])


class VQVAE(Coded, DensityModel):
    """Vector-quantised autoencoder with an autoregressive prior: log p(x) >= log p(x | z) + log p(z), z the codes of x.

    Training first minimises -log p(x | z) + |sg[e(x)] - b_z|^2 + ``commitment`` |e(x) - sg[b_z]|^2 with
    straight-through gradients (sg stops them), then the negative log-likelihood of the codes under a gated PixelCNN of
    ``features`` and ``layers``, for as many steps each. ``codes`` is the size of the book, ``code`` the length of its
    vectors, and every one of ``halvings`` makes the grid of codes half as high and wide. ``likelihood`` is as in VAE.
    Deviations: vectors have one length (Yu et al. 2022), without which encoder and book can run away from each other;
    the book starts from encoded data.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "bound"
    images_only = True
    batch = 256
    net: VQNet
    recipe = Recipe(steps=2000, batch_size=64, lr=1e-3, patience=8)

    def __init__(
        self,
        codes: int = 64,
        code: int = 8,
        halvings: int = 1,
        hidden: int = 64,
        features: int = 32,
        layers: int = 4,
        likelihood: str = "auto",
        commitment: float = 0.25,
        min_sd: float = 0.01,
        **training: object,
    ) -> None:
        check_sizes(code=code, halvings=halvings, hidden=hidden, features=features, layers=layers)
        check_sizes(2, codes=codes)
        check_numbers(commitment=commitment, min_sd=min_sd)
        if likelihood not in LIKELIHOODS or min_sd == 0:
            raise ValueError(
                f"likelihood must be one of {', '.join(LIKELIHOODS)} and min_sd above 0; got {likelihood!r}, {min_sd}"
            )
        super().__init__(
            codes=codes,
            code=code,
            halvings=halvings,
            hidden=hidden,
            features=features,
            layers=layers,
            likelihood=likelihood,
            commitment=commitment,
            min_sd=min_sd,
            **check_training(type(self).__name__, training),
        )

    def _build(self) -> None:
        self.net = VQNet(self.config, self.spec)

    # ---- training ---------------------------------------------------------------------------------------------------
    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        net, recipe, seen = self.net, changed(self.recipe, self.config), in_memory(x)
        for known in (seen, val[0]):
            net.likelihood.check(known)
        if not options.fine_tune:
            net.likelihood.standardise(seen)
            self._start_book(seen)
        net.prior.requires_grad_(False)
        try:
            fit_likelihood(net, self._loss, (x, None), (val[0], None), options, recipe)
        finally:
            net.prior.requires_grad_(True)
        codes, held = (self._of_all(lambda part: net.codes(net.vectors(part)), data) for data in (x, val[0]))
        folder = options.checkpoint / "prior" if options.checkpoint else None
        # a fit that ended at the prior's beginning has left an empty folder
        begun = folder is not None and any(folder.glob("step_*.safetensors"))
        more = replace(options, checkpoint=folder, resume=options.resume and begun)
        fit_likelihood(
            net.prior, self._prior_loss, (codes, None), (held, None), more, replace(recipe, lr=2 * recipe.lr)
        )

    @torch.no_grad()
    def _start_book(self, x: Tensor) -> None:
        """Codes from the encoder's vectors of some of the data, in turn where they are too few."""
        net = self.net
        vectors = net.vectors(x[: 16 * len(net.book)].to(self.device)).flatten(0, -2)
        rows = torch.randperm(len(vectors), generator=own_generator(torch.device("cpu"))).to(vectors.device)
        net.book.copy_(vectors[rows[torch.arange(len(net.book), device=vectors.device) % len(rows)]])

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net
        vectors = net.vectors(x)
        chosen = net.entries()[net.codes(vectors)]
        through = vectors + (chosen - vectors).detach()
        gaps = (chosen - vectors.detach()).square() + self.config["commitment"] * (vectors - chosen.detach()).square()
        return gaps.flatten(1).sum(1) - net.likelihood.log_prob(x, net.decode(through).unsqueeze(0)).squeeze(0)

    def _prior_loss(self, codes: Tensor, y: Tensor | None) -> Tensor:
        return -self.net.prior.level_log_probs(codes.unsqueeze(1), None).flatten(1).sum(1)

    # ---- use --------------------------------------------------------------------------------------------------------
    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net
        net.likelihood.check(x)
        codes = net.codes(net.vectors(x))
        given = net.likelihood.log_prob(x, net.decode(net.entries()[codes]).unsqueeze(0)).squeeze(0)
        return given - self._prior_loss(codes, None)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        net = self.net
        u = torch.rand(n, 1, *net.grid, generator=generator, device=self.device, dtype=torch.float64)
        codes = sample_cached(net.prior, u, None).squeeze(1)
        noise = net.likelihood.noise((n, *self.spec["event_shape"]), generator)
        return net.likelihood.draw(net.decode(net.entries()[codes]), noise).clamp(0, 1)

    def codes(self, x: ArrayLike) -> Tensor:
        """Indices of codes (N, h, w)."""
        return self._batched(lambda data, _: self.net.codes(self.net.vectors(data)), x, None)

    def encode(self, x: ArrayLike) -> Tensor:
        """The vectors of the chosen codes, flattened: (N, h w code)."""
        return self._batched(
            lambda data, _: self.net.entries()[self.net.codes(self.net.vectors(data))].flatten(1), x, None
        )

    def decode(self, z: ArrayLike, *, with_grad: bool = False) -> Tensor:
        """E[x | codes] (N, C, H, W) from codes (N, h, w), or from vectors (N, h w code), each by the code nearest
        to it.
        """

        def mean(z: Tensor, _: Tensor | None) -> Tensor:
            net = self.net
            codes = net.codes(z.unflatten(1, (*net.grid, -1))) if z.ndim == 2 else z.long()
            return net.likelihood.mean(net.decode(net.entries()[codes]))

        return self._decoded(mean, z, None, with_grad)

    def reconstruct(self, x: ArrayLike) -> Tensor:
        """decode(encode(x))."""
        return self.decode(self.encode(x))

    @property
    def code_width(self) -> int:
        """Length of what ``encode`` gives for a sample."""
        return int(self.net.grid[0] * self.net.grid[1] * self.config["code"])

    def _check_codes(self, z: Tensor) -> None:
        """Also ValueError for a grid of numbers that are no indices of codes."""
        if z.ndim == 2:
            super()._check_codes(z)
            return
        height, width = self.net.grid
        if z.ndim != 3 or len(z) == 0 or z.shape[1:] != (height, width):
            raise ValueError(
                f"codes of this VQVAE must be (N, {height}, {width}), or vectors (N, {self.code_width}), with N >= 1, "
                f"got shape {tuple(z.shape)}"
            )
        check_finite(z)
        if z.min() < 0 or z.max() >= self.config["codes"] or (z != z.round()).any():
            raise ValueError(
                f"codes of this VQVAE are whole numbers from 0 to {self.config['codes'] - 1}, got numbers in "
                f"[{z.min():.4g}, {z.max():.4g}]"
            )
