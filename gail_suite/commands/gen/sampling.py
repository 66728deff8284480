"""`gail-suite gen sample | interpolate`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command
from gail_suite.commands.gen.shared import (
    RESULTS,
    Count,
    Data,
    Device,
    File,
    Root,
    model_and_test,
    model_at,
    prepare,
    write,
)


def sample(
    file: File,
    *,
    n: Count = 64,
    seed: int | None = None,
    out: Path = Path("samples.png"),
    label: int | None = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Draw samples from a fitted model.

    Parameters
    ----------
    n
        Number of samples.
    seed
        The same seed, the same samples.
    out
        .png for a picture, .npz or .npy for numbers.
    label
        Class to draw, for models fitted with --by-class.
    """
    prepare(out, *RESULTS)
    drawn = model_at(file, device).sample(n, seed=seed, y=label)
    write(out, drawn)
    output.result({"file": str(out), "n": n}, f"{n} samples in {out}", [command("gen", "info", file)])


def interpolate(
    file: File,
    data: Data = "digits",
    *,
    n: Count = 8,
    pairs: int = 4,
    out: Path = Path("interpolate.png"),
    root: Root = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Walk through a model's codes from one test sample to another.

    Parameters
    ----------
    n
        Samples on the way, ends included.
    pairs
        Number of walks.
    out
        .png (one walk a row), .npz or .npy.
    """
    from gail_suite import generative as g

    prepare(out, *RESULTS)
    if pairs < 1:
        raise ValueError(f"--pairs {pairs} must be at least 1")
    model, x = model_and_test(file, data, 2 * pairs, root, device)
    if len(x) < 2 * pairs:
        raise ValueError(
            f"{pairs} walks need {2 * pairs} test samples and {data} has {len(x)}: lower --pairs to {len(x) // 2}"
        )
    walks = g.interpolate(model, x[:pairs], x[pairs : 2 * pairs], n)
    if out.suffix == ".png":
        g.pictures.grid(walks.flatten(0, 1), out, columns=n)
    else:
        write(out, walks)
    output.result({"file": str(out), "pairs": pairs, "n": n}, f"{pairs} walks of {n} samples in {out}", [])
