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
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.few_demos import (
    DEMO_SEED,
    EVAL_SEED,
    N_EVAL,
    NO_EXPERT,
    cloned,
    metrics,
    new_or_resumed,
    rival,
    wall_seconds,
)
from benchmarks.records import (
    RESULTS,
    ROOT,
    append_row,
    command,
    commit,
    machine,
    markdown,
    read_rows,
    run_jobs,
    session_commits,
)
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.showing.stats import bootstrap_interval, iqm

if TYPE_CHECKING:
    from gail_suite.demos.policy import Policy

CSV = RESULTS / "demonstrators.csv"
WORK = Path("runs") / "demonstrators"
DEMOS_DIR = Path("../shared/data/public_demos")
FORMER = "d9cb25d:demos/experts/Ant-v5"
"""Commit and folder of the bundled Ant expert that was replaced by one that is easier to imitate."""
RECORDED = 5
"""Trajectories in the pool of a policy's demonstrations, as many as each of the files holds."""
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


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    env: str
    demonstrator: str
    """`bundled`, `former`, or a file of --demos-dir without its ending."""
    n_demos: int = 1
    subsample: int = 1
    observations: bool = False
    """The actions are hidden."""
    floor: float = 0.95

    @property
    def protocol(self) -> str:
        """How the demonstrations are given."""
        shown = "full" if self.subsample == 1 else f"every {self.subsample}th pair"
        return f"{shown}, observations only" if self.observations else shown


ROWS = {
    "humanoid-paper": Row("Humanoid-v5", "humanoid_gail_paper", floor=0.90),
    "ant-bundled": Row("Ant-v5", "bundled", floor=0.98),
    "ant-former": Row("Ant-v5", "former"),
    "cheetah-tqc": Row("HalfCheetah-v5", "halfcheetah_zoo_tqc"),
    "walker-paper": Row("Walker2d-v5", "walker2d_gail_paper"),
    "hopper-paper": Row("Hopper-v5", "hopper_gail_paper", floor=0.97),
    "ant-bundled-obs": Row("Ant-v5", "bundled", observations=True, floor=0.90),
    "humanoid-bundled": Row("Humanoid-v5", "bundled", floor=0.99),
    "ant-paper": Row("Ant-v5", "ant_gail_paper", floor=0.97),
    "ant-bundled-4x20": Row("Ant-v5", "bundled", 4, 20, floor=0.97),
    "humanoid-bundled-x20": Row("Humanoid-v5", "bundled", 1, 20),
    "walker-tqc": Row("Walker2d-v5", "walker2d_zoo_tqc"),
    "hopper-ars": Row("Hopper-v5", "hopper_zoo_ars", floor=0.97),
    "cheetah-paper": Row("HalfCheetah-v5", "halfcheetah_gail_paper"),
    "cheetah-cs285": Row("HalfCheetah-v5", "halfcheetah_cs285_v4"),
    "humanoid-bundled-obs": Row("Humanoid-v5", "bundled", observations=True, floor=0.90),
    "humanoid-paper-obs": Row("Humanoid-v5", "humanoid_gail_paper", observations=True, floor=0.90),
    "cheetah-paper-obs": Row("HalfCheetah-v5", "halfcheetah_gail_paper", observations=True, floor=0.90),
    "walker-paper-obs": Row("Walker2d-v5", "walker2d_gail_paper", observations=True, floor=0.90),
    "hopper-paper-obs": Row("Hopper-v5", "hopper_gail_paper", observations=True, floor=0.90),
}
"""The most important first."""

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

PUBLISHED = {
    ("Humanoid-v5", 1): ("5161 at 1.1M steps, 697 at 100k",),
    ("Ant-v5", 1): ("5844 at 1.3M steps, 2310 at 100k",),
    ("Walker2d-v5", 1): ("5170 at 1.5M steps, 2179 at 100k",),
    ("Hopper-v5", 1): ("3508 at 1.0M steps, 3146 at 100k",),
}
"""IL-SOAR (Viel, Viano, Cevher, ICML 2025), its best method with one trajectory of its own experts: mean of the last
five evaluations of the curves in its repository."""


@cache
def random_return(env_id: str) -> float:
    """Mean return of uniform actions: the reference where there is one, else of 50 episodes."""
    import envs
    import gail_suite as gs
    from gail_suite.showing.scale import Uniform

    known = envs.spec(env_id).random_return
    return known.mean if known else gs.evaluate(Uniform(env_id, 0), env_id, N_EVAL, seed=EVAL_SEED).return_mean


def former_expert() -> Policy:
    """The Ant expert of commit d9cb25d, from this repository's history."""
    import demos

    folder = WORK / "experts" / "former"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("policy.safetensors", "policy.json"):
        content = subprocess.run(["git", "show", f"{FORMER}/{name}"], capture_output=True, check=True, cwd=ROOT).stdout
        (folder / name).write_bytes(content)
    return demos.MlpPolicy.load(folder)


def pool(row: Row, demos_dir: Path) -> Demonstrations:
    """All the demonstrations of a row's demonstrator."""
    import demos

    if row.demonstrator not in ("bundled", "former"):
        shown = demos.from_npz(demos_dir / f"{row.demonstrator}.npz", env_id=row.env)
        return shown
    folder = WORK / "demos" / f"{row.env}-{row.demonstrator}"
    if folder.is_dir() and len(there := demos.load(folder)) >= RECORDED:
        return there[:RECORDED]
    policy = demos.expert(row.env) if row.demonstrator == "bundled" else former_expert()
    return demos.record(policy, row.env, RECORDED, seed=DEMO_SEED, n_envs=RECORDED, deterministic=True, out=folder)


def demonstrations(row: Row, seed: int, demos_dir: Path) -> Demonstrations:
    """Those of one run; each seed begins with another trajectory, as long as there are others."""
    everything = pool(row, demos_dir)
    order = np.random.default_rng(0).permutation(len(everything))
    rows = [int(order[(seed + k) % len(order)]) for k in range(row.n_demos)]
    shown = everything.chosen(rows, take={"n": row.n_demos, "seed": seed, "episodes": rows})
    if row.observations:
        shown = shown.observations_only()
    return shown if row.subsample == 1 else shown.subsample(row.subsample, seed=seed)


def identity(row: Row, algo: str, seed: int) -> tuple[str, ...]:
    """What makes a line of the CSV one of its kind."""
    return row.env, row.demonstrator, row.protocol, str(row.n_demos), algo, str(seed)


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
    from gail_suite.learning.reaching import with_actions
    from gail_suite.runs.config import build

    if algo.startswith("imitation-"):
        return *rival(algo, row.env, shown, seed, budget_s), ""
    if algo == "bc":
        if not shown.has_actions:
            shown = with_actions(row.env, shown, gs.GAILConfig().inverse.simulate)
        return cloned(row.env, shown, seed, run_dir), 0, ""
    base = few_steps() if algo == "gail-few-steps" else gs.GAILConfig()
    config = build(base, settings=VARIANTS[algo])
    trainer = new_or_resumed(gs.GAIL, row, shown, config, seed, run_dir)
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


HEADER = [
    "task",
    "demonstrator",
    "demonstrations",
    "algorithm",
    "score (IQM)",
    "each seed",
    "falls in 50",
    "lowest after 0.9",
    "env steps",
    "updates",
    "minutes (CPU)",
    "floor",
    "published: IL-SOAR",
]


SHORT = [
    "task",
    "demonstrator",
    "demonstrations",
    "BC",
    "imitation's GAIL",
    "no expert",
    "starts alone",
    "GAIL",
    "seeds",
    "falls in 50",
    "env steps",
    "minutes of processor",
    "floor",
]
COMPARED = ("bc", "imitation-gail", *CONTROLS, "gail")
"""The algorithms of the short table."""
FIRST = 10
"""Lines of the README's table."""
LEFT_OUT = ("imitation's GAIL", "no expert", "starts alone", "env steps")
"""Columns of the short table that the README's has not."""


def by_run() -> dict[tuple[str, ...], list[Mapping[str, str]]]:
    """The lines of the CSV by task, demonstrator, protocol, number of demonstrations and algorithm."""
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for row in read_rows(CSV):
        groups[row["env"], row["demonstrator"], row["protocol"], row["n_demos"], row["algo"]].append(row)
    return groups


def mean(rows: Sequence[Mapping[str, str]], column: str, scale: float = 1) -> str:
    """Mean of a column where it is known."""
    values = [float(r[column]) / scale for r in rows if r[column]]
    return f"{np.mean(values):,.0f}" if values else "-"


def table() -> str:
    """One line a demonstrator, protocol and algorithm."""
    groups = by_run()
    order = [identity(row, "", 0)[:4] for row in ROWS.values()]
    ordered = sorted(groups.items(), key=lambda item: (order.index(item[0][:4]), item[0][4]))
    return markdown(HEADER, [line(key, rows) for key, rows in ordered])


def line(key: tuple[str, ...], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The cells of one line of the table, over its seeds."""
    env, demonstrator, protocol, n_demos, algo = key
    rows = sorted(rows, key=lambda r: int(r["seed"]))
    scores = np.array([float(r["score"]) for r in rows])
    spread = " ({:.2f} to {:.2f})".format(*bootstrap_interval(scores, statistic=iqm)) if len(scores) > 1 else ""
    floor = next(r.floor for r in ROWS.values() if identity(r, "", 0)[:4] == key[:4])

    return [
        env,
        demonstrator,
        f"{n_demos}, {protocol}",
        algo,
        f"**{iqm(scores):.3f}**{spread}",
        " ".join(f"{s:.3f}" for s in scores),
        " ".join(r["falls"] for r in rows),
        " ".join(r["lowest_after_0.9"] or "-" for r in rows),
        mean(rows, "env_steps"),
        mean(rows, "updates"),
        f"{mean(rows, 'wall_s', 60)} ({mean(rows, 'cpu_s', 60)})",
        f"{floor:.2f}" if algo == "gail" else "",
        PUBLISHED.get((env, int(n_demos)), ("",))[0] if algo == "gail" else "",
    ]


def first_table() -> str:
    """The first lines of the short table, and of its columns those that say how good a policy is."""
    kept = [i for i, name in enumerate(SHORT) if name not in LEFT_OUT]
    return markdown([SHORT[i] for i in kept], [[line[i] for i in kept] for line in _short()[:FIRST]])


def short_table() -> str:
    """One line a demonstrator that the defaults were trained on, beside its clone and the controls."""
    return markdown(SHORT, _short())


def _short() -> list[list[str]]:
    groups = by_run()
    lines = []
    for row in ROWS.values():
        found = {algo: groups.get((*identity(row, "", 0)[:4], algo), []) for algo in COMPARED}
        gail = found["gail"]
        if gail:
            scores = [_score(rows) for rows in found.values()]
            figures = [mean(gail, "falls"), mean(gail, "env_steps"), mean(gail, "cpu_s", 60), f"{row.floor:.2f}"]
            shown = [row.env, row.demonstrator, f"{row.n_demos}, {row.protocol}"]
            lines.append([*shown, *scores[:-1], f"**{scores[-1]}**", str(len(gail)), *figures])
    return lines


def _score(rows: Sequence[Mapping[str, str]]) -> str:
    """The IQM over seeds, where there are any."""
    return f"{iqm(np.array([float(r['score']) for r in rows])):.3f}" if rows else "-"


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
        print(table())


if __name__ == "__main__":
    main()
