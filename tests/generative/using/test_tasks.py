"""Applications on models small enough to be exact or nearly so, pictures, and the command line around them."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import generative as g
from gail_suite.commands import gen
from gail_suite.commands.cli import main
from gail_suite.commands.common import Output
from gail_suite.commands.gen.repairing import Restoring
from generative.core.backend import seed_generator
from generative.using import inversion, pictures, tasks


def bars(n: int = 200, size: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one vertical (class 0) or horizontal (class 1) bar on an even place, of random grey."""
    rng = seed_generator(seed)
    y = torch.randint(2, (n,), generator=rng)
    place, grey = 2 * torch.randint(size // 2, (n,), generator=rng), 0.5 + 0.5 * torch.rand(n, generator=rng)
    x = torch.zeros(n, 1, size, size)
    for i in range(n):
        (x[i, 0, :, place[i]] if y[i] == 0 else x[i, 0, place[i]]).fill_(float(grey[i]))
    return x, y


@pytest.fixture(scope="module")
def models() -> dict[str, g.GenerativeModel]:
    x, _ = bars()
    return {
        "mixture": g.GaussianMixture(12, covariance_type="mfa", n_factors=2, reg_covar=1e-3).fit(x),
        "autoencoder": g.AutoEncoder(latent=4, hidden=64, lr=1e-2).fit(x, steps=150, progress=False),
        "vae": g.VAE(latent=4, hidden=64, lr=1e-2).fit(x, steps=150, progress=False),
        "gan": g.GAN(latent=4, hidden=16).fit(x, steps=20, progress=False),
        "pixelcnn": g.PixelCNN(features=8, layers=1, levels=4).fit((x * 3).round() / 3, steps=3, progress=False),
    }


NAMES = ("mixture", "autoencoder", "vae", "gan", "pixelcnn")
CODED = ("autoencoder", "vae", "gan")


@pytest.mark.parametrize("name", NAMES)
def test_inpaint_keeps_what_is_known(models, name):
    x, mask = bars(5, seed=1)[0], torch.ones(6, 6, dtype=torch.bool)
    mask[3:] = False
    hidden = torch.where(mask, x, torch.nan)
    filled = g.inpaint(models[name], hidden, mask)
    assert filled.shape == x.shape and float(filled.min()) >= 0 and float(filled.max()) <= 1
    known = mask.expand_as(x)
    torch.testing.assert_close(filled[known].float(), x[known], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["mixture", "autoencoder", "vae"])
def test_restoring_beats_not_restoring(models, name):
    x, _ = bars(40, seed=2)
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[3:] = False
    vertical = x[x[:, 0, 0].amax(-1) == x[:, 0, 5].amax(-1)]
    vertical = vertical[vertical[:, 0, 0].amax(-1) > 0]
    error = (g.inpaint(models[name], vertical * mask, mask) - vertical).square().mean()
    assert float(error) < 0.5 * float((vertical * mask - vertical).square().mean())
    noisy = x + 0.2 * torch.randn(x.shape, generator=seed_generator(0))
    assert float((g.denoise(models[name], noisy, 0.2) - x).square().mean()) < 0.8 * 0.04
    small = F.avg_pool2d(x, 2)
    large = g.upscale(models[name], small, 2)
    assert float((large - x).square().mean()) < float((F.interpolate(small, scale_factor=2) - x).square().mean())
    torch.testing.assert_close(F.avg_pool2d(large, 2).float(), small, atol=0.15, rtol=0)


@pytest.mark.parametrize("name", CODED)
def test_interpolation_starts_and_ends_at_reconstructions(models, name):
    model, x = models[name], bars(4, seed=3)[0]
    walk = g.interpolate(model, x[:2], x[2:], 5)
    assert walk.shape == (2, 5, 1, 6, 6)
    if name != "gan":
        torch.testing.assert_close(walk[:, 0], model.reconstruct(x[:2]).clamp(0, 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(walk[:, -1], model.reconstruct(x[2:]).clamp(0, 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(g.interpolate(model, x[0], x[2], 5), walk[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mixture", "autoencoder", "vae"])
def test_anomalies_rank_first(models, name):
    x = torch.cat([bars(20, seed=4)[0], torch.rand(5, 1, 6, 6, generator=seed_generator(0))])
    assert set(g.rank_anomalies(models[name], x)[:5].tolist()) == {20, 21, 22, 23, 24}


def test_completion_follows_the_class():
    x, y = bars(300)
    model = g.VAE(latent=3, hidden=64, lr=1e-2).fit(x, y, steps=150, progress=False)
    nothing = torch.zeros(6, 6, dtype=torch.bool)
    down, across = (tasks.complete(model, torch.zeros(1, 1, 6, 6), nothing, label) for label in (0, 1))
    assert float(down.var(2).mean()) < 0.5 * float(down.var(3).mean())
    assert float(across.var(3).mean()) < 0.5 * float(across.var(2).mean())


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_conditional_models_choose_the_class_where_none_is_given(kind, tmp_path, monkeypatch):
    """Dark images are class 0, light ones class 1."""
    monkeypatch.setattr(inversion, "STEPS", 30)
    y = torch.arange(120) % 2
    x = (0.1 + 0.8 * y.view(-1, 1, 1, 1) + 0.02 * torch.rand(120, 1, 4, 4, generator=seed_generator(0))).clamp(0, 1)
    model = g.VAE(latent=2, hidden=32, lr=1e-2) if kind == "vae" else g.GAN(latent=2, hidden=32, lr=2e-3, ema=0.98)
    model.fit(x, y, steps=150, progress=False)
    with pytest.raises(ValueError, match=r"decode\(z, y\) needs the class of every code"):
        model.decode(torch.zeros(2, 2))
    assert torch.equal(model.decode(torch.zeros(2, 2), np.array([0, 1])), model.decode(torch.zeros(2, 2), y[:2]))
    restored = [
        g.inpaint(model, x[:2], torch.arange(16).view(4, 4) < 12),
        g.denoise(model, x[:2], 0.05),
        g.upscale(model, F.avg_pool2d(x[:2], 2), 2),
    ]
    walk = g.interpolate(model, x[:1], x[1:2], 4)[0]
    for found in (*restored, walk[[0, -1]]):
        assert float(found[0].mean()) < 0.35 and float(found[1].mean()) > 0.65
    if kind == "vae":
        assert model.best_class(x[:6]).tolist() == y[:6].tolist()
        assert torch.equal(model.reconstruct(x[:6]), model.reconstruct(x[:6], y[:6]))
        pictures.latent_map(model, x, tmp_path / "map.png")


def test_denoising_counts_an_offset_as_error():
    """An autoencoder that says 0 for what is 3 with noise of 1: variance 9, so x is kept to 9/10; one column is
    enough.
    """
    model = g.AutoEncoder(latent=1, hidden=4).fit(
        torch.randn(50, 1, generator=seed_generator(0)), steps=1, progress=False
    )
    model.decode = lambda z: torch.zeros(len(z), 1)
    x = torch.tensor([[10.0**0.5], [0.5]])
    torch.testing.assert_close(g.denoise(model, x, 1.0), torch.tensor([[0.9 * 10.0**0.5], [0.0]]))


def test_mistakes_are_answered(models):
    x, _ = bars(2)
    with pytest.raises(ValueError, match="GaussianMixture cannot interpolate: it has no codes"):
        g.interpolate(models["mixture"], x[:1], x[1:], 3)
    with pytest.raises(ValueError, match="n=1 must be at least 2"):
        g.interpolate(models["vae"], x[:1], x[1:], 1)
    with pytest.raises(ValueError, match="sigma=-1 must be a number >= 0"):
        g.denoise(models["vae"], x, -1)
    with pytest.raises(ValueError, match=r"upscale by 4 to 1x6x6 takes images of 1x1.5x1.5, got \(1, 6, 6\)"):
        g.upscale(models["vae"], x, 4)
    with pytest.raises(ValueError, match="factor=0 must be at least 1"):
        g.upscale(models["vae"], x, 0)
    for name in ("vae", "mixture"):
        with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
            g.upscale(models[name], torch.full((2, 1, 3, 3), 255.0), 2)
        with pytest.raises(ValueError, match="NaN or infinite"):
            g.upscale(models[name], torch.full((2, 1, 3, 3), np.nan), 2)
    with pytest.raises(ValueError, match="was fitted without labels"):
        g.complete(models["vae"], x, torch.ones(6, 6), 1)
    with pytest.raises(ValueError, match="needs a model fitted on images"):
        g.upscale(g.GaussianMixture(1).fit(np.eye(4)), torch.zeros(1, 1, 2, 2), 2)


def test_grid_places_pixels():
    x = torch.zeros(3, 1, 2, 2)
    x[2, 0, 1, 0] = 1
    array = pictures.grid(x, columns=2, scale=1, gap=1)
    assert array.shape == (5, 5, 1) and array[4, 0, 0] == 0 and array[0, 0, 0] == 255
    assert pictures.grid(torch.zeros(4, 3, 2, 2), columns=4, scale=3, gap=0).shape == (6, 24, 3)
    with pytest.raises(ValueError, match="grid takes images"):
        pictures.grid(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="1 or 3 channels, these images have 5"):
        pictures.grid(torch.zeros(3, 5, 2, 2), "five.png")


def test_pictures_are_written(models, tmp_path):
    x, y = bars(30)
    pictures.reconstructions(models["vae"], x[:4], tmp_path / "r.png")
    pictures.latent_map(models["vae"], x, tmp_path / "map.png", y)
    with Image.open(tmp_path / "r.png") as image:
        assert image.size == (4 * 7 * 8 - 8, 2 * 7 * 8 - 8)
    assert (tmp_path / "map.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="has no codes"):
        pictures.latent_map(models["mixture"], x, tmp_path / "no.png")


@pytest.mark.parametrize(
    "model",
    [
        g.VAE(latent=2, hidden=8),
        g.GAN(hidden=8),
        g.GaussianMixture(3, covariance_type="diag", tol=0, init_params="random"),
    ],
)
def test_evolution_is_a_gif_and_leaves_the_fit_as_it_is(model, tmp_path):
    x, _ = bars(60)
    pictures.evolution(model, x, tmp_path / "e.gif", n=4, frames=5, steps=8, progress=False)
    with Image.open(tmp_path / "e.gif") as image:
        assert image.n_frames >= 2
    again = type(model)(**model.config).fit(x, steps=8, progress=False)
    assert torch.equal(again.error(x), model.error(x))


def test_the_samples_that_are_proposed_can_be_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(50, 3)))
    gen.fit("gmm", "rows.npy", steps=2, set_=["n_components=2"], out=tmp_path / "m.st")
    (proposed,) = re.findall(r"next: gail-suite (.*)", capsys.readouterr().out)
    assert main(shlex.split(proposed)) == 0 and np.load("samples.npz")["x"].shape == (64, 3)


def test_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("bars.npz", x=bars(100)[0].numpy(), y=bars(100)[1].numpy())
    gen.fit("vae", "bars.npz", steps=5, set_=["latent=3", "hidden=8"], out=tmp_path / "m.st", output=Output(json=True))
    assert '"density": "bound"' in capsys.readouterr().out
    gen.sample(tmp_path / "m.st", n=4, seed=1, out=tmp_path / "s.npz")
    assert np.load("s.npz")["x"].shape == (4, 1, 6, 6)
    gen.inpaint(Restoring(tmp_path / "m.st", "bars.npz"), mask="left", n=3)
    gen.denoise(Restoring(tmp_path / "m.st", "bars.npz"), n=3)
    gen.upscale(Restoring(tmp_path / "m.st", "bars.npz"), n=3)
    gen.interpolate(tmp_path / "m.st", "bars.npz", n=3, pairs=2)
    with pytest.raises(ValueError, match="1000 walks need 2000 test samples and bars"):
        gen.interpolate(tmp_path / "m.st", "bars.npz", pairs=1000)
    gen.score(tmp_path / "m.st", "bars.npz", worst=3, out=tmp_path / "score.png")
    gen.info(tmp_path / "m.st")
    out = capsys.readouterr().out
    assert "RMSE" in out and "density: bound" in out and "next: gail-suite gen sample" in out
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "inpaint.png",
        "denoise.png",
        "upscale.png",
        "interpolate.png",
        "score.png",
    }
    with pytest.raises(ValueError, match="unknown model 'vea': did you mean 'VAE'"):
        gen.fit("vea", "bars.npz")
    with pytest.raises(ValueError, match="unknown option of VAE 'laten': did you mean 'latent'"):
        gen.fit("vae", "bars.npz", set_=["laten=3"])
    with pytest.raises(ValueError, match=r"was fitted on samples of shape \(1, 6, 6\), digits has \(1, 8, 8\)"):
        gen.score(tmp_path / "m.st", "digits")


def test_commands_take_ready_made_models_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gen.sample(Path("vae-digits"), n=4, seed=1, out=tmp_path / "s.npz")
    assert np.array_equal(np.load("s.npz")["x"], g.pretrained("vae-digits").sample(4, seed=1).numpy())
    gen.inpaint(Restoring(Path("mixture-digits")), n=3)
    assert (tmp_path / "inpaint.png").exists()
    with pytest.raises(
        ValueError, match="unknown file or ready-made model 'mixtur-digits': did you mean 'mixture-digits'"
    ):
        gen.info(Path("mixtur-digits"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of a small VAE of bars, one of vectors, and their data."""
    path = tmp_path_factory.mktemp("files")
    x, y = bars(60)
    np.savez(path / "bars.npz", x=x.numpy(), y=y.numpy())
    np.savez(path / "rows.npz", x=x.flatten(1)[:, :3].numpy())
    np.savez(path / "none.npz", x=np.zeros((0, 1, 6, 6)))
    for name, data in (("images", x), ("vectors", x.flatten(1)[:, :3])):
        g.VAE(latent=1, hidden=4).fit(data, steps=1, progress=False).save(path / f"{name}.st")
    return path


@pytest.mark.parametrize(
    "words, message",
    [
        ("fit VAE bars.npz --set latent=abc", "--set latent=abc must be int, got str"),
        ("fit VAE bars.npz --set latent=2.5", "--set latent=2.5 must be int, got float"),
        ("fit VAE bars.npz --set latent=true", "--set latent=True must be int, got bool"),
        ("fit VAE bars.npz --set lr=quick", "--set lr=quick must be float, got str"),
        ("fit PixelCNN bars.npz --set levels=abc", "--set levels=abc must be int, got str"),
        ("fit GaussianMixture bars.npz --set n_components=abc", "--set n_components=abc must be int, got str"),
        ("fit GaussianMixture bars.npz --set lr=0.1", "unknown option of GaussianMixture 'lr'"),
        ("fit GAN bars.npz --set training=1", "unknown option of GAN 'training'"),
        ("fit GaussianMixture bars.npz --by-class", "GaussianMixture has no classes: leave out --by-class"),
        ("fit VAE bars.npz --steps 0", "steps=0 must be at least 1"),
        ("fit VAE bars.npz --out .", ". is a folder: name a file in it"),
        ("fit VAE bars.npz --out bars.npz/x", "bars.npz/x cannot be written (Not a directory): choose another place"),
        ("fit VAE bars.npz --gif a.png", "a.png must end in .gif"),
        ("fit VAE rows.npz --gif new/x.gif", "only images (N, C, H, W) can be filmed in training, got shape (48, 3)"),
        ("fit VAE none.npz", "N >= 1 and no empty side, got shape (0, 1, 6, 6)"),
        ("sample images.st -n 0", "n=0 must be at least 1"),
        ("sample vae-digit", "unknown file or ready-made model 'vae-digit': did you mean 'vae-digits'?"),
        ("sample images.st -n 100000000000000", "a draw of 100,000,000,000,000 samples needs"),
        ("sample images.st -n -3", "n=-3 must be at least 1"),
        ("sample images.st --out s.jpg", "s.jpg must end in .png, .npz or .npy"),
        ("sample images.st --label 1", "this VAE was fitted without labels"),
        ("inpaint images.st bars.npz -n 0", "-n 0 must be at least 1"),
        (
            "inpaint vectors.st rows.npz",
            "vectors.st was fitted on samples of shape (3,): only images have parts to restore",
        ),
        ("upscale vectors.st rows.npz", "only images have parts to restore"),
        ("upscale images.st bars.npz --factor 0", "--factor 0 must divide the images' 6x6 pixels"),
        ("upscale images.st bars.npz --factor 16", "--factor 16 must divide the images' 6x6 pixels"),
        ("interpolate images.st bars.npz --pairs 0", "--pairs 0 must be at least 1"),
        ("score images.st bars.npz --worst 0", "--worst 0 must be at least 1"),
    ],
)
def test_mistakes_at_the_command_line_are_answered_in_one_line(words, message, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["gen", *words.split()]) == 1
    out, error = capsys.readouterr()
    assert not out and len(error.splitlines()) == 1 and message in error


def test_every_trained_model_takes_the_recipe_and_files_go_to_new_folders(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    for model, size in (
        ("PixelCNN", "layers=1"),
        ("PixelRNN", "layers=1"),
        ("GAN", "hidden=4"),
        ("AutoEncoder", "hidden=4"),
    ):
        words = f"fit {model} bars.npz --steps 1 -q --set {size} --set lr=1e-2 --set ema=0 --out new/m.st"
        assert main(["gen", *words.split()]) == 0
        assert g.load(folder / "new/m.st").config["lr"] == 0.01
    for verb in (
        "fit VAE bars.npz --by-class --steps 3 --set hidden=4 --gif film/v.gif",
        "sample new/v.st -n 2 --label 1",
        "score new/v.st bars.npz",
        "denoise new/v.st bars.npz -n 2",
        "inpaint new/v.st bars.npz -n 2",
        "interpolate new/v.st bars.npz --pairs 1",
    ):
        target = "new/v.st" if verb.startswith("fit") else f"deep/{verb.split()[0]}.png"
        assert main(["gen", *verb.split(), "--device", "cpu", "-q", "--out", target]) == 0, capsys.readouterr().err
        assert (folder / target).is_file()
    assert (folder / "film/v.gif").is_file()
