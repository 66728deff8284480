"""Ablation of GAIL's defaults on Ant-v5 with one full trajectory: one change at a time, 30k environment steps.

    python -m benchmarks.ablation run --variant default --seed 0
    python -m benchmarks.ablation all --seeds 2 --jobs 2            # everything that the CSV lacks
    python -m benchmarks.ablation list

Demonstrations, evaluation and seeds are those of few_demos.py; the final policy is measured, averaged and raw actor
both. A killed run goes on from its checkpoint.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import curves, few_demos, trainings
from benchmarks.records import append_row, command, commit, machine, markdown, read_rows, run_jobs, session_commits

CSV = few_demos.CSV.parent / "ablation.csv"
ROW, STEPS = "ant-1", 30_000
COLUMNS = (
    "env",
    "protocol",
    "n_demos",
    "variant",
    "settings",
    "seed",
    "env_steps",
    "wall_s",
    "steps_to_0.9",
    "score",
    "score_raw",
    "area",
    "return_mean",
    "return_sd",
    "length_mean",
    "n_eval",
    "machine",
    "commit",
    "command",
)

# What differs from the defaults; a name says what is changed, not what is hoped for.
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "1-step returns": ("sac.n_step=1",),
    "target rate 0.005": ("sac.tau=0.005",),
    "critic rate 3e-4": ("sac.critic_lr=3e-4",),
    "actor rate 1e-4": ("sac.actor_lr=1e-4",),
    "gamma 0.985": ("sac.gamma=0.985",),
    "no layer norm": ("sac.layer_norm=false",),
    "no expert share": ("adversary.expert_share=0", "adversary.expert_share_final=0"),
    "BC term decays to 0": ("adversary.bc_weight_final=0",),
    "penalty 10, target 1": ("adversary.gradient_penalty=10", "adversary.penalty_target=1"),
    "penalty 0": ("adversary.gradient_penalty=0",),
    "fixed temperature 0.02": ("sac.tune_alpha=false",),
    "absorbing states": ("adversary.absorbing=true",),
    "targets unbounded": ("adversary.bound_targets=false",),
    "1 update a step": ("loop.updates_per_step=1",),
    "no warm start": ("warm_start=false",),
    "rates fall from the start": ("sac.decay_start=0",),
}


def slug(variant: str) -> str:
    """The variant as part of a file name."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in variant)


def run(variant: str, seed: int, settings: tuple[str, ...]) -> None:
    """Trains, evaluates and appends a line to the CSV."""
    import torch

    torch.set_num_threads(1)
    import gail_suite as gs
    from gail_suite.runs.config import build

    row = few_demos.ROWS[ROW]
    run_dir = few_demos.WORK / "ablation" / f"{ROW}-{slug(variant)}-{seed}"
    if any((r["variant"], int(r["seed"])) == (variant, seed) for r in read_rows(CSV)):
        raise SystemExit(
            f"{variant}, seed {seed} is in {CSV.name} already: to run it again remove its line and {run_dir}"
        )
    code = commit()
    config = build(gs.few_steps(), settings=list(settings))
    trainer = trainings.new_or_resumed(gs.GAIL, row.env, few_demos.demonstrations(row, seed), config, seed, run_dir)
    policy = trainer.train(STEPS, eval_episodes=0).policy
    measured = gs.evaluate(policy, row.env, n_episodes=trainings.N_EVAL, seed=trainings.EVAL_SEED)
    raw = gs.evaluate(
        trainer.loop.policy(trainer.loop.sac.actor), row.env, n_episodes=trainings.N_EVAL, seed=trainings.EVAL_SEED
    )
    rows = trainings.metrics(run_dir)
    during = [r["score"] for r in rows if "score" in r]
    curves.save("ablation", run_dir.name, rows)
    append_row(
        CSV,
        COLUMNS,
        {
            "env": row.env,
            "protocol": row.protocol,
            "n_demos": row.n_demos,
            "variant": variant,
            "settings": " ".join(settings),
            "seed": seed,
            "env_steps": trainer.loop.steps,
            "wall_s": round(max(r["wall_s"] for r in rows if "wall_s" in r), 1),
            "steps_to_0.9": trainings.first_reaching(run_dir, 0.9)[1],
            **trainings.evaluated(measured),
            "score_raw": round(float(raw.score), 4),
            "area": round(sum(during) / len(during), 4),
            "machine": machine(),
            "commit": session_commits(run_dir, code),
            "command": command(),
        },
    )


def run_all(variants: list[str], seeds: int, jobs: int) -> None:
    """Runs what the CSV lacks, `jobs` processes at a time, seed by seed."""
    done = {(r["variant"], int(r["seed"])) for r in read_rows(CSV)}
    few_demos.pool(few_demos.ROWS[ROW].env, few_demos.ROWS[ROW].recorded)
    run_jobs(
        "benchmarks.ablation",
        [
            (f"{slug(v)}-{s}", ["--variant", v, "--seed", str(s)])
            for s in range(seeds)
            for v in variants
            if (v, s) not in done
        ],
        jobs,
        few_demos.WORK / "ablation",
    )


HEADER = [
    "variant",
    "settings",
    "score, each seed",
    "mean",
    "against default",
    "raw actor",
    "area",
    "seconds",
    "commit",
]


def table() -> str:
    """Each change of GAIL's defaults: score at the end, its paired difference from the defaults, area under the
    curve, seconds.
    """
    rows = read_rows(CSV)
    default = {r["seed"]: r for r in rows if r["variant"] == "default"}
    lines = []
    for variant in dict.fromkeys(r["variant"] for r in rows):
        found = sorted((r for r in rows if r["variant"] == variant), key=lambda r: int(r["seed"]))
        scores = [float(r["score"]) for r in found]
        paired = [float(r["score"]) - float(default[r["seed"]]["score"]) for r in found if r["seed"] in default]
        lines.append(
            [
                variant,
                f"`{found[0]['settings']}`" if found[0]["settings"] else "",
                " ".join(f"{s:.3f}" for s in scores),
                f"{np.mean(scores):.3f}",
                f"{np.mean(paired):+.3f}" if paired and variant != "default" else "",
                *(f"{np.mean([float(r[c]) for r in found]):.3f}" for c in ("score_raw", "area")),
                f"{np.mean([float(r['wall_s']) for r in found]):.0f}",
                ", ".join(sorted({r["commit"] for r in found})),
            ]
        )
    return markdown(HEADER, lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--variant", required=True, help="a name of the list, or a new one with --set")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    one.add_argument("--seed", type=int, default=0)
    every = verbs.add_parser("all")
    every.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    every.add_argument("--seeds", type=int, default=2)
    every.add_argument("--jobs", type=int, default=2)
    verbs.add_parser("list", help="print the variants")
    a = parser.parse_args()
    if a.verb == "run":
        if a.set and a.variant in VARIANTS:
            raise SystemExit(
                f"{a.variant} is a variant of the list, whose settings are its own: give --set another --variant"
            )
        run(a.variant, a.seed, (*VARIANTS.get(a.variant, ()), *a.set))
    elif a.verb == "all":
        run_all(a.variants, a.seeds, a.jobs)
    else:
        for name, settings in VARIANTS.items():
            print(f"{name:30} {' '.join(settings)}")


if __name__ == "__main__":
    main()
