"""Demonstrators that nobody here trained: every row of the table with the defaults, one seed a process.

    python -m benchmarks.demonstrators run --row humanoid-paper --algo gail --seed 0
    python -m benchmarks.demonstrators all --seeds 3 --jobs 2        # what the CSV lacks, the most important rows first

The demonstrations of seed s are the s-th of a fixed order and those after it, and, where the row says so, every k-th
pair of them (until 2026-11-29 `take(n, seed=s)`, which is the same for the seeds 0 and 1 of one trajectory). The final
policy is evaluated over 50 deterministic episodes on seeds that no training saw. Score = (return - random) / (mean
return of the demonstrations - random). Other people's demonstrations are read from --demos-dir. A killed run resumes
from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.demonstrator_rows import DEMOS_DIR, ROWS, WORK, Row, demonstrations, identity, pool, random_return
from benchmarks.records import (
    RESULTS,
    append_row,
    command,
    commit,
    machine,
    read_rows,
    run_jobs,
    session_commits,
)
from benchmarks.trainings import EVAL_SEED, N_EVAL, NO_EXPERT, cloned, metrics, new_or_resumed, rival, wall_seconds
from gail_suite.demos.trajectory import Demonstrations

if TYPE_CHECKING:
    from gail_suite.demos.policy import Policy

CSV = RESULTS / "demonstrators.csv"
COLUMNS = (
    "env",
    "demonstrator",
    "protocol",
    "n_demos",
    "n_pairs",
    "algo",
    "seed",
    "env_steps",
    "updates",
    "wall_s",
    "cpu_s",
    "score",
    "return_mean",
    "return_sd",
    "falls",
    "n_eval",
    "lowest_after_0.9",
    "demo_return",
    "random_return",
    "machine",
    "commit",
    "command",
)

UNINFORMED = (
    *NO_EXPERT,
    "adversary.entropy_at_bounds=0",
    "adversary.entropy_safe=0",
    "choose=false",
    "settle=0",
)
VARIANTS: dict[str, tuple[str, ...]] = {
    "gail": (),
    "gail-no-starts": ("starts.share=0",),
    "gail-128-environments": (
        "steps=1600000",
        "loop.n_envs=128",
        "loop.updates_per_step=0.03125",
        "loop.warm_up=32000",
        "loop.eval_every=80000",
        "loop.checkpoint_every=160000",
        "loop.log_every=8000",
    ),
    "gail-no-reach": ("adversary.reach=0",),
    "gail-few-steps": (),
    "gail-state-only": ("adversary.state_only=true",),
    "gail-learned-inverse": ("inverse.simulate=0",),
    "gail-batch-128": ("sac.batch_size=128",),
    "gail-actor-1e-4": ("sac.actor_lr=1e-4",),
    "gail-penalty-4-to-0.4": (
        "adversary.gradient_penalty=4",
        "adversary.gradient_penalty_final=0.4",
        "adversary.gradient_penalty_safe=0.4",
    ),
    "gail-penalty-1-to-0.1": ("adversary.gradient_penalty_final=0.1",),
    "gail-penalty-0.2": ("adversary.gradient_penalty=0.2",),
    "gail-entropy-3": ("sac.target_entropy=-3", "adversary.entropy_at_bounds=0"),
    "gail-entropy-3-penalty-0.1": (
        "sac.target_entropy=-3",
        "adversary.entropy_at_bounds=0",
        "adversary.gradient_penalty_final=0.1",
    ),
    "no-expert": (*UNINFORMED, "starts.share=0"),
    "reset-only": UNINFORMED,
}
"""Off-policy GAIL by name, with what each sets beside its defaults. The last two know no expert: a discriminator that
never learns, without and with episodes that begin in demonstrated states."""

CONTROLS = ("no-expert", "reset-only")
"""What survival alone, and starts alone, are worth."""


def done() -> set[tuple[str, ...]]:
    """The lines that the CSV has."""
    names = ("env", "demonstrator", "protocol", "n_demos", "algo", "seed")
    return {tuple(r[name] for name in names) for r in read_rows(CSV)}


def train(
    row: Row, algo: str, shown: Demonstrations, seed: int, run_dir: Path, budget_s: float | None
) -> tuple[Policy, int, int | str]:
    """The final policy, the environment steps and the updates it took."""
    import gail_suite as gs
    from gail_suite.algorithms.gail import few_steps
    from gail_suite.learning.shown.reaching import with_actions
    from gail_suite.runs.config import build

    if algo.startswith("imitation-"):
        return *rival(algo, row.env, shown, seed, budget_s), ""
    if algo == "bc":
        if not shown.has_actions:
            shown = with_actions(row.env, shown, gs.GAILConfig().inverse.simulate)
        return cloned(row.env, shown, seed, run_dir), 0, ""
    base = few_steps() if algo == "gail-few-steps" else gs.GAILConfig()
    config = build(base, settings=VARIANTS[algo])
    trainer = new_or_resumed(gs.GAIL, row.env, shown, config, seed, run_dir)
    policy = trainer.train(eval_episodes=0).policy
    return policy, trainer.loop.steps, trainer.loop.sac.updates


def run(row_name: str, algo: str, seed: int, demos_dir: Path, budget_s: float | None = None) -> None:
    """Trains, evaluates and appends a line to the CSV."""
    import torch

    torch.set_num_threads(1)
    import envs
    import gail_suite as gs

    row = ROWS[row_name]
    if identity(row, algo, seed) in done():
        raise SystemExit(
            f"{row_name}, {algo}, seed {seed} is in {CSV.name} already: remove its line to measure it again"
        )
    run_dir = WORK / f"{row_name}-{algo}-{seed}"
    code, shown = commit(), demonstrations(row, seed, demos_dir)
    resumed = (run_dir / "checkpoints").exists()  # then only this session's processor time is known
    started, processor = time.perf_counter(), time.process_time()
    policy, steps, updates = train(row, algo, shown, seed, run_dir, budget_s)
    wall, cpu = time.perf_counter() - started, time.process_time() - processor
    result = gs.evaluate(policy, row.env, N_EVAL, seed=EVAL_SEED)
    worst, full = random_return(row.env), float(shown.returns.mean())

    def score(value: float) -> float:
        return round((value - worst) / (full - worst), 4)

    held = lowest_after([score(r["return_mean"]) for r in metrics(run_dir) if "return_mean" in r], 0.9)
    append_row(
        CSV,
        COLUMNS,
        dict(
            zip(("env", "demonstrator", "protocol", "n_demos", "algo", "seed"), identity(row, algo, seed), strict=True)
        )
        | {
            "n_pairs": shown.n_pairs,
            "env_steps": steps,
            "updates": updates,
            "wall_s": round(wall_seconds(run_dir, wall), 1),
            "cpu_s": "" if resumed else round(cpu, 1),
            "score": score(result.return_mean),
            "return_mean": round(result.return_mean, 1),
            "return_sd": round(float(result.returns.std(ddof=1)), 1),
            "falls": int((result.lengths < (envs.spec(row.env).horizon or 0)).sum()),
            "n_eval": N_EVAL,
            "lowest_after_0.9": held,
            "demo_return": round(full, 1),
            "random_return": round(worst, 1),
            "machine": machine(),
            "commit": session_commits(run_dir, code),
            "command": command(),
        },
    )


def lowest_after(scores: Sequence[float], level: float) -> float | str:
    """The lowest score from the first that reaches the level on, nothing where none does."""
    first = next((i for i, score in enumerate(scores) if score >= level), None)
    return "" if first is None else min(scores[first:])


def possible(row_name: str, algo: str) -> bool:
    """Whether an algorithm can learn from a row: imitation's need recorded actions, our cloning has them found."""
    return not (algo.startswith("imitation-") and ROWS[row_name].observations)


def run_all(algos: Sequence[str], rows: Sequence[str], seeds: int, jobs: int, demos_dir: Path) -> int:
    """Runs what the CSV lacks, `jobs` processes at a time, seed by seed; how many failed."""
    there = done()
    wanted = [(name, algo, seed) for seed in range(seeds) for algo in algos for name in rows]
    missing = [w for w in wanted if identity(ROWS[w[0]], *w[1:]) not in there and possible(*w[:2])]
    for name in dict.fromkeys(name for name, _, _ in missing):
        pool(ROWS[name], demos_dir)
    arguments = [
        (f"{n}-{a}-{s}", ["--row", n, "--algo", a, "--seed", str(s), "--demos-dir", str(demos_dir)])
        for n, a, s in missing
    ]
    return run_jobs("benchmarks.demonstrators", arguments, jobs, WORK)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one, every = verbs.add_parser("run"), verbs.add_parser("all")
    one.add_argument("--row", choices=ROWS, required=True)
    one.add_argument("--algo", default="gail", help=f"bc, imitation-gail, {', '.join(VARIANTS)}")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--budget-s", type=float, help="wall-clock limit of imitation's algorithms")
    every.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    every.add_argument("--algo", nargs="+", default=["bc", "gail"])
    every.add_argument("--seeds", type=int, default=3)
    every.add_argument("--jobs", type=int, default=2)
    for verb in (one, every):
        verb.add_argument("--demos-dir", type=Path, default=DEMOS_DIR)
    verbs.add_parser("show", help="print the table")
    a = parser.parse_args()
    if a.verb == "run":
        run(a.row, a.algo, a.seed, a.demos_dir, a.budget_s)
    elif a.verb == "all":
        raise SystemExit(min(1, run_all(a.algo, a.rows, a.seeds, a.jobs, a.demos_dir)))
    else:
        from benchmarks.demonstrators_table import table

        print(table())


if __name__ == "__main__":
    main()
