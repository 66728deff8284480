"""PixelRNN: rows or diagonals of LSTM cells, which carry the whole image above the pixel (van den Oord et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.autoregressive.model import AutoregressiveModel, CausalNet, rounded_up
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.networks.layers import CausalConv2d, ConvState, Pixelwise, State, shift_down
from gail_suite.generative.training.recipe import Recipe, check_training


def lstm_cell(gates: Tensor, c: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """(h, c) of an LSTM from its gates (..., 4 h) and previous cell (..., h); each feature group holds its four gates
    in turn.

    c' = sigmoid(f) c + sigmoid(i) tanh(g),  h = sigmoid(o) tanh(c').
    """
    if groups > 1:
        gates = gates.unflatten(-1, (groups, 4, -1)).transpose(-2, -3).flatten(-3)
    o, f, i, g = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@dataclass
class RowState(State):
    """Cells and outputs of the row above and of this row, what the row above gives to the gates, and the input
    window."""

    h: Tensor
    c: Tensor
    row_h: Tensor
    row_c: Tensor
    recurrent: Tensor
    inputs: ConvState

    def select(self, index: Tensor) -> None:
        """Keep the samples ``index`` of the batch."""
        super().select(index)
        self.inputs.select(index)


class RowLSTM(nn.Module):
    """x + W h, where row i of h is an LSTM step: gates = masked 3x1 conv of row i of x + 3x1 conv of row i - 1 of h.

    The receptive field is a triangle above the pixel. Source: van den Oord et al. (2016), section 3.1.
    """

    def __init__(self, features: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.hidden, self.groups = hidden, groups
        self.inputs = CausalConv2d(features, 4 * hidden, 3, "B", groups, height=1)
        self.recurrent = nn.Conv1d(hidden, 4 * hidden, 3, padding=1, bias=False)
        self.out = Pixelwise(hidden, features, groups)

    def forward(self, x: Tensor) -> Tensor:
        """The rows of LSTM cells over ``x`` (B, H, W, F), with a residual connection."""
        gates, taps = self.inputs(x), self._taps()
        h = c = gates.new_zeros(*x[:, 0].shape[:2], self.hidden)
        rows = []
        for row in gates.unbind(1):
            h, c = lstm_cell(self._with_above(row, h, taps), c, self.groups)
            rows.append(h)
        return x + self.out(torch.stack(rows, dim=1))

    def _taps(self) -> Tensor:
        """The recurrent kernel as a matrix (3 h, 4 h)."""
        return self.recurrent.weight.permute(2, 1, 0).flatten(0, 1)

    def _with_above(self, gates: Tensor, h: Tensor, taps: Tensor) -> Tensor:
        """``gates`` (B, W, 4 h) plus the recurrent convolution of the row above ``h`` (B, W, h).

        One product: it leaves features last, as the cell wants them, where a convolution's output is first transposed.
        """
        windows = torch.cat([F.pad(h[:, :-1], (0, 0, 1, 0)), h, F.pad(h[:, 1:], (0, 0, 0, 1))], dim=-1)
        return torch.addmm(gates.flatten(0, 1), windows.flatten(0, 1), taps).view_as(gates)

    def start(self, batch: int, width: int) -> RowState:
        """The state of ``batch`` samples, ``width`` pixels wide, above their first row."""
        zero = self.out.weight.new_zeros(batch, width, self.hidden)
        return RowState(zero, zero, zero.clone(), zero.clone(), zero.repeat(1, 1, 4), self.inputs.start(batch, width))

    def next_row(self, state: RowState) -> None:
        """Go to the next row."""
        state.h, state.c = state.row_h, state.row_c
        state.row_h, state.row_c = torch.zeros_like(state.h), torch.zeros_like(state.c)
        state.recurrent = self._with_above(torch.zeros_like(state.recurrent), state.h, self._taps())
        self.inputs.next_row(state.inputs)

    def step(self, state: RowState, j: int, x: Tensor) -> Tensor:
        """The output at column j of the current row from the input there, (B, F) -> (B, F)."""
        self.inputs.put(state.inputs, j, x)
        gates = self.inputs.at(state.inputs, j) + state.recurrent[:, j]
        h, c = lstm_cell(gates, state.c[:, j], self.groups)
        state.row_h[:, j], state.row_c[:, j] = h, c
        return x + self.out(h)


class DiagonalLSTM(nn.Module):
    """An LSTM over the diagonals of an image: gates = W x(i, j) + U [h(i, j - 1), h(i - 1, j)], cell from c(i, j - 1).

    Source: van den Oord et al. (2016), section 3.2, one direction.
    """

    def __init__(self, features: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.hidden, self.groups = hidden, groups
        self.inputs = Pixelwise(features, 4 * hidden, groups)
        self.recurrent = nn.Linear(2 * hidden, 4 * hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, F) -> (B, H, W, h), one step for each of the H + W - 1 diagonals."""
        gates = skew(self.inputs(x))
        height = x.shape[1]
        h = c = gates.new_zeros(len(x), height, self.hidden)
        rows = torch.arange(height, device=x.device)[:, None]
        diagonals = []
        for d, column in enumerate(gates.unbind(2)):
            h, c = self.cell(column, h, F.pad(h[:, :-1], (0, 0, 1, 0)), c)
            inside = (rows <= d).to(h.dtype)  # left of the image the state stays zero
            h, c = h * inside, c * inside
            diagonals.append(h)
        return unskew(torch.stack(diagonals, dim=2))

    def cell(self, gates: Tensor, left: Tensor, up: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """(h, c) from the input's gates, the outputs to the left and above, and the cell to the left."""
        return lstm_cell(gates + self.recurrent(torch.cat([left, up], dim=-1)), c, self.groups)


def skew(x: Tensor) -> Tensor:
    """Shift row i of (B, H, W, F) right by i: (B, H, W + H - 1, F), so that diagonals become columns."""
    batch, height, width, features = x.shape
    padded = F.pad(x, (0, 0, 0, height)).flatten(1, 2)[:, : height * (width + height - 1)]
    return padded.reshape(batch, height, width + height - 1, features)


def unskew(x: Tensor) -> Tensor:
    """The inverse of ``skew``: (B, H, W + H - 1, F) -> (B, H, W, F)."""
    batch, height, wide, features = x.shape
    padded = F.pad(x.flatten(1, 2), (0, 0, 0, height))
    return padded.reshape(batch, height, wide + 1, features)[:, :, : wide + 1 - height]


@dataclass
class DiagonalState(State):
    """Outputs of the row above and of this row for the left-to-right cells, its running cell, this row's inputs, and
    the right-to-left outputs of the row above."""

    h: Tensor
    row_h: Tensor
    c: Tensor
    row_x: Tensor
    back_h: Tensor
    row: int = -1


class DiagonalBiLSTM(nn.Module):
    """x + W (left(x) + shift_down(right(x))): diagonal LSTMs from both upper corners, so every pixel before is seen.

    The right-to-left map is shifted down one row, or it would see pixels to the right. Source: van den Oord et al.
    (2016), section 3.2.
    """

    def __init__(self, features: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.left, self.right = DiagonalLSTM(features, hidden, groups), DiagonalLSTM(features, hidden, groups)
        self.out = Pixelwise(hidden, features, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Both diagonals of LSTM cells over ``x`` (B, H, W, F), with a residual connection."""
        back = self.right(x.flip(2)).flip(2)
        return x + self.out(self.left(x) + shift_down(back))

    def start(self, batch: int, width: int) -> DiagonalState:
        """The state of ``batch`` samples, ``width`` pixels wide, above their first row."""
        weight = self.out.weight
        zero = weight.new_zeros(batch, width, weight.shape[1])
        inputs = weight.new_zeros(batch, width, weight.shape[0])
        return DiagonalState(zero, zero.clone(), zero[:, 0], inputs, zero)

    def next_row(self, state: DiagonalState) -> None:
        """Go to the next row."""
        state.row += 1
        state.h, state.row_h, state.c = state.row_h, torch.zeros_like(state.row_h), torch.zeros_like(state.c)
        if state.row == 0:
            return
        gates, left, c = self.right.inputs(state.row_x), torch.zeros_like(state.c), torch.zeros_like(state.c)
        back = torch.empty_like(state.back_h)
        for j in reversed(range(gates.shape[1])):
            left, c = self.right.cell(gates[:, j], left, state.back_h[:, j], c)
            back[:, j] = left
        state.back_h = back

    def step(self, state: DiagonalState, j: int, x: Tensor) -> Tensor:
        """The output at column j of the current row from the input there, (B, F) -> (B, F)."""
        state.row_x[:, j] = x
        before = state.row_h[:, j - 1] if j else torch.zeros_like(state.c)
        h, c = self.left.cell(self.left.inputs(x), before, state.h[:, j], state.c)
        state.row_h[:, j], state.c = h, c
        return x + self.out(h + state.back_h[:, j])


class PixelRNN(AutoregressiveModel):
    """Autoregressive image model with LSTM layers over rows or diagonals, residual connections and exact
    log-likelihood.

    ``kind="row"``: Row LSTM; ``kind="diagonal"``: Diagonal BiLSTM, whose receptive field is every earlier pixel. A
    masked 7x7 convolution, ``layers`` residual LSTM layers with ``hidden`` units, two 1x1 layers. ``levels``,
    ``binarize`` and ``symbols`` as in PixelCNN. ``training`` changes fields of ``training.recipe.Recipe``. Source: van
    den Oord, Kalchbrenner and Kavukcuoglu (2016). Deviation: class features after the first layer.
    """

    recipe = Recipe(steps=2000, batch_size=64, lr=2e-3, ema=0.999, precision="bfloat16")

    def __init__(
        self,
        kind: Literal["row", "diagonal"] = "row",
        features: int = 64,
        hidden: int = 64,
        layers: int = 3,
        levels: int | None = None,
        binarize: bool = False,
        symbols: bool = False,
        **training: object,
    ) -> None:
        if kind not in ("row", "diagonal"):
            raise ValueError(f"unknown PixelRNN kind {kind!r}: use 'row' (Row LSTM) or 'diagonal' (Diagonal BiLSTM)")
        check_sizes(hidden=hidden)
        super().__init__(
            kind=kind,
            features=features,
            hidden=hidden,
            layers=layers,
            levels=levels,
            binarize=binarize,
            symbols=symbols,
            **check_training(type(self).__name__, training),
        )

    def _network(self, shape: tuple[int, int, int], levels: int, n_classes: int) -> CausalNet:
        groups = shape[0]
        features, hidden = rounded_up(self.config["features"], groups), rounded_up(self.config["hidden"], groups)
        layer = RowLSTM if self.config["kind"] == "row" else DiagonalBiLSTM
        layers: list[nn.Module] = [layer(features, hidden, groups) for _ in range(self.config["layers"])]
        return CausalNet(shape, levels, n_classes, features, layers, symbols=self.config["symbols"])
