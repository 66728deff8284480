"""What PixelCNN and PixelRNN share: the chain-rule likelihood over pixels, labels, sampling, inpainting and
training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.autoregressive.causal_sampling import (
    inpaint_levels,
    leading,
    log_likelihood,
    sample_cached,
    sample_plain,
)
from gail_suite.generative.core.backend import noise_by_content, seed_generator, uniform_like
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.core.values import off_levels
from gail_suite.generative.data.rows import in_memory
from gail_suite.generative.interface.density import DensityModel
from gail_suite.generative.networks.layers import CausalConv2d, Pixelwise, State, unrounded
from gail_suite.generative.training.fit import fit_likelihood
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, changed


@dataclass
class NetState(State):
    """States of the layers, the class features (B, F), and the current row."""

    layers: list[Any]
    condition: Tensor
    row: int = -1

    def select(self, index: Tensor) -> None:
        """Keep the samples ``index`` of the batch."""
        super().select(index)
        for layer in self.layers:
            layer.select(index)


class CausalNet(nn.Module):
    """Masked 7x7 stem, causal layers, 1x1 head: logits of every value given the values before it in raster order.

    Channels of a pixel are drawn in order; the features are split into one group a channel. Class features are added to
    the output of the stem. ``layers`` have ``forward``, ``start``, ``next_row`` and ``step``.
    """

    stem: Any
    layers: Any
    condition: nn.Module | None
    head: nn.Sequential

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        n_classes: int,
        features: int,
        layers: list[nn.Module],
        stem: nn.Module | None = None,
        *,
        symbols: bool = False,
        groups: int | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        channels = shape[0]
        groups = channels if groups is None else groups
        self.shape, self.levels, self.symbols = shape, levels, symbols
        inputs = channels * (levels if symbols else 1)
        self.stem = stem if stem is not None else CausalConv2d(inputs, features, 7, "A", groups)
        self.layers = nn.ModuleList(layers)
        self.condition = nn.Embedding(n_classes, features) if n_classes else None
        self.head = nn.Sequential(
            nn.ReLU(),
            Pixelwise(features, features, groups),
            nn.ReLU(),
            Pixelwise(features, outputs or channels * (1 if levels == 2 else levels), groups),
        )

    def encode(self, x: Tensor) -> Tensor:
        """Level indices (..., C) to values in [-1, 1], or with ``symbols`` to their one-hot codes (..., C levels)."""
        dtype = self._like().dtype
        if self.symbols:
            return F.one_hot(x, self.levels).to(dtype).flatten(-2)
        return x.to(dtype) * (2.0 / (self.levels - 1)) - 1.0

    def class_features(self, y: Tensor | None, batch: int) -> Tensor:
        """(B, F), zero without classes."""
        like = self._like()
        return like.new_zeros(batch, len(like)) if self.condition is None else self.condition(y)

    def _like(self) -> Tensor:
        """A parameter (F,) with the network's dtype and device."""
        return next(self.head.parameters())[:, 0]

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Level indices (B, C, H, W) and labels to logits (B, C, H, W, K)."""
        h = self.features(self.encode(x.permute(0, 2, 3, 1)), self.class_features(y, len(x)))
        return self.head(h).unflatten(-1, (self.shape[0], -1)).permute(0, 3, 1, 2, 4)

    def level_log_probs(self, x: Tensor, y: Tensor | None) -> Tensor:
        """log p of every value of level indices (B, C, H, W) given those before it, in that shape."""
        return log_likelihood(unrounded(self(x, y)), x)

    def read(self, h: Tensor, pixel: Tensor) -> Tensor:
        """Logits (B, C, K) from the features (B, F) of a pixel, of which the channels in ``pixel`` (B, C) may be
        known.
        """
        return self.head(h).unflatten(-1, (self.shape[0], -1))

    def features(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, H, W, C) values and (B, F) class features to (B, H, W, F)."""
        h = self.stem(x)
        h = h + condition[:, None, None].to(h.dtype)
        for layer in self.layers:
            h = layer(h)
        return h

    def start(self, batch: int, y: Tensor | None) -> NetState:
        """The state of ``batch`` images above their first row."""
        states = [layer.start(batch, self.shape[2]) for layer in (self.stem, *self.layers)]
        return NetState(states, self.class_features(y, batch))

    def next_row(self, state: NetState) -> None:
        """Go to the next row."""
        state.row += 1
        for layer, layer_state in zip((self.stem, *self.layers), state.layers, strict=True):
            layer.next_row(layer_state)

    def put(self, state: NetState, j: int, pixel: Tensor) -> None:
        """Enter ``pixel`` in column ``j`` of the present row."""
        self.stem.put(state.layers[0], j, self.encode(pixel))

    def step(self, state: NetState, j: int, pixel: Tensor) -> Tensor:
        """Logits of the pixel in column ``j``; of it, the channels before may be entered already."""
        if self.shape[0] > 1:
            self.put(state, j, pixel)
        h = self.stem.at(state.layers[0], j) + state.condition
        for layer, layer_state in zip(self.layers, state.layers[1:], strict=True):
            h = layer.step(layer_state, j, h)
        return self.read(h, pixel)


def rounded_up(features: int, multiple: int) -> int:
    """``features`` rounded up to a multiple, so that the channel groups are equal."""
    return -(-features // multiple) * multiple


class AutoregressiveModel(DensityModel):
    """Base of PixelCNN and PixelRNN: p(x | y) = prod_i p(x_i | x_<i, y) over the values of an image in raster order.

    Values are levels k / (K - 1); a model fitted with labels is p(x | y), and without y it sums over the classes with
    their training frequencies. Subclasses give ``_network``.
    """

    density = "exact"
    images_only = True
    conditional = True
    batch = 256
    recipe: ClassVar[Recipe] = Recipe()
    net: CausalNet

    def _network(self, shape: tuple[int, int, int], levels: int, n_classes: int) -> CausalNet:
        raise NotImplementedError

    def __init__(self, **config: Any) -> None:
        check_sizes(layers=config["layers"], features=config["features"])
        if config["levels"] is not None:
            check_sizes(2, levels=config["levels"])
        super().__init__(**config)

    def _infer(self, x: Tensor, y: Tensor | None) -> Settings:
        if self.config["binarize"] and self.config["levels"] not in (None, 2):  # here, so that old files can be read
            raise ValueError(f"binarize makes 2 levels, got levels={self.config['levels']}: leave one of them out")
        spec = super()._infer(x, y)
        spec["levels"] = 2 if self.config["binarize"] else self.config["levels"] or spec["levels"]
        spec["quantise"] = spec["value"] == "grey" or self.config["levels"] is not None
        return spec

    def _build(self) -> None:
        channels, height, width = self.spec["event_shape"]
        self.net = self._network((channels, height, width), self.spec["levels"], self.spec["n_classes"])
        if self.spec.get("context"):
            self.net.condition = nn.Linear(self.spec["context"], len(self.net._like()))

    def _levels(self, x: Tensor, seed: int | None = None) -> Tensor:
        """Values in [0, 1] to level indices; with a ``seed``, ValueError where one is not among the levels seen at fit.

        ``binarize`` draws them, with a ``seed`` the same ones for the same image. Without one the data are those of
        fit.
        """
        if self.config["binarize"]:
            noise = (
                uniform_like(x)
                if seed is None
                else noise_by_content(
                    x, seed, lambda generator: torch.rand(x.shape[1:], generator=generator, device=x.device)
                )
            )
            return (noise < x).long()
        if seed is not None:
            self._check_levels(x)
        return (x * (self.spec["levels"] - 1)).round().long()

    def _check_levels(self, x: Tensor) -> None:
        """ValueError for values between the levels seen at fit, where those are all that there are."""
        if self.config["binarize"] or self.spec["quantise"]:
            return
        if off_levels(x, self.spec["levels"]).any():
            raise ValueError(
                f"this {type(self).__name__} was fitted on {self.spec['levels']} levels (multiples of "
                f"1/{self.spec['levels'] - 1}), but the data holds other values: round them, or fit with "
                "levels=256 or binarize=True; of a text with levels=len(splits.alphabet)"
            )

    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        def loss(xb: Tensor, yb: Tensor | None) -> Tensor:
            levels = self._levels(xb)
            return -self.net.level_log_probs(levels, yb).flatten(1).sum(1)

        for known in (in_memory(x), val[0]):
            self._check_levels(known)
        fit_likelihood(self.net, loss, (x, y), val, options, changed(self.recipe, self.config))

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        levels = self._levels(x, seed=0)
        if y is None and self.spec["n_classes"]:
            return torch.logsumexp(self._joint(levels, torch.ones_like(levels, dtype=torch.bool)), dim=1)
        return self.net.level_log_probs(levels, y).flatten(1).sum(1)

    def _joint(self, levels: Tensor, counted: Tensor) -> Tensor:
        """log p(y) + the sum of log p(x_i | x_<i, y) over the ``counted`` values, for every class y: (B, classes)."""
        frequency = torch.tensor(self.spec["class_weights"], device=levels.device)
        each = [
            self.net.level_log_probs(levels, torch.full((len(levels),), k, device=levels.device))
            for k in range(len(frequency))
        ]
        return torch.stack([torch.where(counted, e, 0.0).flatten(1).sum(1) for e in each], dim=1) + frequency.log()

    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        y: ArrayLike | int | None = None,
        method: Literal["cached", "plain"] = "cached",
    ) -> Tensor:
        """``n`` images, of class ``y`` or of classes as frequent as in training; both methods draw the same images from
        a seed."""
        if method not in ("cached", "plain"):
            raise ValueError(f"unknown sampling method {method!r}: use 'cached' or 'plain'")
        return self._drawn(self._sample if method == "cached" else self._sample_plain, n, y, seed)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._sample_by(sample_cached, n, y, generator)

    def _sample_plain(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._sample_by(sample_plain, n, y, generator)

    def _sample_by(
        self, sampler: Callable[..., Tensor], n: int, y: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        labels = self._draw_labels(n, generator) if y is None else y
        u = torch.rand(n, *self.net.shape, generator=generator, device=self.device, dtype=torch.float64)
        return self._values(sampler(self.net, u, labels))

    def _values(self, levels: Tensor) -> Tensor:
        return levels.to(self.dtype) / (self.spec["levels"] - 1)

    def inpaint(
        self,
        x: ArrayLike,
        mask: ArrayLike,
        *,
        y: ArrayLike | int | None = None,
        seed: int = 0,
        particles: int = 16,
    ) -> Tensor:
        """Fill ``x`` (n, C, H, W) where ``mask`` is false (true marks known values), drawing from p(unknown | known).

        Exact when the unknown values come last in raster order; otherwise a particle filter whose error falls with
        ``particles``. A model with classes and no ``y`` draws them from p(y | known) too. ``mask`` has the shape of
        ``x`` or broadcasts to it.
        """
        self._need_fit()
        check_sizes(particles=particles)
        (data, keep), generator = self._known(x, mask), seed_generator(seed, self.device)
        labels, levels = self._given_labels(y, len(data)), self._levels(data, seed)
        if labels is not None:
            labels = labels[:, None].expand(-1, particles, *labels.shape[1:])
        elif self.spec["n_classes"]:
            labels = self._quietly(self._particle_labels, levels, leading(keep), particles, generator)
        filled = self._quietly(inpaint_levels, self.net, levels, keep, labels, particles, generator)
        return torch.where(keep, data, self._values(filled))

    def _particle_labels(self, levels: Tensor, known: Tensor, particles: int, generator: torch.Generator) -> Tensor:
        """Labels (n, particles) drawn from p(y | the leading ``known`` values)."""
        joint = [self._joint(*part) for part in zip(levels.split(self.batch), known.split(self.batch), strict=True)]
        return torch.multinomial(torch.cat(joint).softmax(1), particles, replacement=True, generator=generator)
