import torch

from generative.autoregressive.pixelrnn import DiagonalBiLSTM, RowLSTM, lstm_cell, skew, unskew


def test_skew_makes_columns_of_diagonals_and_unskew_undoes_it() -> None:
    x = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
    assert skew(x)[0, :, :, 0].tolist() == [[1, 2, 3, 0], [0, 4, 5, 6]]
    tall = torch.randn(2, 5, 3, 4)
    assert torch.equal(unskew(skew(tall)), tall)


def test_lstm_cell_by_hand() -> None:
    # gates o, f, i, g = 0, 0, 0, atanh(1/2): c' = c/2 + (1/2)(1/2), h = tanh(c')/2; with c = 1, c' = 3/4
    gates = torch.tensor([0.0, 0.0, 0.0, 0.5]).atanh()
    h, c = lstm_cell(gates, torch.ones(1), 1)
    torch.testing.assert_close(c, torch.tensor([0.75]))
    torch.testing.assert_close(h, torch.tensor([0.75]).tanh() / 2)


def test_lstm_cell_keeps_groups_apart() -> None:
    gates, c = torch.randn(3, 16), torch.randn(3, 4)
    h, _ = lstm_cell(gates, c, 2)
    alone, _ = lstm_cell(gates[:, :8], c[:, :2], 1)
    torch.testing.assert_close(h[:, :2], alone)


def test_row_lstm_sees_a_triangle_and_diagonal_bilstm_everything() -> None:
    x = torch.randn(1, 3, 7, 2, dtype=torch.float64)
    for layer, seen in [
        (RowLSTM(2, 2, 1), [range(6), range(1, 5), range(2, 4)]),
        (DiagonalBiLSTM(2, 2, 1), [range(7), range(7), range(4)]),
    ]:
        jacobian = torch.autograd.functional.jacobian(layer.double(), x)[0, 2, 3, :, 0]
        found = (jacobian != 0).any(0).any(-1)
        assert [torch.nonzero(row)[:, 0].tolist() for row in found] == [list(r) for r in seen]


def test_the_recurrence_over_rows_is_its_convolution() -> None:
    layer = RowLSTM(4, 6, 1)
    h, gates = (torch.randn(2, 5, n, generator=torch.Generator().manual_seed(n)) for n in (6, 24))
    convolved = layer.recurrent(h.transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(layer._with_above(gates, h, layer._taps()), gates + convolved, atol=1e-6)
