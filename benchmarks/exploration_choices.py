"""How often the goal of SparseRoom is found within 32,000 steps, by choices of weight, returns and updates, on seeds of
their own.

    python -m benchmarks.exploration_choices     # what the CSV lacks

A run ends where it first stands in the goal.
"""

from __future__ import annotations

import argparse
from typing import Any

from typing_extensions import override

from benchmarks.exploration import LONGER, STEPS, Visits, cells, counts, learner
from benchmarks.records import RESULTS, append_missing, markdown, read_rows

CSV = RESULTS / "exploration_choices.csv"
COLUMNS = ("arm", "seed", "steps_to_goal", "cells_seen", "machine", "commit", "command")
FIRST_SEED = 100
ARMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "gamma 0.99": {"gamma": 0.99},
    "four times the updates": {"updates_per_step": 1.0},
    "weight 60": {"weight": 60.0},
    "does not fade": {"weight_final": 30.0},
    "weight 100, does not fade": {"weight": 100.0, "weight_final": 100.0},
    "weight 60, 10-step returns": LONGER,
    "weight 60, 20-step returns": LONGER | {"n_step": 20},
}


class GoalFound(Exception):
    """The run has seen what it was for."""


class UntilGoal(Visits):
    """A `Bonus` that remembers where it was, until that is the goal."""

    @override
    def __call__(self, transitions: Any, done: Any = None) -> Any:
        from envs.sparse import in_goal

        if in_goal(transitions.next_obs).any():
            self.steps.append(transitions.next_obs.copy())
            raise GoalFound
        return super().__call__(transitions, done)


def search(arm: str, seed: int) -> dict[str, Any]:
    """Steps until the goal, empty where it was not found, and cells seen until then."""
    visits, found = UntilGoal(counts(seed)), False
    try:
        learner(visits, seed, **ARMS[arm]).train(STEPS)
    except GoalFound:
        found = True
    places = visits.places()
    return {"arm": arm, "seed": seed, "steps_to_goal": len(places) if found else "", "cells_seen": cells(places)}


HEADER = ["choice", "goal found", "steps to it, each seed", "cells seen until then or the end", "commit"]


def table() -> str:
    """How often each choice found the goal, and when."""
    rows = read_rows(CSV)
    lines = []
    for arm in dict.fromkeys(r["arm"] for r in rows):
        found = sorted((r for r in rows if r["arm"] == arm), key=lambda r: int(r["seed"]))
        lines.append(
            [
                arm,
                f"{sum(r['steps_to_goal'] != '' for r in found)} of {len(found)}",
                *(" ".join(r[c] or "-" for r in found) for c in ("steps_to_goal", "cells_seen")),
                ", ".join(sorted({r["commit"] for r in found})),
            ]
        )
    return markdown(HEADER, lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    a = parser.parse_args()
    append_missing(CSV, COLUMNS, a.arms, range(FIRST_SEED, FIRST_SEED + a.seeds), search)


if __name__ == "__main__":
    main()
