"""Runs every check that has no row of this commit and size in results/soak.csv: `SOAK=0.1 python -m benchmarks.soak`.

SOAK scales the number of cases and the hour; full size is 300 flips and 100 cuts of every kind of file, every system
call of every writer and training, 20 cuts and 20 of each signal a training, 50 minutes of disturbed training (so that
the whole takes less than an hour on two cores), 10,000 episodes and 200 checkpoints. Below 1, a random share of the
system calls is chosen, the same at every call. `python -m benchmarks.soak run CHECK` runs one check.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.records import RESULTS, append_row, commit, machine, markdown, read_rows, run_jobs
from benchmarks.soak import tracing

FIELDS = ("check", "cases", "failures", "seconds", "SOAK", "machine", "commit")
FILE = RESULTS / "soak.csv"
LOGS = Path(tempfile.gettempdir()) / "soak-logs"
Cases = Iterator[str | None]
HOUR = 3000
"""Seconds of disturbed training at full size."""


def size() -> float:
    """The environment variable SOAK."""
    return float(os.environ.get("SOAK", "1"))


def part(full: int) -> int:
    """A number of cases at this size."""
    return max(1, round(full * size()))


def damaged_files(folder: Path) -> Cases:
    """300 changed bits of every kind of file."""
    from benchmarks.soak import corruption, samples

    return (problem for s in samples.samples(folder) for problem in corruption.flips(s, part(300)))


def cut_files(folder: Path) -> Cases:
    """100 cuts of every kind of file."""
    from benchmarks.soak import corruption, samples

    return (problem for s in samples.samples(folder) for problem in corruption.cuts(s, part(100)))


def hostile_files(folder: Path) -> Cases:
    """Hostile files of every kind."""
    from benchmarks.soak import hostile, samples

    (folder / "mark").mkdir()
    everything = (p for s in samples.samples(folder / "samples") for p in hostile.hostile(s, folder / "mark/mark"))
    return everything


def nan_everywhere(folder: Path) -> Cases:
    """NaN in every place."""
    from benchmarks.soak.poison import poisoned

    return poisoned(folder)


def writers_broken(folder: Path, fault: tracing.Fault) -> Cases:
    """A fault at every system call of every writer."""
    from benchmarks.soak import writers

    for i, writer in enumerate(writers.writers()):
        yield from writers.broken(writer, folder / str(i), fault, size())


def fits_broken(folder: Path, fault: tracing.Fault) -> Cases:
    """A fault at every system call of every generative model's fit."""
    from benchmarks.soak import fits

    for name in fits.MODELS:
        yield from fits.faults(fits.Fit(name, folder / name), fault, size())


def fits_cut(folder: Path) -> Cases:
    """20 cuts of every generative model's fit."""
    from benchmarks.soak import fits

    for name in fits.MODELS:
        yield from fits.cuts(fits.Fit(name, folder / name), part(20))


def _benches(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, folder and demonstrations of every training."""
    import demos
    import envs
    from benchmarks.soak import trainings

    shown = demos.record(envs.toy_expert, envs.TOY_ID, 2, n_envs=2).save(folder / "demos")
    trainings.preload(folder / "warm", shown)
    for name in trainings.TRAININGS:
        yield name, folder, shown


def trainings_broken(folder: Path, fault: tracing.Fault) -> Cases:
    """A fault at every system call of every training."""
    from benchmarks.soak import trainings

    for place in _benches(folder):
        yield from trainings.faults(trainings.Bench(*place), fault, size())


def trainings_stopped(folder: Path, sign: int) -> Cases:
    """20 random moments of every training."""
    from benchmarks.soak import trainings

    for place in _benches(folder):
        yield from trainings.stopped(trainings.Bench(*place), sign, part(20))


def trainings_cut(folder: Path) -> Cases:
    """20 cuts of every training."""
    from benchmarks.soak import trainings

    for place in _benches(folder):
        yield from trainings.cuts(*place, part(20))


def trainings_disturbed(folder: Path) -> Cases:
    """An hour of holding, ending and resuming."""
    from benchmarks.soak import trainings

    places = {name: place for name, *place in _benches(folder)}
    for name in ("gail", "gail ppo"):
        bench = trainings.Bench(name, *places[name], steps=3000)
        yield from trainings.disturbed(bench, HOUR / 2 * size())


def leaking_episodes(folder: Path) -> Cases:
    """10,000 episodes."""
    from benchmarks.soak.leaks import episodes

    return episodes(folder, max(1000, 100 * part(100)))


def leaking_checkpoints(folder: Path) -> Cases:
    """200 checkpoints."""
    from benchmarks.soak.leaks import checkpoints

    return checkpoints(folder, max(20, part(200)))


CHECKS: dict[str, Callable[[Path], Cases]] = {
    "training held, killed, stopped and resumed at random": trainings_disturbed,
    "training killed at a system call": lambda folder: trainings_broken(folder, "kill"),
    "disk full at a write of a training": lambda folder: trainings_broken(folder, "full"),
    **{
        f"training ended by {sign.name} at a random moment": lambda folder, sign=sign: trainings_stopped(folder, sign)
        for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    },
    "training cut anywhere and resumed": trainings_cut,
    "fit killed at a system call": lambda folder: fits_broken(folder, "kill"),
    "disk full at a write of a fit": lambda folder: fits_broken(folder, "full"),
    "fit cut anywhere and resumed": fits_cut,
    "writer killed at a system call": lambda folder: writers_broken(folder, "kill"),
    "disk full at a write of a writer": lambda folder: writers_broken(folder, "full"),
    "file with a changed bit": damaged_files,
    "file cut short": cut_files,
    "hostile file": hostile_files,
    "NaN in a place": nan_everywhere,
    "episodes, for leaks": leaking_episodes,
    "checkpoints, for leaks": leaking_checkpoints,
}
"""Name of a check -> its cases in an empty folder: None, or what went wrong. The longest come first."""
NEED_TRACING = ("system call", "disk full")


def run(check: str) -> int:
    """Runs a check and adds its row; how many cases failed."""
    began, cases, failures = time.monotonic(), 0, 0
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        for problem in CHECKS[check](folder):
            cases += 1
            if problem:
                failures += 1
                print(problem, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row = {"check": check, "cases": cases, "failures": failures, "seconds": f"{time.monotonic() - began:.0f}"}
    append_row(FILE, FIELDS, row | {"SOAK": f"{size():g}", "machine": machine(), "commit": commit()})
    return failures


def table() -> str:
    """The newest row of every check."""
    newest = {row["check"]: row for row in read_rows(FILE)}
    columns = [name for name in FIELDS if name != "machine"]
    return markdown(columns, ([newest[check][c] for c in columns] for check in CHECKS if check in newest))


def main() -> int:
    """0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="run CHECK")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="checks at a time")
    arguments = parser.parse_args()
    if arguments.words[:1] == ["run"]:
        return int(run(" ".join(arguments.words[1:])) > 0)
    known = {(row["check"], row["SOAK"], row["commit"]) for row in read_rows(FILE)}
    wanted = [c for c in CHECKS if (c, f"{size():g}", commit()) not in known]
    if not tracing.AVAILABLE:
        print("faults at system calls need Linux on x86-64: those checks are left out", file=sys.stderr)
        wanted = [check for check in wanted if not any(word in check for word in NEED_TRACING)]
    failed = run_jobs(
        "benchmarks.soak", ((c, [c]) for c in wanted), arguments.at_once, Path(tempfile.gettempdir()) / "soak-logs"
    )
    print(table())
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
