"""EM in generative against scikit-learn: the same data, start and number of iterations, timed in turns.

    python -m benchmarks.gmm_speed [--threads 1] [--repeats 3] [--iterations 20] [--cases 10k 100k]

Appends to benchmarks/results/gmm_speed.csv, one line a case, covariance type and repeat. A pair is one fit of each
library, and the one that goes first changes from pair to pair. Both clocks are read: processor seconds, which a busy
machine distorts less, and wall-clock seconds; ``load`` is the machine's load average at the time. Cases "100k" and
"10k" start from given parameters and run a fixed number of iterations; those called "default" are whole fits with each
library's own k-means start and stopping rule. Variables of the environment that hold OpenBLAS to one kernel are unset,
so that scikit-learn has the kernels that its OpenBLAS chooses for the processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import sklearn.mixture
import threadpoolctl
import torch

import generative as g
from benchmarks.records import RESULTS, append_row, command, commit, machine, markdown, read_rows

CSV = RESULTS / "gmm_speed.csv"
COLUMNS = (
    "case",
    "n",
    "d",
    "k",
    "covariance",
    "repeat",
    "iterations",
    "sklearn_cpu_s",
    "ours_cpu_s",
    "cpu_ratio",
    "sklearn_wall_s",
    "ours_wall_s",
    "wall_ratio",
    "sklearn_nats",
    "ours_nats",
    "threads",
    "load",
    "machine",
    "commit",
    "command",
)
CASES = (
    ("100k", 100_000, 32, 16, "diag"),
    ("100k", 100_000, 32, 16, "full"),
    ("10k", 10_000, 8, 4, "diag"),
    ("10k", 10_000, 8, 4, "full"),
    ("10k default", 10_000, 8, 4, "diag"),
    ("10k default", 10_000, 8, 4, "full"),
    ("50k default", 50_000, 64, 10, "full"),
    ("50k default", 50_000, 64, 10, "spherical"),
)


def data(n: int, d: int, k: int) -> np.ndarray:
    """Overlapping blobs, so that EM has work to do; the more columns, the nearer they are."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + (2.0 if d <= 32 else 0.35) * rng.normal(size=(k, d))[rng.integers(k, size=n)]


def options(case: str, x: np.ndarray, k: int, covariance: str, iterations: int) -> dict[str, Any]:
    """Arguments that both libraries understand."""
    if case.endswith("default"):
        return {}
    d = x.shape[1]
    precisions = np.ones((k, d)) if covariance == "diag" else np.tile(np.eye(d), (k, 1, 1))
    return {
        "max_iter": iterations,
        "tol": 0.0,
        "means_init": x[:k],
        "weights_init": np.full(k, 1 / k),
        "precisions_init": precisions,
    }


def kernels() -> str:
    """The linear algebra behind each library: on one processor they differ by 2, and between processors the other
    way round.
    """
    blas = {info.get("architecture") for info in threadpoolctl.threadpool_info() if info["internal_api"] == "openblas"}
    mkl = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    theirs = f"scikit-learn on OpenBLAS {'/'.join(sorted(map(str, blas)))}"
    return f"{theirs}, ours on {mkl} {torch.backends.cpu.get_cpu_capability()}"


def free_kernels() -> None:
    """Starts this program anew without the variables that hold OpenBLAS to one kernel, where there are any."""
    held = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_VERBOSE") if os.environ.pop(name, None)]
    if held:
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gmm_speed", *sys.argv[1:]])


def timed(model: Any, x: np.ndarray) -> tuple[float, float, Any]:
    """Processor seconds, wall-clock seconds and the fitted model."""
    cpu, wall = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(x)
    return time.process_time() - cpu, time.perf_counter() - wall, fitted


def pair(case: str, n: int, d: int, k: int, covariance: str, iterations: int, repeat: int) -> dict[str, Any]:
    """One fit of each library, one after the other; ours first in odd repeats."""
    x = data(n, d, k)
    given = options(case, x, k, covariance, iterations)
    models = {
        "sklearn": sklearn.mixture.GaussianMixture(k, covariance_type=covariance, random_state=0, **given),
        "ours": g.GaussianMixture(k, covariance_type=covariance, **given),
    }
    found = {name: timed(models[name], x) for name in (list(models)[::-1] if repeat % 2 else models)}
    row: dict[str, Any] = {"case": case, "n": n, "d": d, "k": k, "covariance": covariance, "repeat": repeat}
    row["iterations"] = "/".join(str(fit[2].n_iter_) for fit in (found["sklearn"], found["ours"]))
    for clock, name in enumerate(("cpu", "wall")):
        row |= {f"{library}_{name}_s": f"{fit[clock]:.4f}" for library, fit in found.items()}
        row[f"{name}_ratio"] = f"{found['sklearn'][clock] / found['ours'][clock]:.2f}"
    row["sklearn_nats"] = f"{-found['sklearn'][2].score(x):.8f}"
    row["ours_nats"] = f"{-float(found['ours'][2].log_prob(x).mean()):.8f}"
    return row


def table() -> str:
    """Medians of the wall-clock over the repeats of a case, one line a case, number of threads, machine and commit."""
    cases: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(CSV):
        if row["wall_ratio"]:
            cases[row["machine"], row["commit"], row["threads"], row["case"], row["covariance"]].append(row)
    lines = []
    for (cpu, code, threads, case, covariance), rows in sorted(cases.items()):
        seconds = [f"{median(float(r[f'{name}_wall_s']) for r in rows):.3g}" for name in ("sklearn", "ours")]
        ratios = sorted(float(r["wall_ratio"]) for r in rows)
        size = f"{int(rows[0]['n']):,} x {rows[0]['d']}, K={rows[0]['k']}"
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append([case, size, covariance, threads, *seconds, spread, str(len(rows)), cpu, code])
    header = ["case", "data", "covariance", "threads", "scikit-learn, s", "ours, s", "ratio (least to most)"]
    return markdown([*header, "pairs", "machine", "commit"], lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", nargs="*", default=sorted({case[0] for case in CASES}))
    parser.add_argument("--out", type=Path, default=CSV)
    given = parser.parse_args()
    free_kernels()
    torch.set_num_threads(given.threads)
    with threadpoolctl.threadpool_limits(given.threads):
        fixed = {
            "threads": given.threads,
            "machine": f"{machine()}; {kernels()}",
            "commit": commit(),
            "command": command(),
        }
        pair("10k", 10_000, 8, 4, "full", 2, 0)  # warm-up: libraries load, threads start
        for case in (case for case in CASES if case[0] in given.cases):
            for repeat in range(given.repeats):
                row = pair(*case, given.iterations, repeat) | {"load": f"{os.getloadavg()[0]:.1f}"} | fixed
                append_row(given.out, COLUMNS, row)
                print(*(f"{c}={row[c]}" for c in COLUMNS[:15]), flush=True)


if __name__ == "__main__":
    main()
