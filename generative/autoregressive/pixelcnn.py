"""PixelCNN: the masked convolutional network of 2016 and its gated successor without a blind spot."""

from __future__ import annotations

from torch import Tensor, nn

from gail_suite.generative.autoregressive.model import AutoregressiveModel, CausalNet, NetState, rounded_up
from gail_suite.generative.networks.layers import GatedLayer, ResidualBlock, shift_down
from gail_suite.generative.training.recipe import Recipe, check_training


class GatedNet(CausalNet):
    """Gated PixelCNN: a vertical and a horizontal stack through all layers; the head reads the horizontal one."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        n_classes: int,
        features: int,
        depth: int,
        size: int = 3,
        *,
        symbols: bool = False,
        groups: int | None = None,
        outputs: int | None = None,
    ) -> None:
        groups = shape[0] if groups is None else groups
        layers: list[nn.Module] = [GatedLayer(features, features, size, "B", groups) for _ in range(depth)]
        stem = GatedLayer(shape[0] * (levels if symbols else 1), features, 7, "A", groups)
        super().__init__(
            shape, levels, n_classes, features, layers, stem, symbols=symbols, groups=groups, outputs=outputs
        )

    def features(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features (B, H, W, F) that see the pixels before, from the two stacks."""
        v, h = shift_down(x), x
        for index, layer in enumerate((self.stem, *self.layers)):
            v, h = layer(v, h)
            if index == 0:
                plane = condition[:, None, None].to(h.dtype)
                v, h = v + plane, h + plane
        return h

    def next_row(self, state: NetState) -> None:
        """Go to the next row."""
        state.row += 1
        stem = state.layers[0].horizontal
        reach = self.stem.horizontal.reach
        above = stem.rows[:, -1, reach:-reach].clone()
        for index, (layer, layer_state) in enumerate(zip((self.stem, *self.layers), state.layers, strict=True)):
            above = layer.next_row(layer_state, above)
            if index == 0:
                above = above + state.condition[:, None]

    def put(self, state: NetState, j: int, pixel: Tensor) -> None:
        """Enter ``pixel`` in column ``j`` of the present row."""
        self.stem.horizontal.put(state.layers[0].horizontal, j, self.encode(pixel))

    def step(self, state: NetState, j: int, pixel: Tensor) -> Tensor:
        """Logits of the pixel in column ``j``."""
        h = self.stem.step(state.layers[0], j, self.encode(pixel)) + state.condition
        for layer, layer_state in zip(self.layers, state.layers[1:], strict=True):
            h = layer.step(layer_state, j, h)
        return self.read(h, pixel)


class PixelCNN(AutoregressiveModel):
    """Autoregressive image model with masked convolutions and exact log-likelihood.

    ``gated=False``: a 7x7 masked convolution and ``layers`` residual blocks (van den Oord, Kalchbrenner and Kavukcuoglu
    2016); it has the known blind spot to the upper right, the smaller the more columns a ``kernel`` has: each block
    sees that many of the row above. ``gated=True``: vertical and horizontal stacks with gated
    units (van den Oord et al. 2016b), no blind spot. ``features`` is the width, ``levels`` the number of values of a
    channel (None: inferred; giving it quantises), ``binarize`` treats grey values as probabilities of ink, drawn anew
    in every minibatch. ``symbols`` takes the levels for symbols without an order (characters, codes), one-hot at the
    input; ``logistics`` is the number of logistics that make up p(pixel) in place of a probability for each level, for
    8-bit colour (Salimans et al. 2017). ``training`` changes fields of ``training.recipe.Recipe`` (lr, batch_size, ema,
    ...). Deviations: kernels are cut to the visible rows, class features enter after the first layer.
    """

    recipe = Recipe(steps=2000, batch_size=64, lr=2e-3, ema=0.999, precision="bfloat16")

    def __init__(
        self,
        gated: bool = True,
        features: int = 64,
        layers: int = 8,
        kernel: int = 3,
        levels: int | None = None,
        binarize: bool = False,
        symbols: bool = False,
        logistics: int = 0,
        **training: object,
    ) -> None:
        if logistics < 0 or (logistics and (not gated or symbols or binarize or levels == 2)):
            raise ValueError(
                f"logistics={logistics} is the number of logistics for the amounts of a gated PixelCNN, 0 for none: "
                "leave out "
                "gated=False, symbols, binarize and levels=2"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel counts columns around a pixel, so it must be odd and positive, got {kernel}")
        super().__init__(
            gated=gated,
            features=features,
            layers=layers,
            kernel=kernel,
            levels=levels,
            binarize=binarize,
            symbols=symbols,
            logistics=logistics,
            **check_training(type(self).__name__, training),
        )

    def _network(self, shape: tuple[int, int, int], levels: int, n_classes: int) -> CausalNet:
        features, depth, size = (
            rounded_up(self.config["features"], 2 * shape[0]),
            self.config["layers"],
            self.config["kernel"],
        )
        symbols = self.config["symbols"]
        if self.config["logistics"]:
            from gail_suite.generative.autoregressive.logistics import LogisticsNet

            return LogisticsNet(shape, levels, n_classes, features, depth, size, self.config["logistics"])
        if self.config["gated"]:
            return GatedNet(shape, levels, n_classes, features, depth, size, symbols=symbols)
        blocks: list[nn.Module] = [ResidualBlock(features, size, shape[0]) for _ in range(depth)]
        return CausalNet(shape, levels, n_classes, features, blocks, symbols=symbols)
