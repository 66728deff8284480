import pytest
import torch

from generative.networks.layers import (
    CausalConv2d,
    GatedLayer,
    Pixelwise,
    ResidualBlock,
    gate,
    halvings,
    mlp,
    shift_down,
    stride_2_kernel,
)

H, W = 4, 5


def jacobian_pattern(layer, n_in: int) -> torch.Tensor:
    """(H, W, out, H, W, in): which inputs each output depends on."""
    x = torch.randn(1, H, W, n_in, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.autograd.functional.jacobian(layer, x)[0, :, :, :, 0] != 0


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("height", [None, 1])
def test_masked_convolution_depends_exactly_on_the_permitted_taps(kind: str, groups: int, height: int | None) -> None:
    n = 2 * groups
    layer = CausalConv2d(n, n, 3, kind, groups, height).double()
    found = jacobian_pattern(layer, n)
    rows_above = 0 if height == 1 else 1
    for i in range(H):
        for j in range(W):
            for o in range(n):
                expected = torch.zeros(H, W, n, dtype=torch.bool)
                if rows_above and i > 0:
                    expected[i - 1, max(0, j - 1) : j + 2] = True
                expected[i, max(0, j - 1) : j] = True
                g = o // 2
                expected[i, j, : 2 * (g + (kind == "B"))] = True
                assert torch.equal(found[i, j, o], expected), (i, j, o)


def test_vertical_convolution_sees_whole_rows_down_to_its_own() -> None:
    found = jacobian_pattern(CausalConv2d(1, 1, 3, "V").double(), 1)
    expected = torch.zeros(H, W, dtype=torch.bool)
    expected[1:3, 1:4] = True
    assert torch.equal(found[2, 2, 0, :, :, 0], expected)


def test_pixelwise_groups_see_earlier_groups_only() -> None:
    found = jacobian_pattern(Pixelwise(6, 3, groups=3).double(), 6)[1, 1, :, 1, 1]
    assert found.tolist() == [[True] * 2 + [False] * 4, [True] * 4 + [False] * 2, [True] * 6]


@pytest.mark.parametrize("layer", [CausalConv2d(6, 4, 5, "A", 2), CausalConv2d(6, 4, 3, "B"), ResidualBlock(4, 3, 2)])
def test_incremental_evaluation_equals_whole_images(layer) -> None:
    n_in = 4 if isinstance(layer, ResidualBlock) else 6
    layer = layer.double()
    x = torch.randn(2, H, W, n_in, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole, state = layer(x), layer.start(2, W)
    for i in range(H):
        layer.next_row(state)
        for j in range(W):
            if isinstance(layer, ResidualBlock):
                out = layer.step(state, j, x[:, i, j])
            else:
                layer.put(state, j, x[:, i, j])
                out = layer.at(state, j)
            torch.testing.assert_close(out, whole[:, i, j], rtol=0, atol=1e-12)


def test_one_channel_convolution_leaves_features_last_in_memory() -> None:
    assert CausalConv2d(1, 8, 7, "A")(torch.rand(2, H, W, 1)).is_contiguous()


def test_gate_pairs_each_group_with_its_own_sigmoid() -> None:
    # two groups of one unit: (a0, b0, a1, b1) -> tanh(a) sigmoid(b) a group; sigmoid(0) = 1/2
    x = torch.tensor([1.0, 0.0, 2.0, 0.0])
    torch.testing.assert_close(gate(x, 2), torch.tanh(torch.tensor([1.0, 2.0])) / 2)


def test_shift_down_moves_rows_and_fills_with_zero() -> None:
    x = torch.arange(1.0, 7.0).view(1, 3, 2, 1)
    assert shift_down(x).flatten().tolist() == [0, 0, 1, 2, 3, 4]


def test_stride_2_goes_there_and_back_at_any_size() -> None:
    for size in [(8, 8), (9, 13), (28, 28), (33, 17)]:
        half = halvings(*size, 1)[1]
        kernel = stride_2_kernel(size)
        down, up = torch.nn.Conv2d(1, 1, kernel, 2, 1), torch.nn.ConvTranspose2d(1, 1, kernel, 2, 1)
        small = down(torch.rand(1, 1, *size))
        assert small.shape[2:] == half and up(small).shape[2:] == size


def test_mlp_ends_without_activation() -> None:
    assert [type(m).__name__ for m in mlp([3, 4, 2])] == ["Linear", "ReLU", "Linear"]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"odd size and kind A, B or V, got size 4, kind 'C'"):
        CausalConv2d(1, 1, 4, "C")
    with pytest.raises(ValueError, match=r"8 features cannot be split over 3 image channels"):
        GatedLayer(3, 4, 3, "A", 3)
