"""Actions that are looked for from observations alone, beside those that were recorded: one trajectory of every
demonstrator from which `benchmarks.demonstrators` hides them.

    python -m benchmarks.found_actions

A line says how many of the actions lead to the next shown state, and how far the actions that are told, found or not,
are from the recorded ones: mean square of an entry in [-1, 1], where actions of mean 0 would have the last column.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.demonstrator_rows import DEMOS_DIR, ROWS, pool
from benchmarks.records import RESULTS, append_row, command, commit, machine, read_rows
from gail_suite.algorithms.gail import GAILConfig
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.learning.shown.reaching import with_actions

CSV = RESULTS / "found_actions.csv"
COLUMNS = (
    "task",
    "demonstrator",
    "seed",
    "actions",
    "found",
    "squared error",
    "squared action",
    "processor seconds",
    "machine",
    "commit",
    "command",
)


def in_unit(task: str, shown: Demonstrations) -> np.ndarray:
    """The actions (N, A) as a simulator takes them, in [-1, 1]."""
    return to_unit(shown.transitions().actions, *action_bounds(task)).clip(-1, 1)


def measure(name: str, seed: int, demos_dir: Path) -> None:
    """Appends the line of one demonstrator to the CSV."""
    row, code = ROWS[name], commit()
    shown = pool(row, demos_dir).take(row.n_demos, seed=seed)
    began = time.process_time()
    told = with_actions(row.env, shown.observations_only(), GAILConfig().inverse.simulate)
    spent = time.process_time() - began
    true = in_unit(row.env, shown)
    values = (
        *(row.env, row.demonstrator, seed, len(true), f"{told.meta['actions_found']:.3f}"),
        f"{np.square(in_unit(row.env, told) - true).mean():.4f}",
        *(f"{np.square(true).mean():.2f}", round(spent), machine(), code, command()),
    )
    append_row(CSV, COLUMNS, dict(zip(COLUMNS, values, strict=True)))


def main() -> None:
    """What the CSV lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="which trajectory is taken")
    parser.add_argument("--demos-dir", type=Path, default=DEMOS_DIR, help="other people's demonstrations")
    options = parser.parse_args()
    there = {(r["task"], r["demonstrator"], r["seed"]) for r in read_rows(CSV)}
    for name, row in ROWS.items():
        if row.observations and (row.env, row.demonstrator, str(options.seed)) not in there:
            measure(name, options.seed, options.demos_dir)


if __name__ == "__main__":
    main()
