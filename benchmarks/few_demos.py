"""Few demonstrations on Ant-v5 and Humanoid-v5: the table of README and RESULTS.md, one seed per process.

    python -m benchmarks.few_demos run --row ant-1 --algo gail --seed 0
    python -m benchmarks.few_demos all --algo gail --jobs 2        # everything that the CSV lacks, two at a time
    python -m benchmarks.few_demos show

Demonstrations are recorded once per task with fixed seeds; the choice for seed s is `take(n, seed=s)`, and, where the
protocol says so, every 20th pair of them. The final policy is evaluated over 50 deterministic episodes on seeds that no
training saw. A killed run goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import curves
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
from benchmarks.trainings import (
    DEMO_SEED,
    EVAL_SEED,
    N_EVAL,
    NO_EXPERT,
    cloned,
    evaluated,
    first_reaching,
    metrics,
    new_or_resumed,
    rival,
    wall_seconds,
)

if TYPE_CHECKING:
    from demos import Demonstrations
    from gail_suite.demos.policy import Policy

CSV = RESULTS / "few_demos.csv"
WORK = Path("runs") / "few_demos"
COLUMNS = (
    "env",
    "protocol",
    "n_demos",
    "n_pairs",
    "algo",
    "seed",
    "env_steps",
    "wall_s",
    "wall_s_to_0.9",
    "steps_to_0.9",
    "score",
    "return_mean",
    "return_sd",
    "length_mean",
    "n_eval",
    "expert_return",
    "random_return",
    "machine",
    "commit",
    "command",
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    env: str
    n_demos: int
    subsample: int
    steps: int
    recorded: int
    """Trajectories in the pool that `take` chooses from."""
    settings: tuple[str, ...] = ()
    """What this row's GAIL sets beside its defaults; any --set takes the place of all of them."""

    @property
    def protocol(self) -> str:
        """How the demonstrations are given."""
        return "full" if self.subsample == 1 else f"every {self.subsample}th pair"


ROWS = {
    "ant-1": Row("Ant-v5", 1, 1, 100_000, 25),
    # 200 pairs can be known by heart: a smooth discriminator first, a sharp one once the gait is there
    "ant-4x20": Row(
        "Ant-v5",
        4,
        20,
        150_000,
        25,
        ("adversary.gradient_penalty=4", "adversary.gradient_penalty_final=0.4", "sac.n_step=1"),
    ),
    "humanoid-1": Row("Humanoid-v5", 1, 1, 80_000, 25),
    "humanoid-4": Row("Humanoid-v5", 4, 1, 80_000, 25),
    "humanoid-80x20": Row("Humanoid-v5", 80, 20, 80_000, 80),
}


def pool(env_id: str, n: int) -> Demonstrations:
    """The recorded demonstrations of a task: the first n of a resumable recording with fixed seeds."""
    import demos

    folder = WORK / "demos" / env_id
    if (
        folder.is_dir() and len(there := demos.load(folder)) >= n
    ):  # without the writer's lock, which one process has at a time
        return there[:n]
    return demos.record(
        demos.expert(env_id), env_id, n_episodes=n, seed=DEMO_SEED, n_envs=8, deterministic=True, out=folder
    )


def demonstrations(row: Row, seed: int) -> Demonstrations:
    """The demonstrations of one run."""
    chosen = pool(row.env, row.recorded).take(row.n_demos, seed=seed)
    return chosen if row.subsample == 1 else chosen.subsample(row.subsample, seed=seed)


def run(
    row_name: str, algo: str, seed: int, overrides: list[str], label: str | None = None, budget_s: float | None = None
) -> None:
    """Trains, evaluates and appends a line to the CSV."""
    import torch

    torch.set_num_threads(1)
    import envs
    import gail_suite as gs

    row = ROWS[row_name]
    if overrides and label is None:
        raise SystemExit("a run with --set needs a --label, or its line would pass for the default's")
    label = label or algo
    if any(
        (r["env"], r["protocol"], int(r["n_demos"]), r["algo"], int(r["seed"]))
        == (row.env, row.protocol, row.n_demos, label, seed)
        for r in read_rows(CSV)
    ):
        raise SystemExit(
            f"{row_name}, {label}, seed {seed} is in {CSV.name} already: choose another --label, or remove its line "
            f"and {WORK / f'{row_name}-{label}-{seed}'}"
        )
    run_dir = WORK / f"{row_name}-{label}-{seed}"
    code = commit()  # of what runs, not of what is there when it ends
    demos_used = demonstrations(row, seed)
    start = time.perf_counter()
    policy, steps = train(row, algo, demos_used, seed, run_dir, overrides, budget_s)
    wall, code = wall_seconds(run_dir, time.perf_counter() - start), session_commits(run_dir, code)
    result = gs.evaluate(policy, row.env, n_episodes=N_EVAL, seed=EVAL_SEED)
    reached = first_reaching(run_dir, 0.9)
    curves.save("few_demos", run_dir.name, metrics(run_dir))
    spec = envs.spec(row.env)
    append_row(
        CSV,
        COLUMNS,
        {
            "env": row.env,
            "protocol": row.protocol,
            "n_demos": row.n_demos,
            "n_pairs": len(demos_used.transitions().obs),
            "algo": label,
            "seed": seed,
            "env_steps": steps,
            "wall_s": round(wall, 1),
            "wall_s_to_0.9": reached[0],
            "steps_to_0.9": reached[1],
            **evaluated(result),
            "expert_return": round(spec.expert_return.mean, 1),
            "random_return": round(spec.random_return.mean, 1),
            "machine": machine(),
            "commit": code,
            "command": command(),
        },
    )


def train(
    row: Row,
    algo: str,
    demos_used: Demonstrations,
    seed: int,
    run_dir: Path,
    overrides: list[str],
    budget_s: float | None,
) -> tuple[Policy, int]:
    """The final policy of one algorithm and the environment steps it took."""
    import gail_suite as gs
    from gail_suite.runs.config import build

    if algo.startswith("imitation-"):
        return rival(algo, row.env, demos_used, seed, budget_s)
    if algo == "bc":
        return cloned(row.env, demos_used, seed, run_dir, overrides), 0
    if algo in ("gail", "no-expert"):
        kind, config, length = gs.GAIL, gs.few_steps(), {"total_steps": row.steps}
        overrides = [*NO_EXPERT, *overrides] if algo == "no-expert" else [*(overrides or row.settings)]
    elif algo == "airl":
        kind, config, length = gs.AIRL, gs.AIRLConfig(), {"budget_s": budget_s}
    else:  # gail-ppo, gail-trpo
        kind, config, length = gs.OnPolicyGAIL, gs.onpolicy_config(algo.removeprefix("gail-")), {"budget_s": budget_s}
    trainer = new_or_resumed(kind, row.env, demos_used, build(config, settings=overrides), seed, run_dir)
    if length.get("budget_s") is not None:
        # the seconds of earlier sessions that the checkpoint holds; what came after it is done again
        length["budget_s"] -= max(
            (r["wall_s"] for r in metrics(run_dir) if r["step"] <= trainer.loop.steps), default=0.0
        )
        if length["budget_s"] <= 0:
            return trainer.loop.policy(), trainer.loop.steps
    return trainer.train(**length, eval_episodes=0).policy, trainer.loop.steps


def missing(algos: list[str], rows: list[str], seeds: int) -> list[tuple[str, str, int]]:
    """(row, algorithm, seed) that the CSV lacks."""
    done = {(r["env"], r["protocol"], int(r["n_demos"]), r["algo"], int(r["seed"])) for r in read_rows(CSV)}
    wanted = [(name, algo, seed) for seed in range(seeds) for algo in algos for name in rows]
    return [
        (name, algo, seed)
        for name, algo, seed in wanted
        if (ROWS[name].env, ROWS[name].protocol, ROWS[name].n_demos, algo, seed) not in done
    ]


def run_all(algos: list[str], rows: list[str], seeds: int, jobs: int) -> None:
    """Runs what is missing, `jobs` processes at a time."""
    for env_id, n in {(ROWS[r].env, max(ROWS[q].recorded for q in rows if ROWS[q].env == ROWS[r].env)) for r in rows}:
        pool(env_id, n)
    run_jobs(
        "benchmarks.few_demos",
        [
            (f"{row}-{algo}-{seed}", ["--row", row, "--algo", algo, "--seed", str(seed)])
            for row, algo, seed in missing(algos, rows, seeds)
        ],
        jobs,
        WORK,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--row", choices=ROWS, required=True)
    one.add_argument("--algo", default="gail")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    one.add_argument("--label", help="name of the variant in the CSV (default: the algorithm)")
    one.add_argument("--budget-s", type=float, help="wall-clock limit of the on-policy algorithms")
    every = verbs.add_parser("all")
    every.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    every.add_argument("--algo", nargs="+", default=["gail", "bc"])
    every.add_argument("--seeds", type=int, default=3)
    every.add_argument("--jobs", type=int, default=2)
    verbs.add_parser("show", help="print the table")
    verbs.add_parser("curves", help="keep the curves of runs that are still going")
    a = parser.parse_args()
    if a.verb == "run":
        run(a.row, a.algo, a.seed, a.set, a.label, a.budget_s)
    elif a.verb == "all":
        run_all(a.algo, a.rows, a.seeds, a.jobs)
    elif a.verb == "curves":
        for run_dir in sorted(WORK.glob("*-*-*")):
            curves.save("few_demos", run_dir.name, metrics(run_dir))
    else:
        from benchmarks.few_demos_table import table

        print(table())


if __name__ == "__main__":
    main()
