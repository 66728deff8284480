"""EM in generative against scikit-learn: the same data, start and number of iterations, timed in turns.

    OMP_NUM_THREADS=2 python -m benchmarks.gmm_speed [--threads 2] [--repeats 3] [--iterations 20] [--clock wall]

Writes benchmarks/results/gmm_speed.csv, one line a case, covariance type and repeat. ``ratio`` is scikit-learn's time
over ours within one pair. Cases "100k" and "10k" start from given parameters and run a fixed number of iterations; "10k
default" is a whole fit with each library's own k-means start and stopping rule. ``--clock cpu`` with one thread
measures processor time, which a busy machine distorts less; two threads on a busy machine measure the scheduler and
nothing else.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
import torch

import generative as g
from benchmarks.records import RESULTS, append_row, command, commit, machine

COLUMNS = (
    "case",
    "n",
    "d",
    "k",
    "covariance",
    "repeat",
    "iterations",
    "sklearn_s",
    "ours_s",
    "ratio",
    "sklearn_nats",
    "ours_nats",
    "threads",
    "clock",
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
    import threadpoolctl

    blas = {info.get("architecture") for info in threadpoolctl.threadpool_info() if info["internal_api"] == "openblas"}
    mkl = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    theirs = f"scikit-learn on OpenBLAS {'/'.join(sorted(map(str, blas)))}"
    return f"{theirs}, ours on {mkl} {torch.backends.cpu.get_cpu_capability()}"


def timed(model: Any, x: np.ndarray, clock: Callable[[], float]) -> tuple[float, Any]:
    """Seconds of a fit, and the fitted model."""
    began = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(x)
    return clock() - began, fitted


def pair(
    case: str,
    n: int,
    d: int,
    k: int,
    covariance: str,
    iterations: int,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """One fit of each library, one after the other."""
    x = data(n, d, k)
    given = options(case, x, k, covariance, iterations)
    theirs, peer = timed(
        sklearn.mixture.GaussianMixture(k, covariance_type=covariance, random_state=0, **given), x, clock
    )
    ours, model = timed(g.GaussianMixture(k, covariance_type=covariance, **given), x, clock)
    return {
        "case": case,
        "n": n,
        "d": d,
        "k": k,
        "covariance": covariance,
        "iterations": f"{peer.n_iter_}/{model.n_iter_}",
        "sklearn_s": f"{theirs:.4f}",
        "ours_s": f"{ours:.4f}",
        "ratio": f"{theirs / ours:.2f}",
        "sklearn_nats": f"{-peer.score(x):.8f}",
        "ours_nats": f"{-float(model.log_prob(x).mean()):.8f}",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--cases", nargs="*", default=sorted({case[0] for case in CASES}))
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path, default=RESULTS / "gmm_speed.csv")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.perf_counter if given.clock == "wall" else time.process_time
    fixed = {
        "threads": given.threads,
        "clock": given.clock,
        "machine": f"{machine()}; {kernels()}" + (f"; {given.note}" if given.note else ""),
        "commit": commit(),
        "command": command(),
    }
    pair("10k", 10_000, 8, 4, "full", 2, clock)  # warm-up: libraries load, threads start
    for case in (case for case in CASES if case[0] in given.cases):
        for repeat in range(given.repeats):
            row = pair(*case, given.iterations, clock) | {"repeat": repeat} | fixed
            append_row(given.out, COLUMNS, row)
            print(*(f"{c}={row[c]}" for c in COLUMNS[:12]), flush=True)


if __name__ == "__main__":
    main()
