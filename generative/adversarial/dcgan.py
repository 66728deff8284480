"""DCGAN: convolutional generator and critic for images of any size from 8x8 (Radford, Metz and Chintala 2016)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from gail_suite.generative.adversarial.gan import EARLIER_LR, GAN, leaky
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.core.types import Settings
from gail_suite.generative.networks.layers import convolutional, halvings, stride_2_kernel
from gail_suite.generative.training.recipe import Recipe, changed, check_training

SMALLEST, SMALLEST_SIDE = 8, 4
"""The smallest image, and the shorter side at most of what the generator begins with."""


class DCGAN(GAN):
    """Convolutional GAN: strided convolutions, ReLU in the generator, leaky ReLU in the critic.

    Sizes are halved (rounding up) until the shorter side is at most 4; the generator goes the same way back, so an
    image keeps its size: 28x28 is generated from 4x4, 8x8 from 4x4, 13x21 from 4x6. ``features`` is the width at full
    size, doubled at each halving. The generator has batch normalisation. What holds the critic is the gradient penalty
    ``r1`` (Mescheder et al. 2018), or ``spectral_norm`` (Miyato et al. 2018); without either (``r1=0``) it is the
    paper's, with batch normalisation, which a penalty does not go with, since it couples the images of a batch.
    A real and a generated image are compared instead of judged alone, as the GAN's ``relativistic`` has it. Weights
    start from N(0, 0.02) as in the paper, those of a critic without any norm from He et al. (2015).
    """

    images_only = True
    earlier: ClassVar[Settings] = {"relativistic": False}  # which rate it had, its spec says

    def __init__(
        self,
        latent: int = 64,
        features: int = 32,
        r1: float = 0.05,
        spectral_norm: bool = False,
        relativistic: bool = True,
        **training: object,
    ) -> None:
        check_sizes(latent=latent, features=features)
        super(GAN, self).__init__(
            latent=latent,
            features=features,
            r1=r1,
            spectral_norm=spectral_norm,
            relativistic=relativistic,
            **check_training(type(self).__name__, training),
        )

    def _infer(self, x: Tensor, y: Tensor | None) -> Settings:
        height, width = x.shape[2:]
        if min(height, width) < SMALLEST:
            raise ValueError(
                f"DCGAN needs images of at least {SMALLEST}x{SMALLEST}, got {height}x{width}: use GAN, or "
                "enlarge the images"
            )
        bare = self.config["r1"] > 0 and not self.config["spectral_norm"]
        return super()._infer(x, y) | {"smallest_side": SMALLEST_SIDE, "critic_without_norm": bare}

    def _recipe(self) -> Recipe:
        # nor had files of before 2026-11-30 today's rate
        recipe = self.recipe if "smallest_side" in self.spec else replace(self.recipe, lr=EARLIER_LR)
        return changed(recipe, self.config)

    def _bodies(self, shape: tuple[int, ...], n_inputs: int) -> tuple[nn.Module, nn.Module, int]:
        channels, height, width = shape
        # files of before 2026-11-30 do not say: they went down to 7, and a critic with a penalty was normalised too
        side, bare = self.spec.get("smallest_side", 7), self.spec.get("critic_without_norm", False)
        stages = max(1, math.ceil(math.log2(min(height, width) / side)))
        sizes = halvings(height, width, stages)
        widths = [self.config["features"] * 2**k for k in range(len(sizes))]
        small = (widths[-1], *sizes[-1])
        generator: list[nn.Module] = [
            nn.Linear(n_inputs, small[0] * small[1] * small[2]),
            nn.Unflatten(1, small),
            nn.BatchNorm2d(small[0]),
            nn.ReLU(),
        ]
        critic: list[nn.Module] = []
        for k in reversed(range(len(sizes) - 1)):
            generator += [
                nn.ConvTranspose2d(widths[k + 1], widths[k], stride_2_kernel(sizes[k]), 2, 1, bias=False),
                nn.BatchNorm2d(widths[k]),
                nn.ReLU(),
            ]
        generator += [nn.Conv2d(widths[0], channels, 3, padding=1), nn.Tanh()]
        for k in range(len(sizes) - 1):
            normalise = k > 0 and not (bare or self.config["spectral_norm"])
            conv = nn.Conv2d(
                widths[k] if k else channels, widths[k + 1], stride_2_kernel(sizes[k]), 2, 1, bias=not normalise
            )
            critic += [conv, *([nn.BatchNorm2d(widths[k + 1])] if normalise else []), leaky()]
        for module in (*generator, *critic):
            _start(module)
        for module in critic if bare else ():
            _start_bare(module)
        critic = [self._wrap(m) if isinstance(m, nn.Conv2d) else m for m in critic]
        return convolutional(generator), convolutional([*critic, nn.Flatten()]), small[0] * small[1] * small[2]


def _start(module: nn.Module) -> None:
    """The paper's initial values: N(0, 0.02) for weights, N(1, 0.02) for batch normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)


def _start_bare(module: nn.Module) -> None:
    """Initial values that keep the size of signals where no normalisation does (He et al. 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, 0.2)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
