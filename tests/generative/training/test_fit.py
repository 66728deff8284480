import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import generative as g
from generative.core.backend import normal_like, own_draws, uniform_like
from generative.training.checkpoints import TrainingState
from generative.training.fit import fit_adversarial, fit_likelihood, held_out_loss
from generative.training.meter import Meter
from generative.training.options import FitOptions
from generative.training.recipe import Recipe, learning_rate
from generative.training.steps import Batches, TrainingDiverged, average_into, seed_step

CPU = torch.device("cpu")
X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
RECIPE = Recipe(steps=20, batch_size=8, lr=1e-2, warmup=2, ema=0.9, eval_every=3, patience=0, checkpoint_every=5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Identity(), nn.Tanh(), nn.Linear(8, 3))


def options(**changes) -> FitOptions:
    given = FitOptions(
        None, seed=3, device=torch.device("cpu"), progress=False, on_step=None, checkpoint=None, resume=False
    )
    return replace(given, **changes)


def denoising(net: nn.Module):
    """A loss with noise of its own."""
    return lambda x, y: (net(x + 0.1 * normal_like(x)) - x).square().sum(1)


class Stop(Exception):
    pass


def stop_at(step: int):
    def on_step(now: int, scalars: dict[str, float]) -> None:
        if now == step:
            raise Stop

    return on_step


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_likelihood_resume_equals_the_uninterrupted_run_bit_for_bit(optimiser: str, tmp_path: Path) -> None:
    whole, recipe = network(), replace(RECIPE, optimiser=optimiser)
    best = fit_likelihood(whole, denoising(whole), (X, None), (X[:8], None), options(), recipe)
    net = network()
    with pytest.raises(Stop):
        fit_likelihood(
            net, denoising(net), (X, None), (X[:8], None), options(checkpoint=tmp_path, on_step=stop_at(12)), recipe
        )
    net = network()
    resumed = fit_likelihood(
        net, denoising(net), (X, None), (X[:8], None), options(checkpoint=tmp_path, resume=True), recipe
    )
    assert resumed == best
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), net.state_dict().values(), strict=True))


def adversaries() -> tuple[nn.Module, nn.Module, nn.Module]:
    torch.manual_seed(1)
    return nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)), nn.Linear(2, 3)


def play(nets, given: FitOptions) -> dict[str, torch.Tensor]:
    generator, critic, average = nets
    softplus = nn.functional.softplus
    fit_adversarial(
        generator,
        critic,
        average,
        lambda x, y: softplus(-critic(x)) + softplus(critic(generator(normal_like(x[:, :2])).detach())),
        lambda x, y: softplus(-critic(generator(normal_like(x[:, :2])))),
        (X, None),
        given,
        RECIPE,
    )
    return {f"{k}{name}": t for k, net in enumerate(nets) for name, t in net.state_dict().items()}


def test_adversarial_resume_equals_the_uninterrupted_run_bit_for_bit(tmp_path: Path) -> None:
    whole = play(adversaries(), options())
    with pytest.raises(Stop):
        play(adversaries(), options(checkpoint=tmp_path, on_step=stop_at(12)))
    resumed = play(adversaries(), options(checkpoint=tmp_path, resume=True))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_checkpoints_keep_two_and_fall_back_from_a_damaged_one(tmp_path: Path) -> None:
    net = network()
    fit_likelihood(net, denoising(net), (X, None), (X[:8], None), options(checkpoint=tmp_path), RECIPE)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [f.name for f in files] == ["step_000000015.safetensors", "step_000000020.safetensors"]
    files[1].write_bytes(b"damaged")
    optimiser = torch.optim.AdamW(net.parameters())
    state = TrainingState({"net": net, "average": network()}, {"net": optimiser})
    state.restore(tmp_path)
    assert state.counters["step"] == 15
    files[0].unlink()
    with pytest.raises(ValueError, match=r"no readable checkpoint in .*readable safetensors.*start without resume"):
        state.restore(tmp_path)


def test_a_folder_with_checkpoints_is_continued_by_the_same_run_alone(tmp_path: Path) -> None:
    def fit(model: g.GenerativeModel, x: torch.Tensor = X, **more) -> g.GenerativeModel:
        return model.fit(x, progress=False, checkpoint=tmp_path, **{"steps": 4, **more})

    fit(g.AutoEncoder(latent=2, hidden=4, mixture=0))
    with pytest.raises(
        ValueError, match=r"holds 1 checkpoints, the newest step_000000004\.safetensors: continue with resume"
    ):
        fit(g.AutoEncoder(latent=2, hidden=4, mixture=0))
    same = fit(g.AutoEncoder(latent=2, hidden=4, mixture=0), resume=True)
    assert same.calibration is not None
    for model, more, message in [
        (g.AutoEncoder(latent=2, hidden=4, mixture=0, lr=1e-3), {}, "lr 0.002 there and 0.001 here"),
        (g.AutoEncoder(latent=2, hidden=5, mixture=0), {}, "hidden 4 there and 5 here"),
        (g.AutoEncoder(latent=2, hidden=4, mixture=0), {"seed": 1}, "seed 0 there and 1 here"),
        (g.AutoEncoder(latent=2, hidden=4, mixture=0), {"steps": 3}, "has made 4 steps, more than steps=3"),
        (g.AutoEncoder(latent=2, hidden=4, mixture=0), {"x": X + 1}, "data's checksum"),
        (g.VAE(latent=2, hidden=4), {}, "model AutoEncoder there and VAE here"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit(model, resume=True, **more)


@pytest.mark.parametrize("model", [g.VAE(latent=2, hidden=4, prior_components=2), g.GAN(latent=2, hidden=4)])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TrainingDiverged])
def test_an_interrupted_fit_is_usable(model: g.GenerativeModel, error: type[BaseException], tmp_path: Path) -> None:
    def interrupt(step: int, scalars: dict[str, float]) -> None:
        if step == 3:
            raise error

    with pytest.raises(error):
        model.fit(X, steps=9, progress=False, on_step=interrupt)
    copy = g.load(model.save(tmp_path / "m.safetensors"))
    assert torch.equal(copy.sample(3, seed=0), model.sample(3, seed=0)) and torch.equal(
        copy.typicality(X), model.typicality(X)
    )


def test_a_failed_fit_leaves_no_half_fitted_model() -> None:
    model = g.GaussianMixture(3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, on_step=lambda step, scalars: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(ValueError, match="not fitted yet"):
        model.log_prob(X)
    vae = g.VAE(latent=1, arch="conv")
    with pytest.raises(ValueError, match="arch='conv' needs images"):
        vae.fit(X)
    with pytest.raises(ValueError, match="not fitted yet"):
        vae.log_prob(X)


def test_resume_without_a_folder_is_refused() -> None:
    net = network()
    with pytest.raises(ValueError, match=r"resume needs the checkpoint folder"):
        fit_likelihood(net, denoising(net), (X, None), (X, None), options(resume=True), RECIPE)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("loss", r"step 4: the loss is not finite; the last good weights are kept"),
        ("input", r"step 4: the input is not finite"),
        ("gradient", r"step 4: the gradient of parameter 3\.weight is not finite"),
    ],
)
def test_a_number_that_is_not_finite_stops_training_and_names_its_place(place: str, message: str) -> None:
    net, data, calls = network(), X.clone(), [0]

    def loss(x, y):
        if not net.training:
            return denoising(net)(x, y)
        calls[0] += 1
        out = (net(x) - x).square().sum(1)
        if calls[0] == 5 and place == "loss":
            return out / 0.0
        if calls[0] == 5 and place == "input":
            x[0, 0] = math.nan
            return out * math.nan
        if calls[0] == 5:
            net[3].weight.register_hook(lambda g: g * math.inf)
        return out

    with pytest.raises(TrainingDiverged, match=message):
        fit_likelihood(net, loss, (data, None), (X[:8], None), options(), RECIPE)
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert math.isfinite(held_out_loss(net, denoising(net), (X[:8], None), 0))


def test_early_stop_keeps_the_best_weights() -> None:
    net, seen = nn.Linear(1, 1, bias=False), []

    def loss(x, y):  # training pulls the weight to 5, held-out data wants 1
        return (net.weight.sum() - (5.0 if net.training else 1.0)).square().expand(len(x))

    nn.init.zeros_(net.weight)
    recipe = Recipe(
        steps=2000, batch_size=4, lr=0.05, warmup=1, final_lr=1.0, eval_every=1, patience=5, precision="float32"
    )
    best = fit_likelihood(
        net, loss, (X[:, :1], None), (X[:4, :1], None), options(on_step=lambda step, scalars: seen.append(step)), recipe
    )
    assert best < 0.01 and abs(net.weight.item() - 1.0) < 0.1  # within one learning-rate step of the optimum
    assert 20 <= seen[-1] <= 30  # about 1 / 0.05 = 20 Adam steps to get there, then five without improvement


def test_learning_rate_by_hand() -> None:
    recipe = Recipe(lr=1.0, warmup=10, final_lr=0.1)
    assert learning_rate(recipe, 0, 100) == pytest.approx(0.1)  # 1/10 of the warm-up
    assert learning_rate(recipe, 50, 100) == pytest.approx(0.55)  # cos(pi/2) = 0: 0.1 + 0.9 / 2
    assert learning_rate(recipe, 100, 100) == pytest.approx(0.1)


def test_every_epoch_is_another_permutation_and_depends_on_the_step_alone() -> None:
    batches = Batches(12, 4, 5, CPU)
    first, second = (torch.cat([batches(3 * epoch + k) for k in range(3)]) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12)) and first.tolist() != second.tolist()
    assert torch.equal(Batches(12, 4, 5, CPU)(4), batches(4))
    assert len(Batches(3, 64, 0, CPU)(7)) == 3


def test_noise_of_a_step_does_not_depend_on_the_steps_before() -> None:
    like = torch.zeros(3)
    with own_draws(0, CPU):
        seed_step(1, 7)
        first = uniform_like(like)
        seed_step(1, 6)
        assert not torch.equal(uniform_like(like), first)
        seed_step(1, 7)
        assert torch.equal(uniform_like(like), first)


def test_average_follows_with_the_stated_decay() -> None:
    net, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight), nn.init.zeros_(average.weight)
    average_into(average, net, 0.9, step=0)  # d = min(0.9, 1/10) = 0.1
    assert average.weight.item() == pytest.approx(0.9)
    average_into(average, net, 0.9, step=1000)  # d = 0.9: 0.9 * 0.9 + 0.1
    assert average.weight.item() == pytest.approx(0.91)


def test_plain_progress_lines_and_silence(capsys: pytest.CaptureFixture[str]) -> None:
    for enabled in (True, False):
        with Meter(2, 0, enabled, every_s=100.0) as meter:
            meter.update(1, {"loss": 1.0})
            meter.update(2, {"loss": 0.5})
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == enabled
        assert not enabled or (lines[0].startswith("step 2/2 loss 0.5 ") and "steps/s ETA 0 s" in lines[0])


def test_a_notebook_has_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr("sys.stderr", stream)
    with Meter(2, 0, True, every_s=0.0) as meter:
        meter.update(1, {"loss": 1.25})
        meter.update(2, {"loss": 0.5})
    said = stream.getvalue()
    assert said.count("\r") == 2 and said.count("\n") == 1 and said.endswith("\n")
    assert "step 2/2 loss 0.5" in said.split("\r")[-1]
