"""Exact recipes on MNIST, shared by the ``reproduce`` functions of the models: data, resumable training, test
figures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gail_suite.generative.core.tensors import write_whole
from gail_suite.generative.core.types import Settings
from gail_suite.generative.data import sources as data
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.measuring import metrics

HELD_OUT = 2000
"""Validation images used for the choice of the best weights."""


@dataclass(frozen=True)
class Reproduction:
    """Test figures of one run, its training time (s) and examples a second, both over all sessions of the run."""

    metrics: dict[str, float]
    train_s: float
    examples_per_s: float


def binarised(path: str | Path, *, seed: int = 0) -> data.Splits:
    """MNIST from IDX files: grey training images, validation and test binarised once, pixel ~ Bernoulli(grey), from
    ``seed`` and ``seed`` + 1."""
    splits = data.load(path)
    fixed = [data.binarize(x, "fixed", seed + k) for k, x in enumerate((splits.x_val, splits.x_test))]
    return data.Splits(splits.x_train, splits.y_train, fixed[0], splits.y_val, fixed[1], splits.y_test)


def train(
    model: GenerativeModel,
    splits: data.Splits,
    out: Path,
    *,
    seed: int,
    steps: int | None,
    progress: bool,
    labels: bool = False,
) -> tuple[float, float]:
    """Fit with checkpoints in ``out``, going on from the newest if there is one; return (train_s, examples/s); save the
    model."""
    out.mkdir(parents=True, exist_ok=True)
    clock, folder = out / "train_s.txt", out / "checkpoints"
    before = float(clock.read_text()) if clock.exists() else 0.0
    began, done = time.perf_counter(), [0]

    def on_step(step: int, scalars: dict[str, float]) -> None:
        done[0] = step
        if step % 50 == 0:
            write_whole(clock, f"{before + time.perf_counter() - began:.1f}".encode())

    held = slice(0, HELD_OUT)
    y, y_val = (splits.y_train, splits.y_val[held]) if labels and splits.y_val is not None else (None, None)
    model.fit(
        splits.x_train,
        y,
        steps=steps,
        seed=seed,
        progress=progress,
        val=(splits.x_val[held], y_val),
        on_step=on_step,
        checkpoint=folder,
        resume=any(folder.glob("step_*.safetensors")),
    )
    spent = before + time.perf_counter() - began
    write_whole(clock, f"{spent:.1f}".encode())
    model.save(out / "model.safetensors")
    batch = getattr(model, "config", {}).get("batch_size", 64)
    steps_done = done[0] or int(max(folder.glob("step_*.safetensors")).stem.removeprefix("step_"))
    return spent, steps_done * batch / spent


def likelihood(
    model: GenerativeModel,
    path: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    progress: bool = True,
) -> Reproduction:
    """Train on dynamically binarised MNIST; nats and bits/dim of the 10,000 test images, binarised with the fixed seed
    1."""
    splits = binarised(path)
    train_s, rate = train(model, splits, Path(out), seed=seed, steps=steps, progress=progress)
    nats = metrics.nats(model, splits.x_test)
    return Reproduction(
        {"test_nats": nats, "test_bits_per_dim": metrics.bits_per_dim(nats, splits.x_test[0].numel())}, train_s, rate
    )


def adversarial(
    model: GenerativeModel,
    path: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    progress: bool = True,
    n: int = 10_000,
) -> Reproduction:
    """Train on grey MNIST; the figures of ``n`` samples."""
    splits = data.load(path)
    train_s, rate = train(model, splits, Path(out), seed=seed, steps=steps, progress=progress)
    return Reproduction(sample_figures(model, splits, path, n), train_s, rate)


def sample_figures(model: GenerativeModel, splits: data.Splits, path: str | Path, n: int = 10_000) -> dict[str, float]:
    """Frechet classifier distance to the test set and NDB of ``n`` samples, and of ``n`` training images beside
    them.
    """
    x, y, x_val, y_val = splits.x_train, splits.y_train, splits.x_val, splits.y_val
    if y is None or y_val is None:
        raise ValueError(f"the Frechet classifier distance needs labels, and {path} has none")
    features = metrics.train_features(x, y, x_val, y_val)
    n = min(n, len(x) // 2)
    samples = torch.cat([model.sample(part, seed=k) for k, part in enumerate(_parts(n, 1000))]).cpu()
    figures: Settings = {"classifier_accuracy": features.accuracy}
    test = features(splits.x_test)
    for name, images in (("samples", samples), ("real", x[:n])):
        figures[f"frechet_{name}"] = metrics.frechet_distance(features(images), test)
        figures[f"ndb_{name}"], figures[f"js_{name}"] = metrics.ndb(x[n : 2 * n], images)
    return figures


def _parts(n: int, size: int) -> list[int]:
    """``n`` as parts of at most ``size``."""
    return [min(size, n - k) for k in range(0, n, size)]
