"""Learning curves: three CSV files, one line an evaluation on the way of a run.

python -m benchmarks.curves      # draws docs/images/few_demos.png
"""

from __future__ import annotations

import csv
import fcntl
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, ROOT, read_rows

COLUMNS = ("run", "step", "wall_s", "score", "bc_score", "return_mean", "length_mean")


def file_of(benchmark: str) -> Path:
    """Where the curves of a benchmark are: of few_demos, priors or ablation."""
    return RESULTS / "curves" / f"{benchmark}.csv"


@cache
def read(benchmark: str) -> dict[str, list[dict[str, float]]]:
    """Run -> its evaluations in order, each without what it did not measure."""
    runs: dict[str, list[dict[str, float]]] = {}
    for row in read_rows(file_of(benchmark)):
        found = {name: float(row[name]) for name in COLUMNS[1:] if row[name]}
        runs.setdefault(row["run"], []).append(found | {"step": int(row["step"])})
    return runs


def points(benchmark: str, run: str) -> list[tuple[int, float]]:
    """(step, score) of the evaluations on the way."""
    return [(int(r["step"]), r["score"]) for r in read(benchmark)[run] if "score" in r]


def save(benchmark: str, run: str, metrics: Iterable[dict[str, Any]]) -> None:
    """Keeps the evaluations among a run's metrics, in the place of those kept before; two processes may save at
    once.
    """
    path = file_of(benchmark)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = [{"run": run} | {k: r[k] for k in COLUMNS[1:] if k in r} for r in metrics if "score" in r or "bc_score" in r]
    with open(path, "a+", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        others = [row for row in csv.DictReader(file) if row["run"] != run]
        file.truncate(0)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*others, *new])
    read.cache_clear()


PANELS = 3
"""Panels beside each other."""


def draw(path: Path) -> None:
    """Score against environment steps, one line a run, one panel a row of the benchmark; BC as a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = {run: rows for run, rows in read("few_demos").items() if re.fullmatch(r".*-gail-\d", run)}
    names = sorted({run.rsplit("-gail-", 1)[0] for run in runs})
    rows = max(1, -(-len(names) // PANELS))
    figure, axes = plt.subplots(rows, PANELS, figsize=(4 * PANELS, 3 * rows), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, names, strict=False):
        for run in (r for r in runs if r.rsplit("-gail-", 1)[0] == name):
            steps, scores = zip(*points("few_demos", run), strict=True)
            (line,) = axis.plot(np.array(steps) / 1000, scores, marker="o", markersize=3, label=f"seed {run[-1]}")
            axis.axhline(runs[run][0].get("bc_score", 0.0), color=line.get_color(), linestyle="--", linewidth=0.8)
        axis.axhline(1.0, color="grey", linewidth=0.8)
        axis.set(title=name, xlabel="thousand environment steps", ylabel="normalised score", ylim=(-0.25, 1.15))
        axis.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "few_demos.png")
