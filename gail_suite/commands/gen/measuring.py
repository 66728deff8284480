"""`gail-suite gen score | info`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command
from gail_suite.commands.gen.shared import RESULTS, Data, Device, File, Root, model_and_test, model_at, prepare, write


def score(
    file: File,
    data: Data = "digits",
    *,
    worst: int = 10,
    out: Path | None = None,
    root: Root = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Rank test samples by how typical they are for a model.

    Parameters
    ----------
    worst
        Number of least typical samples to list.
    out
        Where to write the typicality of each sample (.npz, .npy) or the least and the most typical images (.png).
    """
    import torch

    from gail_suite import generative as g

    if out is not None:
        prepare(out, *RESULTS)
    if worst < 1:
        raise ValueError(f"--worst {worst} must be at least 1")
    model, x = model_and_test(file, data, None, root, device)
    typicality, order = model.typicality(x), g.rank_anomalies(model, x).cpu()
    values = {"typicality_mean": float(typicality.mean()), "n": len(x), "least_typical": order[:worst].tolist()}
    if model.density != "none":
        values["nats"] = g.metrics.nats(model, x)
    if out is not None and out.suffix == ".png":
        g.pictures.rows(x[order[:worst]], x[order.flip(0)[:worst]], path=out)
    elif out is not None:
        write(out, typicality.to(torch.float32))
    text = (
        f"{len(x)} samples, mean typicality {values['typicality_mean']:.3f}, least typical: {values['least_typical']}"
    )
    output.result(values, text, [command("gen", "sample", file)])


def info(file: File, *, output: Output = DEFAULT) -> None:
    """Show what a model file holds."""

    model = model_at(file)
    size = sum(t.numel() for t in model._tensors().values())
    median, upper = model.calibration or (None, None)
    without_labels = model.calibration_without_labels
    values = {
        "model": type(model).__name__,
        "density": model.density,
        "config": model.config,
        "data": model.spec,
        "numbers": size,
        "median_error": median,
        "error_95": upper,
    }
    if without_labels is not None:
        values |= {"median_error_without_labels": without_labels[0], "error_95_without_labels": without_labels[1]}
    lines = [f"{name}: {value}" for name, value in values.items()]
    output.result(values, "\n".join(lines), [command("gen", "sample", file)])
