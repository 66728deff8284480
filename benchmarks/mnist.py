"""One row of the MNIST table: train a model by its exact recipe, evaluate on the test set, append to
results/generative.csv.

    python -m benchmarks.mnist --model pixelcnn --data DIR          # DIR holds the IDX files of MNIST
    python -m benchmarks.mnist --model gated --data DIR --threads 2 --seed 1

Killed runs go on when the same command is given again. ``--steps`` shortens the recipe (and its learning-rate schedule)
for a look at its speed; such rows name their steps in the dataset column, and need an ``--out`` of their own, since
another number of steps is another run.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import torch

from benchmarks.mnist_recipes import RECIPES, Run, reproduce
from benchmarks.records import RESULTS, ROOT, append_row, command, commit, machine, markdown, read_rows

COLUMNS = ("dataset", "model", "seed", "metric", "value", "train_s", "machine", "commit", "command")
CSV = RESULTS / "generative.csv"
DATASETS = {
    "gan": "mnist",
    "dcgan": "mnist",
    "autoencoder": "mnist",
    "mfa": "mnist-grey-256",
    "bayesian-gmm": "mnist-grey-256",
}
"""What a model's figures are about, where not binarised MNIST; for mixtures nats of the 256 levels of grey MNIST."""


FIGURES = (
    "test_nats",
    "test_nats_normal_prior",
    "test_nats_50",
    "test_bits_per_dim",
    "variance_floor",
    "components_used",
    "test_rmse",
    "frechet_samples",
    "frechet_real",
    "ndb_samples",
    "ndb_real",
)


def table() -> str:
    """Today's MNIST recipes, one line a model and seed, empty where a figure does not apply."""
    return _lines([r for r in read_rows(CSV) if r["model"] in RECIPES])


def earlier() -> str:
    """The recipes of before, and what was tried on the way."""
    return _lines([r for r in read_rows(CSV) if r["model"] not in RECIPES])


def _lines(rows: list[dict[str, str]]) -> str:
    runs: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for r in rows:
        runs[r["model"], r["dataset"], r["seed"], r["commit"]] |= {r["metric"]: r["value"], "train_s": r["train_s"]}
    lines = [
        [
            *run[:3],
            *(f"{float(found[m]):.5g}" if m in found else "" for m in FIGURES),
            f"{float(found['train_s']) / 60:.0f} min",
            run[3],
        ]
        for run, found in sorted(runs.items())
    ]
    return markdown(["model", "data", "seed", *FIGURES, "training", "commit"], lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="run directory (default: runs/mnist-MODEL-SEED)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path, default=CSV)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    out = a.out or ROOT / "runs" / f"mnist-{a.model}-{a.seed}"
    result = reproduce(a.model, Run(a.data, out, a.seed, a.steps))
    dataset = DATASETS.get(a.model, "mnist-binarised") + (f"-{a.steps}-steps" if a.steps else "")
    for metric, value in {**result.metrics, "examples_per_s": result.examples_per_s}.items():
        append_row(
            a.csv,
            COLUMNS,
            {
                "dataset": dataset,
                "model": a.model,
                "seed": a.seed,
                "metric": metric,
                "value": f"{value:.6g}",
                "train_s": f"{result.train_s:.0f}",
                "machine": machine(),
                "commit": commit(),
                "command": command(),
            },
        )
        print(f"{a.model} {metric} {value:.5g}")


if __name__ == "__main__":
    main()
