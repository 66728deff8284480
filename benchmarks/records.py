"""Lines of result files: what machine, which commit, and an append that survives two processes writing at once."""

from __future__ import annotations

import argparse
import csv
import fcntl
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> str:
    """Processor and number of cores."""
    name = (
        next(
            (
                line.split(":", 1)[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            platform.machine(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.machine()
    )
    return f"{name}, {os.cpu_count()} cores"


def commit() -> str:
    """Short hash of the working tree's commit, with + where files other than results differ from it."""

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results") else ""
    )


def command(*arguments: str) -> str:
    """The command that runs this script with `arguments`, as given on the command line where there are none.

    Of a folder that this machine has somewhere, the last part is told, since the rest means nothing elsewhere.
    """
    words = [Path(word).name if Path(word).is_absolute() else word for word in arguments or sys.argv[1:]]
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *words])


def note_session(run_dir: Path, goes_on: bool) -> None:
    """Notes in a run's folder the present commit, after those of its earlier sessions where it goes on from one."""
    note = run_dir / "commits.txt"
    before = note.read_text().split() if goes_on and note.exists() else []
    run_dir.mkdir(parents=True, exist_ok=True)
    note.write_text("\n".join(dict.fromkeys([*before, commit()])) + "\n")


def session_commits(run_dir: Path, code: str) -> str:
    """The commits of the sessions that made a run, "a, b"; `code` where none was noted."""
    note = run_dir / "commits.txt"
    return ", ".join(note.read_text().split()) if note.exists() else code


def append_row(path: Path, columns: Sequence[str], row: dict[str, Any]) -> None:
    """Appends one line to a CSV with a header, under a lock; ValueError where the file has other columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        header = next(csv.reader(file), None)
        file.seek(0, os.SEEK_END)  # the position before the lock may be another writer's
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if header is None:
            writer.writeheader()
        elif header != list(columns):
            raise ValueError(f"{path} has the columns {', '.join(header)}, not {', '.join(columns)}: write elsewhere")
        writer.writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV, none if it does not exist."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; without lines it says that nothing was measured yet."""
    rows = [header, ["---"] * len(header), *lines]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows) if len(rows) > 2 else "(not measured yet)\n"


def plain_table(name: str) -> str:
    """A CSV as it is, without the columns that only matter to a machine."""
    rows = read_rows(RESULTS / f"{name}.csv")
    columns = [c for c in (rows[0] if rows else []) if c not in ("command", "machine")]
    return markdown(columns, ([r[c] for c in columns] for r in rows))


def run_jobs(module: str, jobs: Iterable[tuple[str, list[str]]], at_once: int, logs: Path) -> int:
    """`python -m MODULE run ARGUMENTS` for each (name, arguments), `at_once` processes at a time, each with its own
    NAME.log; how many failed.
    """
    logs.mkdir(parents=True, exist_ok=True)

    def one(job: tuple[str, list[str]]) -> bool:
        name, arguments = job
        with open(logs / f"{name}.log", "w") as log:
            code = subprocess.run(
                [sys.executable, "-m", module, "run", *arguments], stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
        print(f"{name}: exit {code}", flush=True)
        return code != 0

    with ThreadPoolExecutor(at_once) as executor:
        return sum(executor.map(one, jobs))


def append_measured(path: Path, columns: Sequence[str], measure: Callable[[str], dict[str, Any]]) -> None:
    """Command line of a benchmark of runs that are there: a line for each that is named."""
    for name in sys.argv[1:]:
        row = measure(name) | {"machine": machine(), "commit": commit(), "command": command(name)}
        print(row, flush=True)
        append_row(path, columns, row)


def measure_arms(
    about: str | None,
    path: Path,
    columns: Sequence[str],
    arms: Sequence[str],
    measure: Callable[[str, int], dict[str, Any]],
    seeds: int,
    first: int = 0,
) -> None:
    """Command line of a benchmark of several arms: what the CSV lacks of --arms on --seeds seeds from `first` on."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--arms", nargs="+", choices=arms, default=list(arms))
    a = parser.parse_args()
    append_missing(path, columns, a.arms, range(first, first + a.seeds), measure)


def append_missing(
    path: Path,
    columns: Sequence[str],
    arms: Iterable[str],
    seeds: Sequence[int],
    measure: Callable[[str, int], dict[str, Any]],
) -> None:
    """Measures every (arm, seed) that the CSV lacks, one after the other on one thread, and appends a line for each."""
    import torch

    torch.set_num_threads(1)
    code = commit()
    done = {(r["arm"], int(r["seed"])) for r in read_rows(path)}
    for arm, seed in [(a, s) for s in seeds for a in arms if (a, s) not in done]:
        row = measure(arm, seed)
        print(row, flush=True)
        append_row(path, columns, row | {"machine": machine(), "commit": code, "command": command()})


def mean_bonus(path: Path, arm: str, seed: int) -> float:
    """Mean bonus of a run that the CSV has, for the constant that stands for it."""
    found = [float(r["bonus_mean"]) for r in read_rows(path) if r["arm"] == arm and int(r["seed"]) == seed]
    if not found:
        raise SystemExit(f"the constant of seed {seed} waits for the mean bonus of {arm}: run that arm first")
    return found[-1]


def measure_tasks(
    about: str | None,
    tasks: Iterable[str],
    run: Callable[[str, int], None],
    table: Callable[[], str],
) -> None:
    """Command line of a benchmark of several tasks: `run(task, seed)` for --seeds seeds on one thread, then the
    table.
    """
    import torch

    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    for task in tasks:
        for seed in range(seeds):
            run(task, seed)
    print(table())
