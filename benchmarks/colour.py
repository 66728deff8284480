"""Colour frames in bits per dimension: PixelCNN with a mixture of logistics beside independent values and factor
analysers.

    python -m benchmarks.colour [--envs Ant-v5 Humanoid-v5] [--frames 800] [--steps 1000]

Frames of 32x32x3 of the bundled experts, rendered here, 8 bits a channel. They are split by time, 80/10/10, so that no
test frame stands between two training frames; the last tenth is of other moments of the walk. Appends what
benchmarks/results/colour.csv lacks, one line an environment and model, and writes samples to docs/pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import generative as g
from benchmarks.records import RESULTS, ROOT, append_row, command, commit, machine, markdown, read_rows
from generative.measuring import metrics

CSV = RESULTS / "colour.csv"
COLUMNS = ("env", "model", "seed", "frames", "steps", "bits_per_dim", "cpu_s", "machine", "commit", "command")
SIZE, LEVELS = 32, 256
DIMENSIONS = 3 * SIZE * SIZE
PICTURES = ROOT / "docs" / "pictures"


def frames(env_id: str, n: int) -> torch.Tensor:
    """``n`` frames (n, 3, 32, 32) in [0, 1] of the bundled expert, one after the other."""
    import demos
    from gail_suite.showing.video import render

    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "frames.npz"
        render(demos.expert(env_id), env_id, film, n_frames=n, width=SIZE, height=SIZE)
        with np.load(film) as held:
            return g.data.as_images(held["x"])


Found = tuple[float, torch.Tensor | None]
"""Nats of a test frame, and samples of a model that draws well enough to be shown."""


def split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first eight tenths, the ninth and the last."""
    a, b = 8 * len(x) // 10, 9 * len(x) // 10
    return x[:a], x[a:b], x[b:]


def independent(train: torch.Tensor, val: torch.Tensor, test: torch.Tensor, steps: int) -> Found:
    """A table of 256 levels for every value of a frame."""
    return metrics.independent_nats(metrics.independent_values(train, LEVELS), test), None


def factor_analysers(train: torch.Tensor, val: torch.Tensor, test: torch.Tensor, steps: int) -> Found:
    """A mixture of factor analysers on dequantised values; its floor of variance is the best on the ninth tenth."""
    dense = metrics.dequantise(train, LEVELS)
    fits = [
        g.GaussianMixture(5, covariance_type="mfa", n_factors=10, reg_covar=floor).fit(dense, progress=False)
        for floor in (1e-5, 1e-4, 1e-3)
    ]
    best = min(fits, key=lambda model: metrics.discrete_nats(model, val, LEVELS, draws=2))
    return metrics.discrete_nats(best, test, LEVELS), None


def pixelcnn(train: torch.Tensor, val: torch.Tensor, test: torch.Tensor, steps: int) -> Found:
    """A small gated PixelCNN whose pixels are mixtures of five logistics."""
    model = g.PixelCNN(logistics=5, features=30, layers=5, batch_size=16, eval_every=100, ema=0.99, lr=1e-2)
    model.fit(train, val=val, steps=steps, progress=False)
    return metrics.nats(model, test), model.sample(8, seed=0)


FITS = {"independent": independent, "factor-analysers": factor_analysers, "pixelcnn-logistics": pixelcnn}


def table() -> str:
    """Bits per dimension, one line an environment."""
    found = {(r["env"], r["model"]): r for r in read_rows(CSV)}
    lines = [
        [env, *(f"{float(found[env, m]['bits_per_dim']):.3f}" if (env, m) in found else "-" for m in FITS)]
        for env in dict.fromkeys(env for env, _ in found)
    ]
    return markdown(["frames of", *FITS], lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="+", default=["Ant-v5", "Humanoid-v5"])
    parser.add_argument("--frames", type=int, default=800)
    parser.add_argument("--steps", type=int, default=1000)
    a = parser.parse_args()
    torch.set_num_threads(1)
    done = {(r["env"], r["model"]) for r in read_rows(CSV)}
    for env in a.envs:
        missing = [model for model in FITS if (env, model) not in done]
        parts = split(frames(env, a.frames)) if missing else ()
        for model in missing:
            measure(env, model, parts, a.frames, a.steps)
    print(table())


def measure(env: str, model: str, parts: tuple[torch.Tensor, ...], n: int, steps: int) -> None:
    """One line of the CSV, and a picture where the model draws."""
    train, val, test = parts
    start = time.process_time()
    nats, samples = FITS[model](train, val, test, steps)
    row = {
        "env": env,
        "model": model,
        "seed": 0,
        "frames": n,
        "steps": steps if samples is not None else "",
        "bits_per_dim": f"{metrics.bits_per_dim(nats, DIMENSIONS):.4f}",
        "cpu_s": f"{time.process_time() - start:.1f}",
        "machine": machine(),
        "commit": commit(),
        "command": command(),
    }
    append_row(CSV, COLUMNS, row)
    print(row, flush=True)
    if samples is not None:
        name = env.partition("-")[0].lower()
        g.pictures.rows(test[:: len(test) // 8][:8], samples, path=PICTURES / f"colour-{name}.png")


if __name__ == "__main__":
    main()
