import math
from pathlib import Path

import pytest
import torch

import generative as g
from generative.adversarial.dcgan import DCGAN
from generative.adversarial.gan import GAN


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    """Two thin clusters at (+-3, 10)."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(2, (n, 1), generator=generator) * 6.0 - 3.0
    return torch.cat([side, torch.full((n, 1), 10.0)], dim=1) + 0.3 * torch.randn(n, 2, generator=generator)


def test_vectors_are_generated_where_the_data_is() -> None:
    model = GAN(latent=4, hidden=32, lr=2e-3, ema=0.98).fit(vectors(500), steps=400, progress=False)
    x = model.sample(400, seed=0)
    nearest = torch.cdist(x, torch.tensor([[-3.0, 10.0], [3.0, 10.0]])).min(1)
    assert nearest.values.median() < 1.0 and 0.2 < nearest.indices.float().mean() < 0.8


def test_score_is_calibrated_and_bounded() -> None:
    model = GAN(latent=4, hidden=32, lr=2e-3).fit(vectors(500), steps=200, progress=False)
    score = model.typicality(vectors(300, seed=1))
    assert (score > 0).all() and (score <= 1).all()
    assert 0.3 < (score == 1).float().mean() < 0.7  # half of the errors are below the median
    assert torch.equal(model.error(vectors(5)), model.error(vectors(5)))


@pytest.mark.parametrize("more", [{}, {"spectral_norm": True}, {"r1": 1.0}])
def test_every_parameter_gets_a_gradient(more: dict) -> None:
    x, y = torch.rand(16, 1, 4, 4), torch.arange(16) % 3
    model = GAN(latent=3, hidden=8, **more).fit(x, y, steps=1, progress=False)
    model.net.train()
    model._critic_loss(x, y).mean().backward()
    model._generator_loss(x, y).mean().backward()
    for part in (model.net.generator, model.net.critic):
        for name, p in part.named_parameters():
            assert p.grad is not None and p.grad.abs().max() > 0, name


def test_r1_is_the_squared_slope_on_real_data() -> None:
    # without hidden layers the critic is w . leaky(x), so its slope is w (0.2 w where x < 0, here nowhere): on top of
    # the loss without it, the penalty is r1/2 |w|^2 a sample
    x = 0.6 + 0.4 * torch.rand(8, 1, 2, 2)
    plain, penalised = (GAN(latent=2, layers=0, r1=r1) for r1 in (0.0, 4.0))
    for model in (plain, penalised):
        model.spec = {"event_shape": [1, 2, 2], "n_classes": 0}
        torch.manual_seed(0)
        model._build()
        torch.manual_seed(1)
    without = plain._critic_loss(x, None)
    torch.manual_seed(1)
    slope = penalised.net.critic.out.weight.square().sum()
    torch.testing.assert_close(penalised._critic_loss(x, None), without + 2.0 * slope)


@pytest.mark.parametrize("relativistic", [True, False])
def test_losses_by_hand(relativistic: bool) -> None:
    # one feature, so D(x) = w x + b, and a generator that draws c = 0.25 in the network's range whatever the noise
    x = torch.tensor([0.5, 0.75, 1.0, 0.625]).view(4, 1, 1, 1)
    model = GAN(latent=2, layers=0, r1=0.0, relativistic=relativistic)
    model.spec = {"event_shape": [1, 1, 1], "n_classes": 0}
    model._build()
    with torch.no_grad():
        for name, value in model.net.named_parameters():
            value.zero_()
            if name.startswith("generator") and name.endswith("bias"):
                value.fill_(math.atanh(0.25))
        model.net.critic.out.weight.fill_(2.0), model.net.critic.out.bias.fill_(0.5)
    on_real, on_fake = 2 * (2 * x.flatten() - 1) + 0.5, torch.tensor(2 * 0.25 + 0.5)  # data in [0, 1] become [-1, 1]
    log = lambda logit: (1 + logit.exp()).log()
    critic = log(on_fake - on_real) if relativistic else log(-on_real) + log(on_fake)
    generator = log(on_real - on_fake) if relativistic else log(-on_fake).expand(4)
    torch.testing.assert_close(model._critic_loss(x, None), critic)
    torch.testing.assert_close(model._generator_loss(x, None), generator)


def test_a_file_of_before_2026_12_01_judges_every_sample_alone(tmp_path: Path) -> None:
    x = torch.rand(300, 1, 8, 8)
    for kind, rate in ((GAN, 2e-4), (DCGAN, 1e-3)):
        model = kind(relativistic=False).fit(x, steps=2, progress=False)
        del model.config["relativistic"]
        read = g.load(model.save(tmp_path / "earlier.safetensors"))
        assert not read.config["relativistic"] and read._recipe().lr == rate
        assert g.load(read.save(tmp_path / "again.safetensors"))._recipe().lr == rate
        assert kind.recipe.lr == 1e-3 and kind().config["relativistic"] == (kind is DCGAN)


def test_images_stay_in_range_and_classes_differ() -> None:
    y = torch.arange(300) % 2
    x = (0.1 + 0.8 * y)[:, None, None, None].expand(-1, 1, 3, 3) + 0.02 * torch.randn(300, 1, 3, 3)
    model = GAN(latent=4, hidden=32, lr=2e-3, ema=0.98).fit(x.clamp(0, 1), y, steps=250, progress=False)
    dark, light = model.sample(50, seed=0, y=0), model.sample(50, seed=0, y=1)
    assert dark.min() >= 0 and light.max() <= 1 and light.mean() - dark.mean() > 0.3


def test_classes_are_as_frequent_as_in_training() -> None:
    model = GAN(latent=2, hidden=4).fit(vectors(100), (torch.arange(100) % 10 == 0).long(), steps=1, progress=False)
    labels = model._draw_labels(2000, torch.Generator().manual_seed(0))
    assert labels.float().mean().item() == pytest.approx(0.1, abs=0.03)
    drawn = torch.Generator().manual_seed(3)
    y = model._draw_labels(9, drawn)
    assert torch.equal(model.sample(9, seed=3), model.decode(torch.randn(9, 2, generator=drawn), y))


def test_samples_come_from_the_averaged_generator() -> None:
    model = GAN(latent=2, hidden=8).fit(vectors(60), steps=3, progress=False)
    before = model.sample(4, seed=0)
    torch.nn.init.zeros_(model.net.generator.body[0][0].weight)
    assert torch.equal(model.sample(4, seed=0), before)


def test_resume_is_exact(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, scalars: dict[str, float]) -> None:
        if step == 5:
            raise Killed

    x, given = vectors(60), {"latent": 2, "hidden": 8, "checkpoint_every": 2}
    whole = GAN(**given).fit(x, steps=8, progress=False)
    with pytest.raises(Killed):
        GAN(**given).fit(x, steps=8, progress=False, checkpoint=tmp_path, on_step=kill)
    resumed = GAN(**given).fit(x, steps=8, progress=False, checkpoint=tmp_path, resume=True)
    assert torch.equal(whole.sample(5, seed=0), resumed.sample(5, seed=0)) and whole.calibration == resumed.calibration


def test_mistakes_are_answered() -> None:
    model = GAN(latent=2, hidden=4).fit(vectors(30), steps=1, progress=False)
    for call, message in [
        (lambda: model.log_prob(vectors(3)), r"GAN has no density: use typicality\(x\)"),
        (lambda: model.sample(2, y=1), r"fitted without labels"),
        (lambda: model.typicality(torch.rand(3, 5)), r"fitted on samples of shape \(2,\), got \(5,\)"),
        (lambda: GAN(latent=0).fit(vectors(30)), r"latent must be at least 1, got 0"),
        (lambda: GAN(hiden=3), r"GAN has no option 'hiden'"),
        (lambda: GAN().fit(torch.rand(9, 1, 4, 4) * 2), r"images must lie in \[0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
