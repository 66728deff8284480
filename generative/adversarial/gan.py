"""GAN: a generator and a critic of fully connected layers, trained against each other (Goodfellow et al. 2014)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.adversarial.collapse import warn_of_collapse
from gail_suite.generative.core.backend import normal_like
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.data.rows import in_memory
from gail_suite.generative.interface.coded import Coded
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.networks.coders import condition
from gail_suite.generative.networks.layers import mlp, unrounded
from gail_suite.generative.training.fit import fit_adversarial
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, changed, check_training

EARLIER_LR = 2e-4
"""The rate of files that do not say, which were made when it was the default."""


def leaky() -> nn.Module:
    """The activation of critics: max(x, 0.2 x)."""
    return nn.LeakyReLU(0.2)


class Critic(nn.Module):
    """Logit that x is real: w . f(x) + b, plus <e_y, f(x)> with classes (projection, Miyato and Koyama 2018).

    e_y is W y for context vectors y of length ``context``.
    """

    def __init__(
        self, body: nn.Module, features: int, n_classes: int, wrap: Callable[[nn.Module], nn.Module], context: int = 0
    ) -> None:
        super().__init__()
        self.body, self.out = body, wrap(nn.Linear(features, 1))
        classes: nn.Module | None = None
        if n_classes:
            classes = nn.Embedding(n_classes, features)
            nn.init.normal_(classes.weight, std=features**-0.5)  # as w: <e_y, f(x)> begins at the size of f(x)
        elif context:
            classes = nn.Linear(context, features, bias=False)
        self.classes = None if classes is None else wrap(classes)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The critic's logit (B,), high for real data, and with classes the projection on theirs."""
        f = self.body(x)
        logit = unrounded(self.out(f)[:, 0])
        return logit if self.classes is None else logit + (self.classes(y) * f).sum(1)


class Generator(nn.Module):
    """x from noise z and beside it, with classes, a one-hot label, or a context vector."""

    def __init__(self, body: nn.Module, latent: int, n_classes: int) -> None:
        super().__init__()
        self.body, self.latent, self.n_classes = body, latent, n_classes

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Samples from codes ``z`` (B, latent)."""
        given = condition(y, self.n_classes)
        return unrounded(self.body(z if given is None else torch.cat([z, given], dim=1)))


class AdversarialNet(nn.Module):
    """Generator, its moving average (which samples), critic, and the affine map between data and the network's
    range."""

    shift: Tensor
    scale: Tensor

    def __init__(self, generator: Generator, critic: Critic, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic
        self.average: Generator = copy.deepcopy(generator).requires_grad_(False)
        self.register_buffer("shift", torch.full(event_shape, 0.5))
        self.register_buffer("scale", torch.full(event_shape, 0.5))


class GAN(Coded, GenerativeModel):
    """Generative adversarial network of fully connected layers, for images and vectors; no density.

    Critic loss softplus(-D(x)) + softplus(D(G(z))) + r1/2 |dD/dx|^2, generator loss softplus(-D(G(z)))
    (non-saturating). Without the penalty (``r1=0``) it collapses on small data sets. A fit that has collapsed warns.
    With ``relativistic`` a real and a generated sample are compared instead of judged alone: softplus(D(G(z)) - D(x))
    and softplus(D(x) - D(G(z))).
    Images are generated through tanh, vectors linearly after standardising. ``sample`` uses the moving average of the
    generator; ``typicality`` calibrates the critic's logit on held-out data. Source: Goodfellow et al. (2014); R1:
    Mescheder et al. (2018); relativistic pairs: Jolicoeur-Martineau (2019), with R1 Huang et al. (2024). Deviation:
    leaky ReLU instead of maxout, averaged generator.
    """

    density = "none"
    conditional = True
    recipe: ClassVar[Recipe] = Recipe(
        steps=5000, batch_size=64, lr=1e-3, final_lr=1.0, warmup=1, betas=(0.5, 0.999), clip=math.inf, ema=0.999
    )
    earlier: ClassVar[Settings] = {"lr": EARLIER_LR, "relativistic": False}
    """The defaults behind files of before 2026-12-01, which do not say what their critic compares."""
    net: AdversarialNet

    def __init__(
        self,
        latent: int = 64,
        hidden: int = 256,
        layers: int = 2,
        r1: float = 0.3,
        spectral_norm: bool = False,
        relativistic: bool = False,
        **training: object,
    ) -> None:
        check_sizes(latent=latent, hidden=hidden)
        check_sizes(0, layers=layers)
        super().__init__(
            latent=latent,
            hidden=hidden,
            layers=layers,
            r1=r1,
            spectral_norm=spectral_norm,
            relativistic=relativistic,
            **check_training(type(self).__name__, training),
        )

    @classmethod
    def _config_of_file(cls, config: Settings) -> Settings:
        return config if "relativistic" in config else cls.earlier | config

    # ---- networks ---------------------------------------------------------------------------------------------------
    def _wrap(self, layer: nn.Module) -> nn.Module:
        """Spectral normalisation of a critic's layer, if asked for (Miyato et al. 2018)."""
        return nn.utils.parametrizations.spectral_norm(layer) if self.config["spectral_norm"] else layer

    def _bodies(self, shape: tuple[int, ...], n_inputs: int) -> tuple[nn.Module, nn.Module, int]:
        """The generator's body, the critic's body, and the number of the critic's features."""
        hidden, values = [self.config["hidden"]] * self.config["layers"], math.prod(shape)
        generator = nn.Sequential(
            mlp([n_inputs, *hidden, values], leaky),
            nn.Tanh() if len(shape) == 3 else nn.Identity(),
            nn.Unflatten(1, shape),
        )
        layers = [self._wrap(m) if isinstance(m, nn.Linear) else m for m in mlp([values, *hidden], leaky)]
        return generator, nn.Sequential(nn.Flatten(), *layers, leaky()), [values, *hidden][-1]

    def _build(self) -> None:
        shape, n_classes = tuple(self.spec["event_shape"]), self.spec["n_classes"]
        context = self.spec.get("context", 0)
        if self.config["latent"] < 1:
            raise ValueError(f"latent must be at least 1, got {self.config['latent']}")
        generator, critic, features = self._bodies(shape, self.config["latent"] + n_classes + context)
        self.net = AdversarialNet(
            Generator(generator, self.config["latent"], n_classes),
            Critic(critic, features, n_classes, self._wrap, context),
            shape,
        )

    def _infer(self, x: Tensor, y: Tensor | None) -> Settings:
        if not 0 <= self.config["r1"] < math.inf:  # here, so that old files can be read
            raise ValueError(
                f"r1 is the weight of the gradient penalty, a finite number, 0 or more, got {self.config['r1']}"
            )
        return super()._infer(x, y)

    # ---- training ---------------------------------------------------------------------------------------------------
    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        net = self.net
        seen = in_memory(x)
        if x.ndim == 2 and not options.fine_tune:
            spread = seen.std(0, correction=0)
            net.shift.copy_(seen.mean(0)), net.scale.copy_(torch.where(spread > 1e-6, spread, 1.0))
        fit_adversarial(
            net.generator,
            net.critic,
            net.average,
            self._critic_loss,
            self._generator_loss,
            (x, y),
            options,
            self._recipe(),
        )
        net.eval()
        if not self.spec.get("context"):
            warn_of_collapse(self, seen)

    def _recipe(self) -> Recipe:
        """How this model is trained."""
        return changed(self.recipe, self.config)

    def _critic_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net, r1 = self.net, self.config["r1"]
        real = self._scaled(x).requires_grad_(r1 > 0)
        with torch.no_grad():
            fake = net.generator(self._noise(x), y)
        on_real, on_fake = net.critic(real, y), net.critic(fake, y)
        if self.config["relativistic"]:
            loss = F.softplus(on_fake - on_real)
        else:
            loss = F.softplus(-on_real) + F.softplus(on_fake)
        if r1 > 0:
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            loss = loss + 0.5 * r1 * slope.flatten(1).square().sum(1)
        return loss

    def _noise(self, x: Tensor) -> Tensor:
        """Codes for a minibatch."""
        return normal_like(x.new_empty(len(x), self.config["latent"]))

    def _generator_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net
        on_fake = net.critic(net.generator(self._noise(x), y), y)
        if not self.config["relativistic"]:
            return F.softplus(-on_fake)
        with torch.no_grad():
            on_real = net.critic(self._scaled(x), y)
        return F.softplus(on_real - on_fake)

    def _scaled(self, x: Tensor) -> Tensor:
        """Data in the network's range."""
        return (x - self.net.shift) / self.net.scale

    # ---- use --------------------------------------------------------------------------------------------------------
    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        y = self._draw_labels(n, generator) if y is None else y
        return self.decode(torch.randn(n, self.config["latent"], generator=generator, device=self.device), y)

    def decode(self, z: ArrayLike, y: ArrayLike | int | None = None, *, with_grad: bool = False) -> Tensor:
        """Data (B, *event shape) from noise z (B, latent) and labels, through the averaged generator."""
        return self._decoded(lambda z, y: self.net.average(z, y) * self.net.scale + self.net.shift, z, y, with_grad)

    def _error(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Minus the critic's logit; without y, minus its log-mean-exp over the classes of training."""
        values = self._scaled(x)
        if y is not None or not self.spec["n_classes"]:
            return -self.net.critic(values, y)
        logits = [self.net.critic(values, torch.full((len(x),), k, device=x.device)) for k in self.met_classes()]
        return math.log(len(logits)) - torch.logsumexp(torch.stack(logits), dim=0)
