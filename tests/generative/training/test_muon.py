import copy
import math

import pytest
import torch
from torch import nn

import generative as g
from generative.training.muon import Muon, orthogonalised


def network() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"kernel": nn.Conv2d(3, 8, 3), "matrix": nn.Linear(5, 4), "row": nn.Linear(4, 1), "table": nn.Embedding(3, 4)}
    )


def with_gradients(net: nn.Module, scale: float = 1.0) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.grad = scale * torch.randn(p.shape, generator=generator)
    return net


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16)])
def test_orthogonalised_keeps_the_singular_vectors_and_levels_the_values(shape: tuple[int, int]) -> None:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    inner = u.T @ orthogonalised(x) @ v.T
    values = inner.diagonal()
    assert 0.5 < values.min() and values.max() < 1.3
    assert (inner - values.diag()).abs().max() < 1e-4
    assert torch.count_nonzero(orthogonalised(torch.zeros(shape))) == 0


def test_a_step_by_hand() -> None:
    before = network()
    ours, theirs = (with_gradients(copy.deepcopy(before)) for _ in range(2))
    kernel = ours["kernel"].weight.grad.clone()
    Muon(ours, lr=0.1, weight_decay=0.5).step()
    torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.5).step()
    shrunk = before["kernel"].weight * (1 - 0.1 * 0.5)
    # 27 inputs, 8 outputs; the momentum of a first step points along the gradient
    moved = shrunk - 0.1 * 0.2 * math.sqrt(27) * orthogonalised(kernel.flatten(1)).view_as(kernel)
    assert torch.allclose(ours["kernel"].weight, moved, atol=1e-6)
    for name in ("kernel.bias", "matrix.bias", "row.weight", "row.bias", "table.weight"):
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name)), name
    assert not torch.allclose(ours["matrix"].weight, theirs["matrix"].weight)


def test_the_scale_of_a_gradient_does_not_matter_to_matrices_and_unseen_columns_stay() -> None:
    small, large = with_gradients(network()), with_gradients(network(), 1000.0)
    for net in (small, large):
        net["matrix"].weight.grad[:, 2] = 0.0  # as under a mask
        Muon(net, lr=0.1).step()
    assert torch.allclose(small["matrix"].weight, large["matrix"].weight, atol=1e-5)
    assert torch.allclose(small["matrix"].weight[:, 2], network()["matrix"].weight[:, 2] * (1 - 0.1 * 0.01))


def test_an_unknown_optimiser_is_answered() -> None:
    with pytest.raises(ValueError, match="unknown optimiser 'sgd': use one of adamw, muon"):
        g.PixelCNN(optimiser="sgd")


def test_a_model_is_fitted_and_saved_with_it(tmp_path) -> None:
    x = (torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    model = g.PixelCNN(features=8, layers=1, optimiser="muon").fit(x, steps=30, progress=False)
    assert torch.equal(g.load(model.save(tmp_path / "m.safetensors")).log_prob(x), model.log_prob(x))
