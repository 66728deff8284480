"""Exploration by PixelCNN pseudo-counts on SparseRoom, where plain SAC finds no reward: 32,000 steps, curiosity fades
to 0.

python -m benchmarks.exploration             # what the CSV lacks
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, markdown, mean_bonus, measure_arms, read_rows
from gail_suite.demos.trajectory import Transitions

CSV = RESULTS / "exploration.csv"
COLUMNS = (
    "env",
    "arm",
    "seed",
    "env_steps",
    "return_mean",
    "steps_to_goal",
    "cells_seen",
    "bonus_mean",
    "cpu_s",
    "machine",
    "commit",
    "command",
)
STEPS, SCALE, WEIGHT = 32_000, 100.0, 30.0
LONGER: dict[str, Any] = {"weight": 60.0, "n_step": 10}  # chosen on the seeds of exploration_choices.py
ARMS: dict[str, dict[str, Any]] = {
    "pseudo-counts": {},
    "none": {},
    "constant": {},
    "longer returns": LONGER,
    "longer returns, none": LONGER,
    "longer returns, constant": LONGER,
}
"""What an arm has in place of the defaults; the constant is the mean bonus of the pseudo-counts on that seed,
measured before it.
"""
CAPACITY = 2000
"""Transitions kept: a bonus that was paid long ago says that a place is new which no longer is."""


class Visits:
    """A `Bonus` that also remembers every place that it was asked about, and what it answered."""

    def __init__(self, bonus: Any) -> None:
        self.bonus, self.steps, self.paid = bonus, [], []

    def __call__(self, transitions: Transitions, done: np.ndarray | None = None) -> np.ndarray:
        """(N,) what the bonus answers."""
        self.steps.append(np.array(transitions.next_obs))
        self.paid.append(self.bonus(transitions, done))
        return self.paid[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bonus, name)

    def places(self) -> np.ndarray:
        """(N, 2) everywhere the run has been, in order."""
        return np.concatenate(self.steps)


def learner(
    bonus: Any,
    seed: int,
    steps: int = STEPS,
    weight: float = WEIGHT,
    weight_final: float = 0.0,
    gamma: float = 0.97,
    updates_per_step: float = 0.25,
    n_step: int = 3,
) -> Any:
    """SAC in the room, which has not begun, with a bonus."""
    import envs
    from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
    from gail_suite.learning.sac import SACConfig
    from gail_suite.learning.shown.features import Features
    from gail_suite.priors.pseudo_counts import ExploringReward

    sac = SACConfig(
        hidden=(64, 64),
        batch_size=64,
        gamma=gamma,
        actor_lr=1e-3,
        critic_lr=1e-3,
        alpha=0.05,
        actor_delay=1,
        average_rate=0.02,
        n_step=n_step,
    )
    loop = LoopConfig(
        updates_per_step=updates_per_step,
        warm_up=400,
        random_warm_up=True,
        capacity=CAPACITY,
        eval_every=steps,
        eval_episodes=1,
    )
    features = Features(np.arange(2), np.full(2, 0.5, np.float32), np.full(2, 0.3, np.float32))
    return OffPolicyLoop(
        envs.SPARSE_ID, features, ExploringReward(SCALE, weight, weight_final), sac, loop, seed, None, bonus=bonus
    )


def counts(seed: int) -> Any:
    """The pseudo-counts of the room."""
    from gail_suite.priors.pseudo_counts import PseudoCounts

    return PseudoCounts(np.zeros(2), np.ones(2), features=8, seed=seed)


def bonus_of(arm: str, seed: int) -> Any:
    """Pseudo-counts, or the constant that stands for them."""
    from gail_suite.priors.pseudo_counts import Constant

    if arm.endswith("none"):
        return Constant(0.0)
    if arm.endswith("constant"):
        return Constant(mean_bonus(CSV, "longer returns" if ARMS[arm] else "pseudo-counts", seed))
    return counts(seed)


def trained(arm: str, seed: int, steps: int = STEPS) -> tuple[Any, Visits]:
    """SAC in the room with the bonus of an arm, and everywhere it has been."""
    visits = Visits(bonus_of(arm, seed))
    trainer = learner(visits, seed, steps, **ARMS[arm])
    trainer.train(steps)
    return trainer, visits


def cells(places: np.ndarray) -> int:
    """How many of 100 cells of the room places (N, 2) lie in."""
    return len(np.unique(np.clip((places * 10).astype(int), 0, 9), axis=0))


def explore(arm: str, seed: int, steps: int = STEPS) -> dict:
    """How a run ended, when it first reached the goal, and how many of 100 cells of the room it saw."""
    import envs
    from envs.sparse import in_goal
    from gail_suite.showing.evaluation import evaluate

    start = time.process_time()
    trainer, visits = trained(arm, seed, steps)
    seen = visits.places()
    paid = np.flatnonzero(in_goal(seen))
    found = evaluate(trainer.policy(), envs.SPARSE_ID, n_episodes=20, seed=1000)
    return {
        "env": envs.SPARSE_ID,
        "arm": arm,
        "seed": seed,
        "env_steps": trainer.steps,
        "return_mean": round(float(found.returns.mean()), 2),
        "steps_to_goal": int(paid[0]) + 1 if len(paid) else "",
        "cells_seen": cells(seen),
        "bonus_mean": round(float(np.mean(visits.paid)), 5),
        "cpu_s": round(time.process_time() - start, 1),
    }


HEADER = ["bonus", "goal found", "kept to the end", "steps to it, each seed", "cells seen of 100, each seed"]


def table() -> str:
    """How often each arm found the goal and kept it, when, and how much of the room it saw."""
    lines = []
    for arm in ARMS:
        found = sorted((r for r in read_rows(CSV) if r["arm"] == arm), key=lambda r: int(r["seed"]))
        shares = (sum(r["steps_to_goal"] != "" for r in found), sum(float(r["return_mean"]) > 0 for r in found))
        each = (" ".join(r[c] or "-" for r in found) for c in ("steps_to_goal", "cells_seen"))
        lines.append([arm, *(f"{n} of {len(found)}" for n in shares), *each])
    return markdown(HEADER, lines)


def main() -> None:
    """Command line."""
    measure_arms(__doc__, CSV, COLUMNS, tuple(ARMS), explore, seeds=5)


if __name__ == "__main__":
    main()
