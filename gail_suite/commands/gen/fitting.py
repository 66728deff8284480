"""`gail-suite gen fit`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, get_args, get_type_hints

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, set_values
from gail_suite.commands.gen.shared import Device, Root, data_at, prepare
from gail_suite.commands.parameters import Flag

if TYPE_CHECKING:
    from torch import Tensor

    from gail_suite.demos.sealed import Json
    from gail_suite.generative import GenerativeModel

MODELS = (
    "GaussianMixture",
    "BayesianGaussianMixture",
    "PixelRNN",
    "PixelCNN",
    "AutoEncoder",
    "VAE",
    "VQVAE",
    "GAN",
    "DCGAN",
)


def fit(
    model: str,
    data: str = "digits",
    *,
    out: Path = Path("model.safetensors"),
    steps: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    by_class: Flag = False,
    binarize: Flag = False,
    root: Root = None,
    gif: Path | None = None,
    checkpoint: Path | None = None,
    resume: Flag = False,
    start: Path | None = None,
    tensorboard: Path | None = None,
    output: Output = DEFAULT,
) -> None:
    """Fit a model and save it.

    Parameters
    ----------
    model
        GaussianMixture (or gmm), BayesianGaussianMixture, PixelRNN, PixelCNN, AutoEncoder, VAE, VQVAE, GAN or DCGAN.
    data
        digits, mnist5k, mnist, a folder of images or IDX files, a .npz, a .npy or a .txt file.
    out
        File of the fitted model.
    steps
        Optimiser steps (EM iterations for mixtures); the model's own number if left out.
    seed
        Seed of everything random.
    set_
        Option of the model as name=value, for example --set latent=32; can be repeated.
    by_class
        Fit p(x | class) with the data's labels.
    binarize
        Draw black and white images from grey ones, once, with the seed.
    gif
        Also write an animation of samples during training.
    checkpoint
        Folder for checkpoints.
    resume
        Continue from the checkpoint folder; --steps may be more than before.
    start
        A saved model whose weights and settings training starts from (fine-tuning).
    tensorboard
        Folder of TensorBoard's curves and samples of the training.
    """
    from gail_suite import generative as g
    from gail_suite.demos.names import known
    from gail_suite.generative.training.ranks import Ranks

    name = known("model", "GaussianMixture" if model.lower() == "gmm" else model, MODELS, any_case=True)
    _check(name, data, by_class, root, gif, tensorboard, kept=checkpoint is not None or resume)
    fitted = _started(name, start, set_ or [])
    prepare(out)
    if gif is not None:
        prepare(gif, ".gif")
    splits = data_at(data, root)
    if splits.alphabet and start is None and "levels" in fitted.config and fitted.config["levels"] is None:
        fitted.set_params(levels=len(splits.alphabet))  # the training part need not hold every character
    x, val, test = splits.x_train, splits.x_val, splits.x_test
    if binarize:
        x, val, test = (g.data.binarize(part, "fixed", seed + i) for i, part in enumerate((x, val, test)))
    if by_class and splits.y_train is None:
        raise ValueError(f"{data} has no labels: leave out --by-class")
    y, y_val = (splits.y_train, splits.y_val) if by_class else (None, None)
    arguments: Json = {
        "seed": seed,
        "device": device,
        "progress": not (output.quiet or output.json),
        "val": (val, y_val) if by_class else val,
    }
    if start is not None:
        arguments["fine_tune"] = True
    if tensorboard is not None:
        arguments["on_step"] = g.callbacks.tensorboard(tensorboard, fitted)
    if gif is not None:
        shots = g.pictures.film(fitted, x, y, steps=1000 if steps is None else steps, **arguments)
    else:
        fitted.fit(x, y, steps=steps, checkpoint=checkpoint, resume=resume, **arguments)
    if not Ranks.joined(fitted.device).first:
        return  # the first of the processes that torchrun started saves for all
    fitted.save(out)
    if gif is not None:
        g.pictures.animate(shots, gif)
    measured, told = _measured(fitted, test)
    output.result(
        {"model": name, "file": str(out), "samples": len(x), **measured},
        f"{name} fitted to {len(x)} samples of {data}, saved as {out}; {told}",
        [command("gen", "sample", out, "--out", "samples.png" if x.ndim == 4 else "samples.npz")],
    )


def _check(
    name: str, data: str, by_class: bool, root: Path | None, gif: Path | None, tensorboard: Path | None, kept: bool
) -> None:
    """ValueError for options that do not go together."""
    from gail_suite import generative as g

    if by_class and not getattr(g, name).conditional:
        raise ValueError(f"{name} has no classes: leave out --by-class, or fit a VAE, GAN, DCGAN, PixelCNN or PixelRNN")
    if gif is not None and tensorboard is not None:
        raise ValueError("--gif and --tensorboard both follow the training: leave one of them out")
    if gif is not None and kept:
        raise ValueError(
            "--gif trains in parts and keeps no checkpoints: leave out --checkpoint and --resume, or --gif"
        )
    if root is not None and data != "mnist":
        raise ValueError(f"--root is the folder of mnist's files, but the data are {data}: leave it out")


def _measured(fitted: GenerativeModel, test: Tensor) -> tuple[Json, str]:
    """How a model does on test data, as values and in words."""
    from gail_suite import generative as g

    values: Json = {"test_typicality": float(fitted.typicality(test).mean())}
    told = f"mean typicality of test data {values['test_typicality']:.3f}"
    if fitted.density != "none":
        values |= {"test_nats": g.metrics.nats(fitted, test), "density": fitted.density}
        told += f", {values['test_nats']:.2f} nats a sample ({fitted.density})"
    return values, told


def _started(name: str, start: Path | None, pairs: list[str]) -> GenerativeModel:
    """A model of the class ``name``, new or the one in the file ``start``."""
    from gail_suite import generative as g

    if start is None:
        return getattr(g, name)(**options(getattr(g, name), pairs))
    if pairs:
        raise ValueError("--start keeps the settings of the saved model: leave out --set")
    model = g.load(start)
    if type(model).__name__ != name:
        raise ValueError(f"{start} holds a {type(model).__name__}, not a {name}")
    return model


def options(model: type, pairs: list[str]) -> Json:
    """Constructor arguments from name=value texts; values are read as YAML and must have the annotated type."""
    from gail_suite.demos.names import known
    from gail_suite.generative.training.recipe import Recipe

    hints = get_type_hints(model.__init__)  # type: ignore[misc]
    recipe = get_type_hints(Recipe) if hints.pop("training", None) else {}
    kinds = recipe | {name: hint for name, hint in hints.items() if name not in ("more", "return")}
    found = {}
    for given, value in set_values(pairs):
        name = known(f"option of {model.__name__}", given, kinds, any_case=True)
        found[name] = _of_type(value, kinds[name], name)
    return found


def _of_type(value: object, hint: object, name: str) -> object:
    """``value`` if ``hint`` is no plain type or names the value's; numbers become float where that is wanted."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if float in kinds and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):  # YAML reads 1e-3 as a text
            value = float(value)
    plain = [kind for kind in kinds if kind in (int, float, bool, str)]
    if plain and type(value) not in kinds:
        wanted = " or ".join(kind.__name__ for kind in plain)
        raise ValueError(f"--set {name}={value} must be {wanted}, got {type(value).__name__}")
    return value
