"""AutoEncoder: reconstruction, denoising, codes, sampling from the latent mixture, score."""

import pytest
import torch

import generative as g
from generative.core.backend import seed_generator


def line(n: int = 400, seed: int = 0) -> torch.Tensor:
    """Points near a line in 5 dimensions, one of them constant."""
    gen = seed_generator(seed)
    t = torch.randn(n, 1, generator=gen)
    x = t * torch.tensor([[1.0, -2.0, 0.5, 100.0, 0.0]]) + 0.01 * torch.randn(n, 5, generator=gen)
    x[:, 4] = 3.0
    return x


def fit(x: torch.Tensor, steps: int = 200, **config) -> g.AutoEncoder:
    return g.AutoEncoder(**{"latent": 1, "hidden": 32, "layers": 1, "mixture": 3, "lr": 0.01, **config}).fit(
        x, steps=steps, progress=False
    )


def test_reconstructs_a_line_from_one_number_and_flags_what_is_off_it():
    x = line()
    model = fit(x)
    # four columns of variance 1 (standardised) and a constant one: 0.8 without a code
    assert float(model.error(line(seed=1)).mean()) < 0.02
    off = x.clone()
    off[:, 0] *= -1
    assert float(model.typicality(off).median()) < 0.01
    assert float(model.typicality(line(seed=2)).median()) > 0.5


@pytest.mark.parametrize("arch, size", [("mlp", 4), ("conv", 10)])
def test_image_codes_samples_and_files(tmp_path, arch, size):
    x = torch.rand(60, 2, size, size + 1, generator=seed_generator(0))
    model = fit(x, steps=3, latent=3, arch=arch)
    assert model.encode(x).shape == (60, 3) and model.reconstruct(x).shape == x.shape
    assert float(model.sample(20, seed=0).min()) >= 0 and float(model.sample(20, seed=0).max()) <= 1
    copy = g.load(model.save(tmp_path / "ae.safetensors"))
    assert torch.equal(copy.typicality(x), model.typicality(x)) and torch.equal(
        copy.sample(5, seed=1), model.sample(5, seed=1)
    )
    assert torch.equal(fit(x, steps=3, latent=3, arch=arch).typicality(x), model.typicality(x))
    missing = [n for n, p in model.net.named_parameters() if p.requires_grad and not bool(_gradient(model, x, p).any())]
    assert missing == []


def _gradient(model: g.AutoEncoder, x: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(model.net.error(x, x).sum(), parameter)[0]


def test_noise_makes_it_denoise():
    clean, fresh = line(400), line(200, seed=5)
    model = fit(clean, steps=200, noise=0.5)
    noise = 0.5 * clean.std(0, correction=0).clamp_min(0) * torch.randn(fresh.shape, generator=seed_generator(1))
    noisy = fresh + noise
    before = ((noisy - fresh) / model.net.scaling.scale).square().mean()
    after = ((model.reconstruct(noisy) - fresh) / model.net.scaling.scale).square().mean()
    assert float(after) < 0.5 * float(before)


def test_latent_mixture_samples_like_the_data():
    x = line()
    draws = fit(x, mixture=5).sample(2000, seed=0)
    torch.testing.assert_close(draws[:, :4].std(0) / x[:, :4].std(0), torch.ones(4), atol=0.2, rtol=0)


def test_bounded_codes_stay_within_one():
    assert float(fit(line(), steps=20, bounded=True).encode(1e3 * line()).abs().max()) <= 1


def test_mistakes_are_answered():
    with pytest.raises(ValueError, match="mixture=0, so it cannot sample"):
        fit(line(), steps=2, mixture=0).sample(3)
    with pytest.raises(ValueError, match="must be at least 1"):
        g.AutoEncoder(latent=0)
    with pytest.raises(ValueError, match="arch 'res' is none of"):
        g.AutoEncoder(arch="res")


@pytest.mark.parametrize("model", [g.AutoEncoder(latent=2, hidden=4), g.VAE(latent=2, hidden=4, prior_components=2)])
@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 1)])
def test_one_sample_is_enough(model, shape):
    model.fit(torch.full(shape, 0.3), steps=2, progress=False)
    assert bool(torch.isfinite(model.sample(3, seed=0)).all())


@pytest.mark.parametrize("model", [g.AutoEncoder, g.VAE])
def test_every_field_of_the_recipe_can_be_set(model, tmp_path):
    x, seen = torch.rand(40, 3, generator=seed_generator(0)), []
    fitted = model(latent=2, hidden=4, steps=7, ema=0.9, patience=0).fit(
        x, progress=False, on_step=lambda n, s: seen.append(n)
    )
    assert seen == list(range(1, 8))
    assert torch.equal(g.load(fitted.save(tmp_path / "m.safetensors")).typicality(x), fitted.typicality(x))
    with pytest.raises(ValueError, match="has no option 'emma': did you mean 'ema'"):
        model(emma=0.9)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        model(steps=0)
