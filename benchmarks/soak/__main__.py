"""Runs every check and writes results/soak.csv: `SOAK=0.1 python -m benchmarks.soak` at a tenth of the size.

Full size: 300 flips and 100 cuts of every kind of file, 20 kills and 20 stops each by SIGTERM and SIGINT of a training.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.records import RESULTS, commit, machine
from benchmarks.soak import corruption, runs
from benchmarks.soak.samples import samples

Check = Callable[[], Iterator[str | None]]
FIELDS = ("check", "cases", "failures", "size", "wall_s", "machine", "commit", "command")


def main() -> int:
    """0 where nothing failed."""
    size = float(os.environ.get("SOAK", "1"))

    def share(full: int) -> int:
        return max(1, round(full * size))

    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = samples(folder / "samples")
        checks: dict[str, Check] = {
            "changed bits": lambda: (p for s in written for p in corruption.flips(s, share(300))),
            "cut files": lambda: (p for s in written for p in corruption.cuts(s, share(100))),
        }
        for stop in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            checks[f"{stop.name} and resume"] = lambda stop=stop: runs.killed(
                folder / stop.name, folder / "samples/demos", share(20), stop
            )
        for check, cases in checks.items():
            began, found = time.monotonic(), list(cases())
            failed = [problem for problem in found if problem]
            print(*failed[:20], sep="\n", file=sys.stderr)
            took = f"{time.monotonic() - began:.0f}"
            command = f"SOAK={size:g} python -m benchmarks.soak"
            lines.append((check, len(found), len(failed), f"{size:g}", took, machine(), commit(), command))
            print(*lines[-1][:5], flush=True)
    with (RESULTS / "soak.csv").open("w", newline="") as file:
        csv.writer(file).writerows([FIELDS, *lines])
    return int(any(line[2] for line in lines))


if __name__ == "__main__":
    raise SystemExit(main())
