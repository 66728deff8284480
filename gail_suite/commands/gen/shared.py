"""What the verbs of `gail-suite gen` share: parameters with their help, test data for a model, results as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gail_suite.commands.common import command, note

if TYPE_CHECKING:
    from torch import Tensor

    from gail_suite.generative import GenerativeModel
    from gail_suite.generative.data.sources import Splits

RESULTS = (".png", ".npz", ".npy")
File = Annotated[
    Path, Parameter(help="The model that `gen fit` saved, or a ready-made one of digits by name: vae-digits.")
]
Data = Annotated[str, Parameter(help="As for `gen fit`.")]
Root = Annotated[Path | None, Parameter(help="Folder of the IDX files of mnist.")]
Device = Annotated[str, Parameter(help="auto, cpu or cuda.")]
Count = Annotated[int, Parameter(name=["--count", "-n"])]


def model_at(file: Path, device: str = "cpu") -> GenerativeModel:
    """The model of ``file``, or the ready-made one of that name where there is no such file."""
    from gail_suite import generative as g
    from gail_suite.demos.names import known
    from gail_suite.generative.using.library import names

    if file.exists() or file.suffix or file.parent != Path():
        return g.load(file, device)
    return g.pretrained(known("file or ready-made model", str(file), names(), any_case=True), device)


def data_at(data: str, root: Path | None) -> Splits:
    """The splits of ``data``; ValueError for a folder of demonstrations, which hold more than samples."""
    from gail_suite import generative as g
    from gail_suite.demos.store import MANIFEST

    if (Path(data) / MANIFEST).is_file():
        raise ValueError(
            f"{data} holds demonstrations: fit a prior to them with `{command('prior', 'fit', '--demos', data)}`, or "
            "save the rows you mean as an .npy"
        )
    return g.data.load(data, root=root)


def model_and_test(
    file: Path, data: str, n: int | None, root: Path | None, device: str, images: bool = False
) -> tuple[GenerativeModel, Tensor]:
    """The model, and the first ``n`` test samples, binarised where the model wants that.

    ValueError where it was fitted on other data, or on vectors and the verb needs ``images``.
    """
    from gail_suite import generative as g

    if n is not None and n < 1:
        raise ValueError(f"-n {n} must be at least 1")
    model = model_at(file, device)
    if images and len(model.spec["event_shape"]) != 3:
        shape = tuple(model.spec["event_shape"])
        raise ValueError(f"{file} was fitted on samples of shape {shape}: only images have parts to restore")
    x = data_at(data, root).x_test[:n]
    if list(x.shape[1:]) != model.spec["event_shape"]:
        raise ValueError(
            f"{file} was fitted on samples of shape {tuple(model.spec['event_shape'])}, {data} has {tuple(x.shape[1:])}"
        )
    if model.spec["value"] == "binary" and not bool(((x == 0) | (x == 1)).all()):
        note(f"{data} is grey and {file} binary: black and white images are drawn from it with a fixed seed")
        x = g.data.binarize(x, "fixed", 2)
    return model, x


def prepare(out: Path, *suffixes: str) -> None:
    """Make the folder of ``out`` before any work is done for it; ValueError where ``out`` cannot be written."""
    from gail_suite.demos.files import check_writable

    if suffixes and out.suffix not in suffixes:
        raise ValueError(f"{out} must end in {', '.join(suffixes[:-1])}{' or ' * (len(suffixes) > 1)}{suffixes[-1]}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file in it")
    check_writable(out)
    out.parent.mkdir(parents=True, exist_ok=True)


def write(out: Path, result: Tensor, *above: Tensor) -> None:
    """``result`` as numbers, or as a picture below the rows ``above``; ``out`` is prepared."""
    import numpy as np

    from gail_suite import generative as g
    from gail_suite.demos.files import write_atomic

    array, packed = result.detach().cpu().float().numpy(), io.BytesIO()
    if out.suffix == ".npz":
        np.savez_compressed(packed, x=array)
        write_atomic(out, packed.getvalue())
    elif out.suffix == ".npy":
        np.save(packed, array)
        write_atomic(out, packed.getvalue())
    elif result.ndim != 4:
        raise ValueError(f"{out} would be a picture, but these samples are vectors: give --out FILE.npz")
    elif above:
        g.pictures.rows(*above, result, path=out)
    else:
        g.pictures.grid(result, out)
