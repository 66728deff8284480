from pathlib import Path
from unittest.mock import patch

import pytest
import torch

import generative as g
from generative.adversarial.dcgan import DCGAN
from generative.adversarial.gan import GAN


@pytest.mark.parametrize(
    ("size", "base"), [((8, 8), (4, 4)), ((9, 13), (3, 4)), ((28, 28), (4, 4)), ((17, 33), (3, 5))]
)
def test_images_keep_their_size(size: tuple[int, int], base: tuple[int, int]) -> None:
    model = DCGAN(latent=4, features=4).fit(torch.rand(12, 3, *size), steps=1, progress=False)
    x = model.sample(3, seed=0)
    assert x.shape == (3, 3, *size) and x.min() >= 0 and x.max() <= 1
    assert model.net.generator.body[1].unflattened_size[1:] == base


def test_stripes_are_learned_by_class() -> None:
    y = torch.arange(200) % 2
    rows = (torch.arange(8) % 2).float().view(8, 1).expand(8, 8)
    x = torch.where(y.view(-1, 1, 1, 1) == 1, rows, rows.T)
    model = DCGAN(latent=4, features=8, batch_size=32, ema=0.95).fit(x, y, steps=120, progress=False)
    along, across = (model.sample(20, seed=0, y=k)[:, 0] for k in (1, 0))
    assert along.var(1).mean() > 4 * along.var(2).mean() and across.var(2).mean() > 4 * across.var(1).mean()


@pytest.mark.parametrize("more", [{}, {"spectral_norm": True, "r1": 1.0}])
def test_every_parameter_gets_a_gradient(more: dict) -> None:
    x, y = torch.rand(12, 1, 9, 16), torch.arange(12) % 3
    model = DCGAN(latent=3, features=4, **more).fit(x, y, steps=1, progress=False)
    model.net.train()
    model._critic_loss(x, y).mean().backward()
    model._generator_loss(x, y).mean().backward()
    for part in (model.net.generator, model.net.critic):
        for name, p in part.named_parameters():
            assert p.grad is not None and p.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("settings", "normalised"), [({"r1": 0}, True), ({}, False), ({"r1": 0, "spectral_norm": True}, False)]
)
def test_the_critic_has_batch_normalisation_where_nothing_else_holds_it(settings: dict, normalised: bool) -> None:
    model = DCGAN(features=4, **settings).fit(torch.rand(12, 1, 28, 28), steps=3, progress=False)
    assert ("BatchNorm2d" in {type(m).__name__ for m in model.net.critic.modules()}) == normalised
    largest = torch.linalg.matrix_norm(model.net.critic.out.weight, ord=2).item()
    assert (largest == pytest.approx(1.0, abs=1e-3)) == ("spectral_norm" in settings)


def test_signals_keep_their_size_in_a_critic_without_normalisation() -> None:
    images = torch.rand(64, 1, 28, 28) * 2 - 1
    bare, paper = (DCGAN(features=16, r1=r1).fit(images.clamp(0, 1), steps=1, progress=False) for r1 in (0.05, 0.0))
    sizes = [model.net.critic.body[0](images).std().item() for model in (bare, paper)]
    assert 0.3 < sizes[0] < 3 and sizes[1] < 0.15  # N(0, 0.02) counts on the normalisation


def test_a_file_of_before_2026_11_30_loads_as_it_was(tmp_path: Path) -> None:
    x = torch.rand(12, 1, 28, 28)
    earlier = DCGAN(features=4, r1=0.3)
    with patch.object(DCGAN, "_infer", GAN._infer):  # such files do not say where they began and what the critic has
        earlier.fit(x, steps=2, progress=False)
    read = g.load(earlier.save(tmp_path / "dcgan.safetensors"))
    assert read.net.generator.body[1].unflattened_size[1:] == (7, 7)
    assert "BatchNorm2d" in {type(m).__name__ for m in read.net.critic.modules()}
    assert torch.equal(read.error(x), earlier.error(x)) and torch.equal(
        read.sample(2, seed=0), earlier.sample(2, seed=0)
    )
    assert read._recipe().lr == 2e-4 and DCGAN().fit(x, steps=1, progress=False)._recipe().lr == 1e-3
    assert torch.isfinite(read.fit(x, steps=1, fine_tune=True, progress=False).error(x)).all()
    assert read.fit(x, steps=1, progress=False).net.generator.body[1].unflattened_size[1:] == (4, 4)


def test_mistakes_are_answered() -> None:
    for call, message in [
        (lambda: DCGAN().fit(torch.rand(9, 1, 7, 20)), r"DCGAN needs images of at least 8x8, got 7x20: use GAN"),
        (lambda: DCGAN().fit(torch.rand(9, 12)), r"DCGAN takes images \(N, C, H, W\), got shape \(9, 12\)"),
        (lambda: DCGAN(hidden=3), r"DCGAN has no option 'hidden'"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
