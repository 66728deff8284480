"""What `make demo` printed on each machine: the list in results/demo.json, to which a run adds itself.

python -m benchmarks.demo runs/demo/summary.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.records import RESULTS, commit, machine, markdown

FILE = RESULTS / "demo.json"
HEADER = [
    "task",
    "shown",
    "steps",
    "expert: score (return; length)",
    "bc",
    "gail",
    "its training",
    "whole demo",
    "machine",
    "commit",
]


def table() -> str:
    """What `make demo` printed on each machine: expert, BC and GAIL (`runs/demo/summary.json`, kept in the list of
    results/demo.json).
    """
    runs = sorted(json.loads(FILE.read_text()), key=lambda run: run["env_id"], reverse=True)
    lines = [
        [
            run["env_id"],
            str(run["n_demos"]),
            f"{run['steps']:,}",
            *(
                f"{run[k]['score']:.3f} ({run[k]['return_mean']:.0f} +- {run[k]['return_sd']:.0f}; "
                f"{run[k]['length_mean']:.0f} steps)"
                for k in ("expert", "bc", "gail")
            ),
            f"{run['gail_wall_s']:.0f} s",
            f"{run['wall_s']:.0f} s",
            run["machine"],
            run["commit"],
        ]
        for run in runs
    ]
    return markdown(HEADER, lines) + (
        f"\n`{runs[-1]['command']}`, {runs[-1]['n_eval']} episodes each; `shown` counts trajectories. Timed after "
        "installation.\n"
    )


def main() -> None:
    """Command line."""
    for path in map(Path, sys.argv[1:]):
        run = json.loads(path.read_text()) | {"command": "gail-suite demo", "commit": commit(), "machine": machine()}
        FILE.write_text(json.dumps([*json.loads(FILE.read_text()), run], indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
