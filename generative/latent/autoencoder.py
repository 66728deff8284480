"""Autoencoders: a narrow code, optionally denoising, and a mixture over the codes so that they sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gail_suite.generative.core.backend import normal_like
from gail_suite.generative.core.checks import check_numbers, check_sizes
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.data.rows import in_memory
from gail_suite.generative.interface.coded import Coded
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.latent.codes import LatentMixture
from gail_suite.generative.networks.coders import ARCHITECTURES, Decoder, Encoder, Likelihood, resolve_arch
from gail_suite.generative.training.fit import fit_likelihood
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, changed, check_training


class AENet(nn.Module):
    """x -> code -> x, with inputs standardised as for a Gaussian likelihood, and the mixture over codes."""

    def __init__(self, config: Settings, spec: Settings) -> None:
        super().__init__()
        shape = spec["event_shape"]
        body = (config["hidden"], config["layers"], resolve_arch(config["arch"], shape))
        self.bounded = config["bounded"]
        self.scaling = Likelihood("gaussian", spec, 0.0)
        self.scaling.log_sd.requires_grad_(False)
        self.encoder = Encoder(shape, config["latent"], *body)
        self.decoder = Decoder(config["latent"], shape, 1, *body)
        self.mixture = LatentMixture(config["latent"], config["mixture"])

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, latent)."""
        code = self.encoder(self.scaling.inputs(x))
        return code.tanh() if self.bounded else code

    def decode(self, z: Tensor) -> Tensor:
        """Samples from codes ``z`` (B, latent)."""
        return self.scaling.mean(self.decoder(z))

    def error(self, x: Tensor, seen: Tensor) -> Tensor:
        """Mean squared error of each sample in units of the data's variance, x against the reconstruction of
        ``seen``.
        """
        return ((x - self.decode(self.encode(seen))) / self.scaling.scale).square().flatten(1).mean(1)


class AutoEncoder(Coded, GenerativeModel):
    """Autoencoder trained on squared error (Hinton and Salakhutdinov 2006); images (N, C, H, W) or vectors (N, D).

    ``noise`` > 0 makes it denoising (Vincent et al. 2008): the encoder sees x plus Gaussian noise of that standard
    deviation (for vectors in units of each column's), the target is x. ``bounded`` squashes codes into (-1, 1).
    ``mixture`` components are fitted to the codes after training, so that ``sample`` works; 0 leaves it out.
    ``training`` changes other fields of ``training.recipe.Recipe`` (steps, ema, ...). No density: ``typicality`` puts
    the reconstruction error on a scale.
    """

    net: AENet
    recipe = Recipe(steps=2500, batch_size=64, lr=2e-3, patience=8, precision="fast")

    def __init__(
        self,
        latent: int = 16,
        hidden: int = 256,
        layers: int = 2,
        arch: str = "auto",
        noise: float = 0.0,
        bounded: bool = False,
        mixture: int = 10,
        lr: float = 2e-3,
        batch_size: int = 64,
        **training: object,
    ) -> None:
        if arch not in ARCHITECTURES:
            raise ValueError(f"arch {arch!r} is none of {', '.join(ARCHITECTURES)}")
        check_sizes(latent=latent, hidden=hidden, batch_size=batch_size)
        check_sizes(0, layers=layers, mixture=mixture)
        check_numbers(noise=noise)
        super().__init__(
            latent=latent,
            hidden=hidden,
            layers=layers,
            arch=arch,
            noise=noise,
            bounded=bounded,
            mixture=mixture,
            batch_size=batch_size,
            **check_training(type(self).__name__, {"lr": lr} | training),
        )

    def _build(self) -> None:
        self.net = AENet(self.config, self.spec)

    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        if not options.fine_tune:
            self.net.scaling.standardise(in_memory(x))
        unit = self.net.scaling.scale if x.ndim == 2 else 1.0

        def loss(batch: Tensor, labels: Tensor | None) -> Tensor:
            noise = self.config["noise"]
            return self.net.error(batch, batch + noise * unit * normal_like(batch) if noise else batch)

        fit_likelihood(self.net, loss, (x, None), (val[0], None), options, changed(self.recipe, self.config))
        self.net.mixture.fit(self._of_all(self.net.encode, x), options.seed)

    def _error(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net.error(x, x)

    def encode(self, x: ArrayLike) -> Tensor:
        """Codes (N, latent)."""
        return self._batched(lambda data, labels: self.net.encode(data), x, None)

    def decode(self, z: ArrayLike, *, with_grad: bool = False) -> Tensor:
        """Samples (N, *event shape) from codes (N, latent); images are clamped to [0, 1]."""
        return self._decoded(lambda codes, labels: self.net.decode(codes), z, None, with_grad)

    def reconstruct(self, x: ArrayLike) -> Tensor:
        """decode(encode(x))."""
        return self.decode(self.encode(x))

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        if not self.config["mixture"]:
            raise ValueError(
                "this AutoEncoder was made with mixture=0, so it cannot sample: fit AutoEncoder(mixture=10)"
            )
        codes = self.net.mixture.sample(n, generator)
        return self.decode(codes.clamp(-1, 1) if self.net.bounded else codes)
