"""Trainings that are killed, stopped and resumed: what they end with equals the undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from demos.policy import MlpPolicy
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.runlog import read_metrics

SETTINGS = [
    "loop.n_envs=2",
    "loop.warm_up=50",
    "loop.capacity=2000",
    "loop.eval_every=0",
    "loop.log_every=70",
    "loop.checkpoint_every=50",
    "bc.steps=100",
    "sac.hidden=[16,16]",
    "sac.batch_size=16",
    "adversary.hidden=[16,16]",
    "adversary.batch_size=16",
]
STEPS, CLOCK = 3000, ("sps", "wall_s")


def killed(
    folder: Path, demonstrations: Path, n: int, stop: int = signal.SIGKILL, seed: int = 0
) -> Iterator[str | None]:
    """GAIL on the toy ended by `stop` at a random moment, `n` times, then resumed: None, or what differs from one
    in one go.
    """
    whole, rng = folder / "whole", random.Random(seed)
    _finish(whole, demonstrations, None, rng)
    for i in range(n):
        cut = folder / f"{signal.Signals(stop).name}-{i}"
        _finish(cut, demonstrations, stop, rng)
        yield _difference(whole, cut)


def _finish(run: Path, demonstrations: Path, stop: int | None, rng: random.Random) -> None:
    begin = ["--demos", demonstrations, "--out", run, "--steps", STEPS, *(w for s in SETTINGS for w in ("--set", s))]
    process = _train(*begin)
    if stop is not None:
        while not checkpoints(run / "checkpoints") and process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.random() * 3)
        process.send_signal(stop)
    process.wait()
    if not (run / "policy/policy.json").exists():
        _train("--resume", run).wait()


def _train(*words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gail_suite", "train", "gail", *map(str, words), "--eval-episodes", "0", "-q"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _difference(whole: Path, cut: Path) -> str | None:
    try:
        a, b = (MlpPolicy.load(run / "policy").tensors for run in (whole, cut))
    except ValueError as error:
        return f"{cut.name}: {error}"
    if any(not np.array_equal(a[name], b[name]) for name in a):
        return f"{cut.name}: another policy"
    first, second = (
        [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(run)] for run in (whole, cut)
    )
    return None if first == second else f"{cut.name}: other rows of metrics"
