"""Many runs of one training: every combination of settings with every seed, on this machine or on a Ray cluster.

A run is a process of its own. Its directory tells how far it is, so a sweep that was stopped, or that lost a worker,
goes on with the same command: what is finished stays, what has a checkpoint resumes, the rest starts.
"""

from __future__ import annotations

import itertools
import os
import runpy
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from gail_suite.demos.sealed import Json, write_json
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.records import BeginningRecord, evaluation_of, read_if_there
from gail_suite.runs.runlog import forget_results, stop_requested
from gail_suite.showing.stats import bootstrap_interval, iqm

BEGUN = "sweep.json"
"""File in a run's folder that says how it was begun."""
MEASURES = ("score", "demo_score")
"""What runs are summed up by: the first that they have."""
Outcome = tuple["Job", int]
"""A job and the exit status of its process."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    algo: str
    variant: str
    """Its settings of the grid, in words; empty where there is no grid."""
    seed: int
    folder: Path
    """Absolute, since a worker may stand elsewhere."""
    options: tuple[str, ...]
    """What `gail-suite train ALGO` is told beside seed, folder and evaluation."""
    eval_episodes: int = 50
    """Episodes of the final evaluation."""

    def is_finished(self) -> bool:
        """Whether the final policy and the report are there, which every training writes last."""
        return all((self.folder / name).is_file() for name in ("policy/policy.json", "report.html"))

    def words(self) -> list[str]:
        """The command that starts this run, or goes on with it where it has a checkpoint."""
        evaluation = ["--eval-episodes", str(self.eval_episodes)]
        if checkpoints(self.folder / "checkpoints"):
            return ["train", self.algo, "--resume", str(self.folder), *self._imports(), *evaluation]
        return self.beginning() + evaluation

    def _imports(self) -> list[str]:
        """What registers the environment, which a resumed run does not know."""
        pairs = list(itertools.pairwise(self.options))
        modules = [value for name, value in pairs if name == "--import"]
        files = [
            Path(value.rpartition(":")[0]).absolute() for name, value in pairs if name == "--env" and ".py:" in value
        ]
        return [word for module in (*modules, *map(str, files)) for word in ("--import", module)]

    def beginning(self) -> list[str]:
        """The command that starts this run, without its evaluation."""
        return ["train", self.algo, "--out", str(self.folder), "--seed", str(self.seed), *self.options]


def plan(
    algo: str,
    out: Path,
    seeds: Sequence[int],
    grid: Mapping[str, Sequence[str]],
    options: Sequence[str],
    eval_episodes: int = 50,
) -> list[Job]:
    """A job for every combination of the grid's values and every seed, the seeds of a combination together.

    Raises ValueError where a folder holds a run that was begun with other options.
    """
    jobs = []
    for values in itertools.product(*grid.values()):
        settings = [f"{name}={value}" for name, value in zip(grid, values, strict=True)]
        chosen = tuple(word for setting in settings for word in ("--set", setting))
        variant = ",".join(settings)
        for seed in seeds:
            name = f"{variant},seed={seed}".lstrip(",").replace("/", "_").replace(" ", "")
            jobs.append(Job(algo, " ".join(settings), seed, out.absolute() / name, (*options, *chosen), eval_episodes))
    for job in jobs:
        begun = read_if_there(job.folder / BEGUN, BeginningRecord).get("words", job.beginning())
        if begun != job.beginning():
            raise ValueError(f"{job.folder} was begun as {shlex.join(['gail-suite', *begun])}: choose another --out")
    return list(dict.fromkeys(jobs))


def run_here(jobs: Sequence[Job], at_once: int) -> Iterator[Outcome]:
    """Runs jobs, `at_once` processes at a time, and yields each as it ends.

    A signal seen by `runlog.stop_on_signals` goes on to the processes, which save a checkpoint; nothing else is
    started.
    """
    waiting, asked = deque(jobs), False
    running: dict[Job, subprocess.Popen[bytes]] = {}
    try:
        while running or (waiting and not stop_requested()):
            while waiting and len(running) < at_once and not stop_requested():
                job = waiting.popleft()
                if job.is_finished():
                    yield job, 0
                else:
                    running[job] = _start(job)
            if stop_requested() and not asked:
                asked = True
                for process in running.values():
                    process.terminate()
            for job in [j for j, process in running.items() if process.poll() is not None]:
                yield job, running.pop(job).returncode
            time.sleep(0.1)
    finally:
        for process in running.values():  # nobody waits any more
            process.terminate()


def run_on_ray(jobs: Sequence[Job], address: str) -> Iterator[Outcome]:
    """The same on a Ray cluster, one processor a job, on folders that all machines see; a lost worker's job is tried
    again.

    `address` is that of a cluster, or "local" for one on this machine.

    Raises ImportError, naming the remedy, where Ray is not installed.
    """
    with connected(address) as ray:
        task = ray.remote(num_cpus=1, max_retries=3, max_calls=1)(run_in_worker)  # a fresh process for every job
        pending = {task.remote(job): job for job in jobs}
        while pending and not stop_requested():
            done, _ = ray.wait(list(pending), timeout=0.5)
            for reference in done:
                yield pending.pop(reference), _result(ray, reference)


@contextmanager
def connected(address: str) -> Iterator[ModuleType]:
    """Ray, connected to a cluster, or to one of its own on this machine ("local"); errors as for `run_on_ray`."""
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "a sweep on a cluster needs Ray: pip install 'gail-suite[cluster]', or leave out --ray"
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    alone = {"include_dashboard": False} if address == "local" else {}
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", **alone)
    try:
        yield ray
    finally:
        ray.shutdown()


def _result(ray: ModuleType, reference: object) -> int:
    """The status of a task, 1 where it raised or its worker was lost more often than it is tried again."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        print(f"lost: {error}", file=sys.stderr)
        return 1


def summary(jobs: Sequence[Job]) -> list[Json]:
    """One entry a combination of settings: seeds, scores of the finished runs, their IQM and its bootstrap interval.

    Scores are normalised where `measure` is "score", against the demonstrations where it is "demo_score", as it is
    of tasks without reference returns.
    """
    found = []
    for variant, group in itertools.groupby(jobs, key=lambda job: job.variant):
        results = {job.seed: evaluation_of(job.folder) for job in group if job.is_finished()}
        measure = next((m for m in MEASURES if any(r.get(m) is not None for r in results.values())), None)
        measured = [(seed, r[measure]) for seed, r in results.items() if measure and r.get(measure) is not None]
        scores = np.array([score for _, score in measured])
        low, high = bootstrap_interval(scores, statistic=iqm) if len(scores) else (None, None)
        found.append(
            {
                "settings": variant,
                "measure": measure,
                "seeds": [seed for seed, _ in measured],
                "scores": scores.tolist(),
                "iqm": iqm(scores) if len(scores) else None,
                "interval": [low, high],
            }
        )
    return found


def log_of(job: Job) -> Path:
    """What the process of a job prints."""
    return job.folder.with_name(f"{job.folder.name}.log")


def run_in_worker(job: Job) -> int:
    """The job inside a worker of Ray, so that it ends where the worker does."""
    if job.is_finished():
        return 0
    _note_beginning(job)
    sys.argv = ["gail-suite", *job.words()]
    with open(log_of(job), "a") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            runpy.run_module("gail_suite", run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def _start(job: Job) -> subprocess.Popen[bytes]:
    """The job as a process that computes on one thread (environments step on others) and writes to FOLDER.log."""
    _note_beginning(job)
    with open(log_of(job), "ab") as log:
        # a session of its own, so that a Ctrl-C on the terminal reaches a job once, through us
        return subprocess.Popen(
            [sys.executable, "-m", "gail_suite", *job.words()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def _note_beginning(job: Job) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    if not checkpoints(job.folder / "checkpoints"):
        forget_results(job.folder)  # of a job without checkpoints (BC) that lacks its report: it begins again
    write_json(job.folder / BEGUN, {"words": job.beginning()})
