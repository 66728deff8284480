"""Network parts shared by the models: masked convolutions, gated layers, multilayer perceptrons, small conv stacks.

Autoregressive layers work on feature maps (B, H, W, F), features last, so that a 1x1 convolution is a matrix product.
Each has two evaluations that agree: ``forward`` over whole images, and an incremental one for sampling. The incremental
one is ``start`` (empty state), ``next_row`` (once before each row), and per pixel ``put`` (its input) and ``at`` (its
output).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolutional(layers: Sequence[nn.Module]) -> nn.Sequential:
    """``layers`` in a row, their kernels laid out channels last: on a CPU 1.4 times as fast as channels first, in
    bfloat16 twice."""
    net = nn.Sequential(*layers)
    for weight in net.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return net


def unrounded(x: Tensor) -> Tensor:
    """``x`` in float32 where a network ran in bfloat16: losses and sums over pixels are not for 8 bits."""
    return x.float() if x.dtype == torch.bfloat16 else x


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of the given ``sizes`` with ``activation`` between them, none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1])


def halvings(height: int, width: int, stages: int) -> list[tuple[int, int]]:
    """The sizes (h, w), (ceil(h/2), ceil(w/2)), ... that ``stages`` stride-2 convolutions make; odd sizes round up."""
    sizes = [(height, width)]
    for _ in range(stages):
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes


class UpTo(nn.Module):
    """Nearest-neighbour resize to a fixed (h, w); with a convolution after it, the way back from a halving."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """``x`` at the new size."""
        return F.interpolate(x, size=self.size, mode="nearest")


def stride_2_kernel(size: tuple[int, int]) -> tuple[int, int]:
    """The kernel (4 or 3) of a stride-2 convolution with padding 1 from ``size`` exactly to its ceil-half, and back."""
    return 4 - size[0] % 2, 4 - size[1] % 2


def group_of(n: int, groups: int) -> Tensor:
    """The group of each of ``n`` features, which are split into ``groups`` equal runs, one an image channel."""
    if n % groups:
        raise ValueError(f"{n} features cannot be split over {groups} image channels: use a multiple of {groups}")
    return torch.arange(n) * groups // n


def reset(weight: nn.Parameter, bias: nn.Parameter, fan_in: float) -> None:
    """Uniform initial values with variance 1 / (3 fan_in); ``fan_in`` counts the inputs that the mask lets through."""
    bound = 1.0 / math.sqrt(max(1.0, fan_in))
    nn.init.uniform_(weight, -bound, bound)
    nn.init.zeros_(bias)


class Pixelwise(nn.Linear):
    """1x1 convolution in which group g of the output sees groups <= g of the input (all of it for one group)."""

    mask: Tensor | None

    def __init__(self, n_in: int, n_out: int, groups: int = 1) -> None:
        super().__init__(n_in, n_out)
        mask = None
        if groups > 1:
            mask = (group_of(n_out, groups)[:, None] >= group_of(n_in, groups)[None, :]).float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (..., in) to (..., out)."""
        return F.linear(x, self.weight if self.mask is None else self.weight * self.mask, self.bias)


class State:
    """Base of the incremental states: tensors whose first axis is the image."""

    def select(self, index: Tensor) -> None:
        """Keep the images ``index`` (repeats allowed), in every tensor of the state."""
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                setattr(self, field.name, value[index])


@dataclass
class ConvState(State):
    """The last rows that a convolution can see, zero-padded, and what they contribute to the current row."""

    rows: Tensor
    above: Tensor
    kernel: tuple[Tensor, Tensor]


class CausalConv2d(nn.Module):
    """Convolution that sees rows above and, in its own row, pixels to the left; the mask decides about the pixel.

    Kind ``A`` hides the pixel (group g of the output sees groups < g of it), ``B`` shows it (groups <= g), ``V`` shows
    the whole row and ``height`` rows in all (for vertical stacks, whose output is shifted down before use). The kernel
    is cut to the rows that it may see: (height, size) taps, output row i from rows i - height + 1 .. i. Source: van den
    Oord, Kalchbrenner and Kavukcuoglu (2016), section 3.4.
    """

    mask: Tensor

    def __init__(self, n_in: int, n_out: int, size: int, kind: str, groups: int = 1, height: int | None = None) -> None:
        super().__init__()
        if size % 2 == 0 or kind not in ("A", "B", "V"):
            raise ValueError(f"causal convolution needs an odd size and kind A, B or V, got size {size}, kind {kind!r}")
        self.reach = size // 2
        self.height = self.reach + 1 if height is None else height
        mask = torch.ones(n_out, n_in, self.height, size)
        if kind != "V":
            mask[:, :, -1, self.reach + 1 :] = 0.0
            out, inp = group_of(n_out, groups)[:, None], group_of(n_in, groups)[None, :]
            mask[:, :, -1, self.reach] = (out > inp if kind == "A" else out >= inp).float()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty_like(mask))
        self.bias = nn.Parameter(torch.empty(n_out))
        reset(self.weight, self.bias, float(mask.sum()) / n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, in) -> (B, H, W, out), features last in memory too (torch forgets that for one channel)."""
        x = F.pad(x, (0, 0, 0, 0, self.height - 1, 0)) if self.height > 1 else x
        y = F.conv2d(x.permute(0, 3, 1, 2), self.weight * self.mask, self.bias, padding=(0, self.reach))
        return y.permute(0, 2, 3, 1).contiguous()

    def start(self, batch: int, width: int) -> ConvState:
        """The state of ``batch`` samples, ``width`` pixels wide, above their first row."""
        weight = self.weight * self.mask
        here = weight[:, :, -1, : self.reach + 1].permute(2, 1, 0).flatten(0, 1).contiguous()  # (taps * in, out)
        rows = weight.new_zeros(batch, self.height, width + 2 * self.reach, weight.shape[1])
        return ConvState(rows, self.bias.expand(batch, width, -1), (weight[:, :, :-1], here))

    def next_row(self, state: ConvState) -> None:
        """Go to the next row."""
        if self.height == 1:
            state.rows.zero_()
            return
        state.rows = torch.cat([state.rows[:, 1:], torch.zeros_like(state.rows[:, :1])], dim=1)
        y = F.conv2d(state.rows[:, :-1].permute(0, 3, 1, 2), state.kernel[0], self.bias)
        state.above = y.permute(0, 2, 3, 1)[:, 0]

    def put(self, state: ConvState, j: int, x: Tensor) -> None:
        """Enter the features ``x`` of column ``j`` of the present row."""
        state.rows[:, -1, j + self.reach] = x

    def at(self, state: ConvState, j: int) -> Tensor:
        """The convolution's value at column ``j``."""
        window = state.rows[:, -1, j : j + self.reach + 1].flatten(1)
        return torch.addmm(state.above[:, j], window, state.kernel[1])

    def whole_row(self, rows: Tensor) -> Tensor:
        """The output row of the last of ``rows`` (B, height, W + 2 reach, in), for kind ``V``: (B, W, out)."""
        return F.conv2d(rows.permute(0, 3, 1, 2), self.weight, self.bias).permute(0, 2, 3, 1)[:, 0]


def gate(x: Tensor, groups: int) -> Tensor:
    """tanh(a) * sigmoid(b), where each group of the features holds its a, then its b (van den Oord et al. 2016b)."""
    if groups > 1:
        x = x.unflatten(-1, (groups, 2, -1)).transpose(-2, -3).flatten(-3)
    a, b = x.chunk(2, dim=-1)
    return torch.tanh(a) * torch.sigmoid(b)


def shift_down(x: Tensor) -> Tensor:
    """Row i of the result is row i - 1 of ``x`` (B, H, W, F); row 0 is zero."""
    return F.pad(x[:, :-1], (0, 0, 0, 0, 1, 0))


class ResidualBlock(nn.Module):
    """x + W2 relu(conv(relu(W1 x))), kind-B convolution over ``size`` columns of two rows: the layer of the first
    PixelCNN, its residual added once."""

    def __init__(self, features: int, size: int, groups: int) -> None:
        super().__init__()
        hidden = features // 2
        self.shrink, self.widen = Pixelwise(features, hidden, groups), Pixelwise(hidden, features, groups)
        self.conv = CausalConv2d(hidden, hidden, size, "B", groups, height=2)

    def forward(self, x: Tensor) -> Tensor:
        """The block of ``x`` (B, H, W, F)."""
        return x + self.widen(F.relu(self.conv(F.relu(self.shrink(x)))))

    def start(self, batch: int, width: int) -> ConvState:
        """The state of ``batch`` samples, ``width`` pixels wide, above their first row."""
        return self.conv.start(batch, width)

    def next_row(self, state: ConvState) -> None:
        """Go to the next row."""
        self.conv.next_row(state)

    def step(self, state: ConvState, j: int, x: Tensor) -> Tensor:
        """The output at column j of the current row from the input there, (B, F) -> (B, F)."""
        self.conv.put(state, j, F.relu(self.shrink(x)))
        return x + self.widen(F.relu(self.conv.at(state, j)))


@dataclass
class GatedState(State):
    """Rows of the vertical stack, the horizontal state, and what the vertical stack says about the current row."""

    rows: Tensor
    horizontal: ConvState
    link: Tensor

    def select(self, index: Tensor) -> None:
        """Keep the samples ``index`` of the batch."""
        super().select(index)
        self.horizontal.select(index)


class GatedLayer(nn.Module):
    """One layer of the gated PixelCNN: a vertical stack (all rows above), a horizontal one (this row), no blind spot.

    v' = gate(V v),  h' = h + W gate(H h + L V v). The first layer (kind A, no residual) reads the image; its v is the
    image shifted down one row, once for all layers. Source: van den Oord et al. (2016b), figure 2.
    """

    def __init__(self, n_in: int, features: int, size: int, kind: str, groups: int) -> None:
        super().__init__()
        self.residual, self.groups = kind == "B", groups
        self.vertical = CausalConv2d(n_in, 2 * features, size, "V")
        self.horizontal = CausalConv2d(n_in, 2 * features, size, kind, groups, height=1)
        self.link = nn.Linear(2 * features, 2 * features)
        self.out = Pixelwise(features, features, groups)

    def forward(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's vertical and horizontal stack."""
        above = self.vertical(v)
        new = self.out(gate(self.horizontal(h) + self.link(above), self.groups))
        return gate(above, 1), h + new if self.residual else new

    def start(self, batch: int, width: int) -> GatedState:
        """The state of ``batch`` samples, ``width`` pixels wide, above their first row."""
        horizontal = self.horizontal.start(batch, width)
        pad = horizontal.rows.new_zeros(batch, self.vertical.height, *horizontal.rows.shape[2:])
        return GatedState(pad, horizontal, self.link.bias.expand(batch, width, -1))

    def next_row(self, state: GatedState, above: Tensor) -> Tensor:
        """From the vertical input of the new row, (B, W, in), its vertical output, (B, W, F)."""
        self.horizontal.next_row(state.horizontal)
        reach = self.vertical.reach
        state.rows = torch.cat([state.rows[:, 1:], F.pad(above, (0, 0, reach, reach))[:, None]], dim=1)
        features = self.vertical.whole_row(state.rows)
        state.link = self.link(features)
        return gate(features, 1)

    def step(self, state: GatedState, j: int, h: Tensor) -> Tensor:
        """The horizontal output at column j from the horizontal input there, (B, in) -> (B, F)."""
        self.horizontal.put(state.horizontal, j, h)
        new = self.out(gate(self.horizontal.at(state.horizontal, j) + state.link[:, j], self.groups))
        return h + new if self.residual else new
