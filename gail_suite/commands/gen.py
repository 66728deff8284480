"""`gail-suite gen`: fit a generative model to images or vectors, and use it."""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gail_suite.commands.common import Output, command, note

if TYPE_CHECKING:
    from torch import Tensor

    from generative import GenerativeModel

DEFAULT = Output()
MODELS = ("GaussianMixture", "BayesianGaussianMixture", "PixelRNN", "PixelCNN", "AutoEncoder", "VAE", "GAN", "DCGAN")
MASKS = ("bottom", "top", "left", "right", "centre")
Flag = Annotated[bool, Parameter(negative="")]
Count = Annotated[int, Parameter(name=["--count", "-n"])]


def fit(
    model: str,
    data: str = "digits",
    *,
    out: Path = Path("model.safetensors"),
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    by_class: Flag = False,
    binarize: Flag = False,
    root: Path | None = None,
    gif: Path | None = None,
    checkpoint: Path | None = None,
    resume: Flag = False,
    output: Output = DEFAULT,
) -> None:
    """Fit a model and save it.

    Parameters
    ----------
    model
        GaussianMixture, BayesianGaussianMixture, PixelRNN, PixelCNN, AutoEncoder, VAE, GAN or DCGAN.
    data
        digits, mnist5k, mnist, a folder of images or IDX files, a .npz or a .npy file.
    out
        File of the fitted model.
    steps
        Optimiser steps (EM iterations for mixtures); the model's own number if left out.
    seed
        Seed of everything random.
    device
        auto, cpu or cuda.
    set_
        Option of the model as name=value, for example --set latent=32; can be repeated.
    by_class
        Fit p(x | class) with the data's labels.
    binarize
        Draw black and white images from grey ones, once, with the seed.
    root
        Folder of the IDX files of mnist.
    gif
        Also write an animation of samples during training.
    checkpoint
        Folder for checkpoints.
    resume
        Continue from the checkpoint folder.
    """
    import generative as g

    splits = g.data.load(data, root=root)
    x, val, test = splits.x_train, splits.x_val, splits.x_test
    if binarize:
        x, val, test = (g.data.binarize(part, "fixed", seed + i) for i, part in enumerate((x, val, test)))
    if by_class and splits.y_train is None:
        raise ValueError(f"{data} has no labels: leave out --by-class")
    y, y_val = (splits.y_train, splits.y_val) if by_class else (None, None)
    name = nearest(model, MODELS, "model")
    fitted = getattr(g, name)(**options(getattr(g, name), set_ or []))
    arguments: dict[str, Any] = {
        "seed": seed,
        "device": device,
        "progress": not (output.quiet or output.json),
        "val": (val, y_val) if by_class else val,
    }
    if gif is not None:
        g.pictures.evolution(fitted, x, gif, y, steps=steps or 1000, **arguments)
    else:
        fitted.fit(x, y, steps=steps, checkpoint=checkpoint, resume=resume, **arguments)
    fitted.save(out)
    values: dict[str, Any] = {
        "model": name,
        "file": str(out),
        "samples": len(x),
        "test_score": float(fitted.score(test).mean()),
    }
    text = f"{name} fitted to {len(x)} samples of {data}, saved as {out}; mean score of test data {values['test_score']:.3f}"
    if fitted.density != "none":
        values["test_nats"] = g.metrics.nats(fitted, test)
        values["density"] = fitted.density
        text += f", {values['test_nats']:.2f} nats a sample ({fitted.density})"
    output.result(values, text, [command("gen", "sample", out, "--out", "samples.png")])


def sample(
    file: Path,
    *,
    n: Count = 64,
    seed: int | None = None,
    out: Path = Path("samples.png"),
    label: int | None = None,
    output: Output = DEFAULT,
) -> None:
    """Draw samples from a fitted model.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    n
        Number of samples.
    seed
        The same seed, the same samples.
    out
        .png for a picture, .npz or .npy for numbers.
    label
        Class to draw, for models fitted with --by-class.
    """
    import generative as g

    drawn = g.load(file).sample(n, seed=seed, y=label)
    _write(out, drawn)
    output.result({"file": str(out), "n": n}, f"{n} samples in {out}", [command("gen", "info", file)])


def inpaint(
    file: Path,
    data: str = "digits",
    *,
    mask: str = "bottom",
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("inpaint.png"),
    root: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Hide a part of test images and let a model fill it in.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    data
        As for `gen fit`.
    mask
        The hidden part: bottom, top, left, right or centre.
    n
        Number of images.
    seed
        Seed of models that draw what is missing.
    out
        .png (rows: original, hidden, filled in), .npz or .npy.
    root
        Folder of the IDX files of mnist.
    """
    import generative as g

    model, x = _model_and_test(file, data, n, root)
    known = known_part(nearest(mask, MASKS, "mask"), *x.shape[2:])
    filled = g.inpaint(model, x, known, seed=seed)
    _write(out, filled, x, x * known)
    _restored(output, x, filled, out, f"{mask} of {len(x)} images filled in")


def denoise(
    file: Path,
    data: str = "digits",
    *,
    sigma: float = 0.3,
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("denoise.png"),
    root: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Add noise to test samples and let a model remove it.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    data
        As for `gen fit`.
    sigma
        Standard deviation of the noise.
    n
        Number of samples.
    seed
        Seed of the noise.
    out
        .png (rows: original, noisy, denoised), .npz or .npy.
    root
        Folder of the IDX files of mnist.
    """
    import torch

    import generative as g

    model, x = _model_and_test(file, data, n, root)
    noisy = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    clean = g.denoise(model, noisy, sigma)
    _write(out, clean, x, noisy)
    _restored(output, x, clean, out, f"{len(x)} samples denoised")


def upscale(
    file: Path,
    data: str = "digits",
    *,
    factor: int = 2,
    n: Count = 10,
    out: Path = Path("upscale.png"),
    root: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Average blocks of test images and let a model restore the size.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    data
        As for `gen fit`.
    factor
        Side of the blocks in pixels.
    n
        Number of images.
    out
        .png (rows: original, averaged, restored), .npz or .npy.
    root
        Folder of the IDX files of mnist.
    """
    import torch.nn.functional as F

    import generative as g

    model, x = _model_and_test(file, data, n, root)
    small = F.avg_pool2d(x, factor)
    large = g.upscale(model, small, factor)
    _write(out, large, x, F.interpolate(small, scale_factor=factor, mode="nearest"))
    _restored(output, x, large, out, f"{len(x)} images upscaled by {factor}")


def interpolate(
    file: Path,
    data: str = "digits",
    *,
    n: Count = 8,
    pairs: int = 4,
    out: Path = Path("interpolate.png"),
    root: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Walk through a model's codes from one test sample to another.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    data
        As for `gen fit`.
    n
        Samples on the way, ends included.
    pairs
        Number of walks.
    out
        .png (one walk a row), .npz or .npy.
    root
        Folder of the IDX files of mnist.
    """
    import generative as g

    model, x = _model_and_test(file, data, 2 * pairs, root)
    walks = g.interpolate(model, x[:pairs], x[pairs : 2 * pairs], n)
    if out.suffix == ".png":
        g.pictures.grid(walks.flatten(0, 1), out, columns=n)
    else:
        _write(out, walks)
    output.result({"file": str(out), "pairs": pairs, "n": n}, f"{pairs} walks of {n} samples in {out}", [])


def score(
    file: Path,
    data: str = "digits",
    *,
    worst: int = 10,
    out: Path | None = None,
    root: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Rank test samples by how typical they are for a model.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    data
        As for `gen fit`.
    worst
        Number of least typical samples to list.
    out
        Where to write the scores (.npz, .npy) or the least and the most typical images (.png).
    root
        Folder of the IDX files of mnist.
    """
    import torch

    import generative as g

    model, x = _model_and_test(file, data, None, root)
    scores, order = model.score(x), g.rank_anomalies(model, x).cpu()
    values = {"score_mean": float(scores.mean()), "n": len(x), "least_typical": order[:worst].tolist()}
    if model.density != "none":
        values["nats"] = g.metrics.nats(model, x)
    if out is not None and out.suffix == ".png":
        g.pictures.rows(x[order[:worst]], x[order.flip(0)[:worst]], path=out)
    elif out is not None:
        _write(out, scores.to(torch.float32))
    text = f"{len(x)} samples, mean score {values['score_mean']:.3f}, least typical: {values['least_typical']}"
    output.result(values, text, [command("gen", "sample", file)])


def info(file: Path, *, output: Output = DEFAULT) -> None:
    """Show what a model file holds.

    Parameters
    ----------
    file
        The model that `gen fit` saved.
    """
    import generative as g

    model = g.load(file)
    size = sum(t.numel() for t in model._tensors().values())
    median, upper = model.calibration or (None, None)
    values = {
        "model": type(model).__name__,
        "density": model.density,
        "config": model.config,
        "data": model.spec,
        "numbers": size,
        "median_error": median,
        "error_95": upper,
    }
    lines = [f"{name}: {value}" for name, value in values.items()]
    output.result(values, "\n".join(lines), [command("gen", "sample", file)])


def nearest(name: str, known: tuple[str, ...], what: str) -> str:
    """``name`` among ``known``, whatever its case; ValueError with the nearest one otherwise."""
    by_lower = {k.lower(): k for k in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[close[0]]}?" if close else f"known are {', '.join(known)}"
    raise ValueError(f"unknown {what} {name!r}: {hint}")


def options(model: type, pairs: list[str]) -> dict[str, Any]:
    """Constructor arguments from name=value texts; values are read as YAML scalars."""
    import yaml

    known = tuple(p for p in inspect.signature(model.__init__).parameters if p not in ("self", "more"))  # type: ignore[misc]
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes name=value, got {pair!r}")
        found[nearest(name, known, f"option of {model.__name__}")] = yaml.safe_load(value)
    return found


def known_part(mask: str, height: int, width: int) -> Tensor:
    """True where an image stays visible, (H, W)."""
    import torch

    known = torch.ones(height, width, dtype=torch.bool)
    hidden = {
        "bottom": (slice(height // 2, None), slice(None)),
        "top": (slice(0, height // 2), slice(None)),
        "left": (slice(None), slice(0, width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "centre": (slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)),
    }
    known[hidden[mask]] = False
    return known


def _model_and_test(file: Path, data: str, n: int | None, root: Path | None) -> tuple[GenerativeModel, Tensor]:
    """The model, and the first ``n`` test samples, binarised where the model wants that."""
    import generative as g

    model, x = g.load(file), g.data.load(data, root=root).x_test[:n]
    if list(x.shape[1:]) != model.spec["event_shape"]:
        raise ValueError(
            f"{file} was fitted on samples of shape {tuple(model.spec['event_shape'])}, {data} has {tuple(x.shape[1:])}"
        )
    if model.spec["value"] == "binary" and not bool(((x == 0) | (x == 1)).all()):
        note(f"{data} is grey and {file} binary: black and white images are drawn from it with a fixed seed")
        x = g.data.binarize(x, "fixed", 2)
    return model, x


def _restored(output: Output, x: Tensor, found: Tensor, out: Path, text: str) -> None:
    """Report the root mean squared difference of ``found`` from the originals."""
    rmse = float((found.to(x) - x).square().mean().sqrt())
    output.result({"file": str(out), "n": len(x), "rmse": rmse}, f"{text}, RMSE {rmse:.3f}, in {out}", [])


def _write(out: Path, result: Tensor, *above: Tensor) -> None:
    """``result`` as numbers, or as a picture below the rows ``above``."""
    import numpy as np

    import generative as g

    out.parent.mkdir(parents=True, exist_ok=True)
    array = result.detach().cpu().float().numpy()
    if out.suffix == ".npz":
        np.savez_compressed(out, x=array)
    elif out.suffix == ".npy":
        np.save(out, array)
    elif out.suffix != ".png":
        raise ValueError(f"--out {out} must end in .png, .npz or .npy")
    elif result.ndim != 4:
        raise ValueError(f"{out} would be a picture, but these samples are vectors: give --out FILE.npz")
    elif above:
        g.pictures.rows(*above, result, path=out)
    else:
        g.pictures.grid(result, out)
