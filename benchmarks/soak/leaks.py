"""What must not grow in a long night: memory, open files, threads and files on the disk."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

import demos
import envs
import gail_suite as gs
from benchmarks.soak import tracing
from gail_suite.algorithms.bc import BCConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig

MEGABYTES = 20


class Leak(Exception):
    """What has grown."""


def episodes(folder: Path, n: int) -> Iterator[str | None]:
    """`n` episodes recorded, a hundred at a time; a case is an episode."""

    def work() -> None:
        for chunk in _watched(n // 100):
            demos.record(envs.toy_expert, envs.TOY_ID, 100, seed=100 * chunk, n_envs=50)

    yield from _cases(work, folder, n, "recording")


def checkpoints(folder: Path, n: int) -> Iterator[str | None]:
    """`n` checkpoints of a training, with steps between them; a case is a checkpoint."""

    def work() -> None:
        sac = SACConfig(hidden=(8, 8), batch_size=8)
        loop = LoopConfig(n_envs=2, warm_up=20, capacity=400, eval_every=0, eval_episodes=1, checkpoint_every=0)
        config = gs.GAILConfig(bc=BCConfig(steps=10, hidden=(8, 8)), sac=sac, loop=loop)
        trainer = gs.GAIL(envs.TOY_ID, demos.record(envs.toy_expert, envs.TOY_ID, 2), config, run_dir=folder / "run")
        for _ in _watched(n):
            trainer.loop.train(trainer.loop.steps + 10)
            if len(kept := list((folder / "run/checkpoints").iterdir())) > 2:
                raise Leak(f"{len(kept)} checkpoints on the disk")

    yield from _cases(work, folder, n, "checkpoints")


def _cases(work: Callable[[], None], folder: Path, n: int, name: str) -> Iterator[str | None]:
    ended = tracing.run(work, folder, traced=False)
    yield ended.error and f"{name}: {ended.error}"
    yield from [None] * (n - 1)


def _watched(n: int) -> Iterator[int]:
    """Counts to `n`, and compares the end with how things stood after the first fifth; Leak where they have grown."""
    before: tuple[float, int, int] | None = None
    for i in range(n):
        yield i
        if i == n // 5:
            before = _held()
    after = _held()
    assert before is not None
    if after[0] > before[0] + MEGABYTES or after[1:] != before[1:]:
        raise Leak(f"memory (MB), open files and threads went from {before} to {after}")


def _held() -> tuple[float, int, int]:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6, len(os.listdir("/proc/self/fd")), threading.active_count()
