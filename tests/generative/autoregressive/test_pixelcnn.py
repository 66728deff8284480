import pytest
import torch

from generative.autoregressive.causal_sampling import sample_cached
from generative.autoregressive.pixelcnn import PixelCNN


def test_residual_is_added_once() -> None:
    # with every convolution inside the block silenced, a block is the identity (upstream code doubled it)
    model = PixelCNN(gated=False, features=4, layers=2)
    net = model._network((1, 4, 4), 2, 0)
    for block in net.layers:
        torch.nn.init.zeros_(block.widen.weight)
        torch.nn.init.zeros_(block.widen.bias)
    x = torch.randn(1, 4, 4, 4)
    assert all(torch.equal(block(x), x) for block in net.layers)


def test_cached_and_plain_samples_agree_at_28x28() -> None:
    model = PixelCNN(gated=False, features=8, layers=2)
    net = model._network((1, 28, 28), 2, 0).eval()
    with torch.no_grad():
        x = sample_cached(net, torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)), None)
        u = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        # the plain sampler's fixed point: every value is what its own conditional draws (one pass instead of 784)
        redrawn = (u < torch.sigmoid(net(x, None)[..., 0])).long()
    assert torch.equal(x, redrawn)


def test_an_even_kernel_is_answered() -> None:
    with pytest.raises(ValueError, match="kernel counts columns around a pixel, so it must be odd and positive, got 4"):
        PixelCNN(kernel=4)


def test_features_round_up_to_the_channels() -> None:
    x = torch.rand(30, 3, 4, 4).mul(3).round() / 3
    model = PixelCNN(features=7, layers=1).fit(x, steps=1, progress=False)
    assert model.sample(2, seed=0).shape == (2, 3, 4, 4)


def test_class_decides_what_is_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    x = (torch.rand(200, 1, 3, 3, generator=generator) < torch.where(y == 1, 0.9, 0.1)[:, None, None, None]).float()
    model = PixelCNN(features=8, layers=1, lr=2e-2, batch_size=32).fit(x, y, steps=60, progress=False)
    assert model.sample(50, seed=0, y=1).mean() > 0.75 and model.sample(50, seed=0, y=0).mean() < 0.25
    assert 0.25 < model.sample(200, seed=0).mean() < 0.75  # without a label, classes as frequent as in training
    assert (model.log_prob(x, y) > model.log_prob(x, 1 - y)).float().mean() > 0.9
