"""The four experts that the course CS 285 hands to its students, from the command line: import, clone, GAIL.

    python -m benchmarks.cs285                    # what the CSV lacks: behaviour cloning and GAIL of each file
    python -m benchmarks.cs285 --files hopper_cs285_v4 --algos gail

Each file is imported with `gail-suite data import --clip`, since up to 44 % of its action entries lie outside the
bounds, and both its trajectories are trained on. GAIL has the preset few-steps and 30,000 environment steps, which
shows that the way is open and not how far it leads. Processor seconds are those of the training's own process, with
the evaluation of 20 episodes at its end. Score = (return - random) / (mean return of the demonstrations - random).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS, append_row, command, commit, machine, markdown, read_rows

CSV = RESULTS / "cs285.csv"
WORK = Path("runs") / "cs285"
DEMOS_DIR = Path("../shared/data/public_demos")
FILES = {
    "ant_cs285_v4_raw": "Ant-v5",
    "halfcheetah_cs285_v4": "HalfCheetah-v5",
    "hopper_cs285_v4": "Hopper-v5",
    "walker2d_cs285_v4": "Walker2d-v5",
}
"""File without its ending -> today's task; Ant's 27 columns make it the variant without contact forces."""
STEPS = 30_000
ALGOS = {"bc": ("bc",), "gail": ("gail", "--preset", "few-steps", "--steps", str(STEPS))}
"""Algorithm -> what `gail-suite train` is told beside demonstrations, seed and folder."""
COLUMNS = (
    "file",
    "env",
    "n_demos",
    "outside",
    "algo",
    "seed",
    "env_steps",
    "cpu_s",
    "score",
    "score_low",
    "score_high",
    "return_mean",
    "return_sd",
    "n_eval",
    "demo_return",
    "random_return",
    "machine",
    "commit",
    "command",
)


HEADER = (
    "file",
    "task",
    "actions out of bounds",
    "algorithm",
    "seed",
    "steps",
    "score",
    "return",
    "demonstrations",
    "processor seconds",
)


def said(*words: object) -> dict[str, Any]:
    """What a command answers with --json; CalledProcessError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "gail_suite", *map(str, words), "--json"], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def measured(file: str, algo: str, seed: int, demos_dir: Path) -> dict[str, Any]:
    """A line of the CSV: the file imported anew, the training, and its final evaluation."""
    shown, run = WORK / file, WORK / f"{file}-{algo}-{seed}"
    for folder in (shown, run):
        shutil.rmtree(folder, ignore_errors=True)
    source, code = demos_dir / f"{file}.npz", commit()
    imported = said("data", "import", source, "--env", FILES[file], "--clip", "--out", shown)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = said("train", *ALGOS[algo], "--demos", shown, "--seed", seed, "--out", run)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    low, high = found["demo_score_interval"]
    entries = imported["n_pairs"] * said("data", "show", shown)["act_dim"]
    return {
        "file": file,
        "env": imported["env_id"],
        "n_demos": imported["n_episodes"],
        "outside": round(imported["outside"] / entries, 4),
        "algo": algo,
        "seed": seed,
        "env_steps": STEPS if algo == "gail" else 0,
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime),
        "score": round(found["demo_score"], 4),
        "score_low": round(low, 4),
        "score_high": round(high, 4),
        "return_mean": round(found["return_mean"], 1),
        "return_sd": round(found["return_sd"], 1),
        "n_eval": found["n_episodes"],
        "demo_return": round(found["demo_return"], 1),
        "random_return": round(found["random_return"], 1),
        "machine": machine(),
        "commit": code,
        "command": command("--files", file, "--algos", algo, "--seeds", str(seed)),
    }


def table() -> str:
    """One line a file and algorithm, seeds one after the other."""
    return markdown(HEADER, [_cells(row) for row in sorted(read_rows(CSV), key=_order)])


def _order(row: dict[str, str]) -> tuple[str, ...]:
    return row["file"], row["algo"], row["seed"]


def _cells(row: dict[str, str]) -> tuple[str, ...]:
    score, low, high = (float(row[name]) for name in ("score", "score_low", "score_high"))
    return (
        row["file"],
        row["env"],
        f"{float(row['outside']):.0%}",
        row["algo"],
        row["seed"],
        f"{int(row['env_steps']):,}",
        f"**{score:.3f}** [{low:.3f}, {high:.3f}]",
        f"{float(row['return_mean']):,.0f} ± {float(row['return_sd']):,.0f}",
        f"{float(row['demo_return']):,.0f}",
        row["cpu_s"],
    )


def missing(files: list[str], algos: list[str], seeds: list[int]) -> Iterator[tuple[str, str, int]]:
    """What the CSV lacks, algorithm by algorithm."""
    there = {(row["file"], row["algo"], row["seed"]) for row in read_rows(CSV)}
    wanted = [(file, algo, seed) for seed in seeds for algo in algos for file in files]
    return ((file, algo, seed) for file, algo, seed in wanted if (file, algo, str(seed)) not in there)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--algos", nargs="+", choices=ALGOS, default=list(ALGOS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--demos-dir", type=Path, default=DEMOS_DIR)
    a = parser.parse_args()
    for file, algo, seed in missing(a.files, a.algos, a.seeds):
        append_row(CSV, COLUMNS, measured(file, algo, seed, a.demos_dir))


if __name__ == "__main__":
    main()
