"""Do learned priors help GAIL early on? Every prior against plain GAIL and against each of its controls, on paired
seeds.

    python -m benchmarks.priors run --task ant-4x20 --arm gmm --seed 0
    python -m benchmarks.priors all --seeds 3 --jobs 2                   # everything that the CSV lacks
    python -m benchmarks.priors all --arms plain gmm gmm-untrained       # some arms
    python -m benchmarks.priors run --task ant-4x20 --arm kl-t --seed 0 --steps 150000     # the whole of a run of
    few_demos.py python -m benchmarks.priors list

The tasks are rows of few_demos.py, their settings and the same demonstrations for the same seed: the first 40,000 steps
of those runs (schedules are the whole run's), where a prior has to pay. A killed run goes on from its checkpoint. AUC
is the mean score from step 0 to the end.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import curves, few_demos, trainings
from benchmarks.few_demos import ROWS
from benchmarks.records import append_row, command, commit, machine, read_rows, run_jobs, session_commits

CSV = few_demos.CSV.parent / "priors.csv"
WORK = few_demos.WORK.parent / "priors"
TASKS = ("ant-4x20", "humanoid-1")
STEPS = 40_000
BUDGET = ("loop.eval_every=2500", "loop.eval_episodes=3", "loop.checkpoint_every=10000")
COLUMNS = (
    *(c for c in few_demos.COLUMNS if c != "command"),
    "prior",
    "arm",
    "auc",
    "steps_to_0.5",
    "bonus_mean",
    "settings",
    "command",
)


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    prior: str
    """The prior that it is or controls for: the group of the table."""
    fit: dict[str, Any] = field(default_factory=dict)
    """Arguments of `fit_prior`; nothing is fitted without."""
    settings: tuple[str, ...] = ()
    """Settings of GAIL."""
    second: dict[str, Any] = field(default_factory=dict)
    """Arguments of `fit_prior` for a second prior."""
    constant_of: str | None = None
    """Arm whose mean bonus is given for every transition; it has to run first."""
    variant_of: str | None = None
    """Arm of which this is a variant (of size, training, weight, with a second prior): it is told beside that arm
    and claims nothing.
    """


MIXED, TAIL = ("priors.typicality.weight=0.7",), {"tail": 0.25}
ARMS: dict[str, Arm] = {"plain": Arm("none")}
for _model in ("gmm", "vae", "ae", "pixelcnn", "gan"):
    ARMS[_model] = Arm(_model, {"model": _model} | TAIL, MIXED)
    ARMS[f"{_model}-untrained"] = Arm(_model, {"model": _model, "control": "untrained"} | TAIL, MIXED)
    ARMS[f"{_model}-shuffled"] = Arm(_model, {"model": _model, "control": "shuffled"} | TAIL, MIXED)
    ARMS[f"{_model}-constant"] = Arm(_model, {"model": "constant"}, MIXED, constant_of=_model)
# one Gaussian under a wide noise, which ranks a beginner's steps better than the mixture of the largest likelihood; of
# tails of 0.5 and 1
# on seed 5 (CHOSEN_ON)
SOFT = {"model": "gmm", "n_components": 1, "reg_covar": 0.04, "tail": 0.5}
ARMS |= {
    "soft": Arm("soft", SOFT, MIXED, variant_of="gmm"),
    "soft-untrained": Arm("soft", SOFT | {"control": "untrained"}, MIXED),
}
VAE, NATS = {"model": "vae", "use": "bottleneck"}, ("priors.bottleneck.nats=0.5",)
ARMS |= {  # plain has the gradient penalty alone, and what is here has it too
    "vail": Arm("vail", settings=("adversary.bottleneck=0.5",)),
    "vail-open": Arm(
        "vail", settings=("adversary.bottleneck=1000",)
    ),  # its network, which differs from plain's, without a limit
    "penalty": Arm(
        "vail", settings=("adversary.gradient_penalty=4", "adversary.gradient_penalty_final=0.4")
    ),  # Ant's plain has it already
    "dropout": Arm("vail", settings=("adversary.dropout=0.5",)),
    "vail-vae": Arm("vail-vae", VAE, NATS),
    "vail-vae-untrained": Arm("vail-vae", VAE | {"control": "untrained"}, NATS),
    "vail-vae-shuffled": Arm("vail-vae", VAE | {"control": "shuffled"}, NATS),
}
HALF_DECODED = ("priors.latent_action.share=0.5",)
for _model in ("ae", "vae"):
    LATENT = {"model": _model, "use": "latent-action"}
    ARMS[f"latent-{_model}"] = Arm(f"latent-{_model}", LATENT, HALF_DECODED)
    # the wider action alone: a decoder with the weights that it was drawn with
    ARMS[f"latent-{_model}-wider"] = Arm(f"latent-{_model}", LATENT | {"control": "untrained"}, HALF_DECODED)
    ARMS[f"latent-{_model}-shuffled"] = Arm(f"latent-{_model}", LATENT | {"control": "shuffled"}, HALF_DECODED)
FADING, NO_BC_TERM = (
    ("priors.behaviour.weight=0.02", "priors.behaviour.weight_final=0"),
    ("adversary.bc_weight=0", "adversary.bc_weight_final=0"),
)
# Gaussian components, which are as sure of an action far from the demonstrations as among them, and Student's t
GAUSSIAN, STUDENT = {"model": "gmm", "use": "behaviour", "dof": float("inf")}, {"model": "gmm", "use": "behaviour"}
AUTOREGRESSIVE = {"model": "pixelcnn", "use": "behaviour"}
STRONGER = (
    "priors.behaviour.weight=0.05",
    "priors.behaviour.weight_final=0",
)  # of 0.02, 0.05 and 0.2 on seed 5 (CHOSEN_ON)
for _name, KL, _settings in (
    ("kl-gmm", GAUSSIAN, FADING),
    ("kl-t", STUDENT, STRONGER),
    ("kl-pixelcnn", AUTOREGRESSIVE, FADING),
):
    ARMS[_name] = Arm(_name, KL, _settings)
    ARMS[f"{_name}-untrained"] = Arm(_name, KL | {"control": "untrained"}, _settings)
    ARMS[f"{_name}-shuffled"] = Arm(_name, KL | {"control": "shuffled"}, _settings)
# half of the environments begin in states of a mixture; its controls begin in those of one that knows less, in the
# demonstrated states
# themselves, or as the task does (`reset`), cut after as many steps
START, HALF = {"model": "gmm", "use": "start"}, ("priors.start.share=0.5",)
ARMS |= {
    "start": Arm("start", START, HALF),
    "start-untrained": Arm("start", START | {"control": "untrained"}, HALF),
    "start-shuffled": Arm("start", START | {"control": "shuffled"}, HALF),
    "start-reset": Arm("start", START | {"model": "constant"}, HALF),
    "start-demonstrated": Arm("start", START | {"model": "demonstrated"}, HALF),
}
# the two uses of one mixture of where the expert goes: episodes begin there, and being there pays
FROM_STARTS = (*MIXED, *HALF)
ARMS["gmm-start"] = Arm("gmm-start", {"model": "gmm"} | TAIL, FROM_STARTS, START, variant_of="start")
# where the expert goes, typicality of (s, s'), with what it does there, the KL to p0(a | s); weights as of each alone
BOTH = (*MIXED, *STRONGER)
ARMS["both"] = Arm("both", {"model": "gmm"} | TAIL, BOTH, STUDENT, variant_of="gmm")
# the KL where p0(a | s) is sure of itself: half of the environments are near the expert's states
KL_START = (*STRONGER, *HALF)
ARMS["kl-t-start"] = Arm("kl-t-start", STUDENT, KL_START, START)
for _control in ("untrained", "shuffled"):
    ARMS[f"kl-t-start-{_control}"] = Arm(
        "kl-t-start", STUDENT | {"control": _control}, KL_START, START | {"control": _control}
    )
ARMS |= {
    "kl-t-start-reset": Arm(
        "kl-t-start", STUDENT, KL_START, START | {"model": "constant"}
    ),  # the KL, and episodes cut as often
    "kl-t-start-demonstrated": Arm("kl-t-start", STUDENT, KL_START, START | {"model": "demonstrated"}),
}  # no model of the states
ARMS["vail-kl-t"] = Arm("vail-kl-t", STUDENT, ("adversary.bottleneck=0.5", *STRONGER), variant_of="kl-t")
# started from the prior's own actions around the demonstrated states: beside the BC term of plain, and in its place
WARM = ("priors.behaviour.warm_start=true",)
ARMS |= {
    "kl-t-warm": Arm("kl-t-warm", STUDENT, (*STRONGER, *WARM), variant_of="kl-t"),
    "kl-gmm-warm-0.1": Arm(
        "kl-gmm-warm-0.1",
        GAUSSIAN,
        ("priors.behaviour.weight=0.1", "priors.behaviour.weight_final=0", *NO_BC_TERM, *WARM),
        variant_of="kl-gmm",
    ),
}
ARMS["bc-start"] = Arm("bc-start", settings=NO_BC_TERM)  # BC's initialisation alone
# how the gain goes with the size and the training of the model and with the weight, and as a potential, which cannot
# change what is best
VARIANTS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    f"gmm-k{k}": ("gmm", {"model": "gmm", "n_components": k} | TAIL, MIXED) for k in (1, 4, 16)
}
VARIANTS |= {f"vae-{steps}-steps": ("vae", {"model": "vae", "steps": steps} | TAIL, MIXED) for steps in (20, 200)}
VARIANTS |= {
    f"gmm-weight-{w}": ("gmm", {"model": "gmm"} | TAIL, (f"priors.typicality.weight={w}",)) for w in ("0.3", "1.0")
}
VARIANTS |= {
    "start-200": ("start", START, (*HALF, "priors.start.rollout=200")),
    "gmm-potential": ("gmm", {"model": "gmm", "states": True} | TAIL, (*MIXED, "priors.typicality.potential=true")),
    "gmm-exponential": ("gmm", {"model": "gmm"}, ("priors.typicality.weight=0.2",)),
}  # without the tail, a beginner scores 0
VARIANTS |= {
    f"kl-t-{w}": ("kl-t", STUDENT, (f"priors.behaviour.weight={w}", "priors.behaviour.weight_final=0"))
    for w in ("0.02", "0.2")
}
VARIANTS |= {f"vail-{nats}": ("vail", {}, (f"adversary.bottleneck={nats}",)) for nats in ("0.05", "0.1", "0.2")}
VARIANTS["soft-1.0"] = ("soft", SOFT | {"tail": 1.0}, MIXED)
ARMS["gmm-start-200"] = Arm(
    "gmm-start-200", {"model": "gmm"} | TAIL, (*FROM_STARTS, "priors.start.rollout=200"), START, variant_of="gmm-start"
)
# the actor moves after 500 critic updates and not after 3000
ARMS["kl-t-start-soon"] = Arm(
    "kl-t-start-soon", STUDENT, (*KL_START, "sac.burn_in=500"), START, variant_of="kl-t-start"
)
ARMS |= {name: Arm(name, fit, settings, variant_of=of) for name, (of, fit, settings) in VARIANTS.items()}
ALSO = {
    "kl-t-start": ("kl-t", "start", "bc-start"),
    "vail-vae": ("vail", "dropout"),
    "kl-gmm": ("bc-start",),
    "kl-t": ("bc-start",),
    "kl-pixelcnn": ("bc-start",),
}
"""Arms of other groups that a prior has to beat too."""
# The first arm of a group is the prior, the others are what it has to beat.


def run(task: str, name: str, seed: int, steps: int = STEPS) -> None:
    """Trains, evaluates and appends a line to the CSV."""
    import torch

    torch.set_num_threads(1)
    import gail_suite as gs
    from gail_suite.runs.config import build

    if any((r["arm"], int(r["seed"]), int(r["env_steps"])) == (name, seed, steps) for r in rows_of(task)):
        raise SystemExit(
            f"{task}, {name}, seed {seed} is in {CSV.name} already: to run it again remove its line, and its folder in "
            f"{WORK}"
        )
    arm, row = ARMS[name], ROWS[task]
    run_dir = WORK / f"{task}-{name}-{seed}" if steps == STEPS else WORK / f"{task}-{name}-{seed}-{steps}-steps"
    shown, code = few_demos.demonstrations(row, seed), commit()
    settings = (
        *BUDGET,
        f"loop.horizon={row.steps}",
        *row.settings,
        *arm.settings,
        *prior_settings(arm, task, seed, shown, run_dir),
    )
    start = time.perf_counter()
    trainer = trainings.new_or_resumed(gs.GAIL, row.env, shown, build(gs.few_steps(), settings=settings), seed, run_dir)
    policy = trainer.train(steps, eval_episodes=0).policy
    wall = trainings.wall_seconds(run_dir, time.perf_counter() - start)
    result = gs.evaluate(policy, row.env, n_episodes=trainings.N_EVAL, seed=trainings.EVAL_SEED)
    curves.save("priors", run_dir.name, trainings.metrics(run_dir))
    reached = trainings.first_reaching(run_dir, 0.9)
    append_row(
        CSV,
        COLUMNS,
        reference_columns(row)
        | {
            "n_pairs": len(shown.transitions()),
            "algo": "gail",
            "seed": seed,
            "env_steps": trainer.loop.steps,
            "wall_s": round(wall, 1),
            "wall_s_to_0.9": reached[0],
            "steps_to_0.9": reached[1],
            **trainings.evaluated(result),
            "machine": machine(),
            "commit": session_commits(run_dir, code),
            "prior": arm.prior,
            "arm": name,
            "auc": round(area(trainings.metrics(run_dir)), 4),
            "steps_to_0.5": trainings.first_reaching(run_dir, 0.5)[1],
            "bonus_mean": bonus_mean(trainings.metrics(run_dir)),
            "settings": " ".join(arm.settings),
            "command": command(),
        },
    )


def prior_settings(arm: Arm, task: str, seed: int, shown: Any, run_dir: Path) -> tuple[str, ...]:
    """Fits the arm's priors to the run's own demonstrations and says where they are."""
    from gail_suite.priors.attach import group
    from gail_suite.priors.prior import fit_prior

    paths = []
    for name, fit in (("prior", arm.fit), ("second_prior", arm.second)):
        if fit:
            place = run_dir.with_name(f"{run_dir.name}-{name}")
            shutil.rmtree(place, ignore_errors=True)  # it may be of other settings; a run that goes on has its own copy
            constant = arm.constant_of if name == "prior" else None
            more = {} if constant is None else {"value": partner_bonus(task, constant, seed)}
            fit_prior(shown, **fit, seed=seed, **more).save(place)
            paths.append(f"{group(fit.get('use', 'typicality'))}.path={place}")
    return tuple(paths)


def partner_bonus(task: str, name: str, seed: int) -> float:
    """Mean bonus of the arm that a constant stands for."""
    found = [r["bonus_mean"] for r in whole_rows_of(task) if r["arm"] == name and int(r["seed"]) == seed]
    if not found:
        raise SystemExit(f"the constant of {name} on {task}, seed {seed}, waits for that arm: run it first")
    return float(found[-1])


def reference_columns(row: few_demos.Row) -> dict[str, Any]:
    """Task and reference returns."""
    import envs

    spec = envs.spec(row.env)
    assert spec.expert_return is not None and spec.random_return is not None
    return {
        "env": row.env,
        "protocol": row.protocol,
        "n_demos": row.n_demos,
        "expert_return": round(spec.expert_return.mean, 1),
        "random_return": round(spec.random_return.mean, 1),
    }


def area(metrics: list[dict]) -> float:
    """Mean over steps of the piecewise linear score."""
    steps, scores = points(metrics)
    return float(np.trapezoid(scores, steps) / (steps[-1] - steps[0]))


def points(metrics: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and scores of the evaluations on the way, which start with that of the warm start."""
    found = [(r["step"], r.get("score", r.get("bc_score"))) for r in metrics if "score" in r or "bc_score" in r]
    steps, scores = np.array(found, float).T
    return steps, scores


def bonus_mean(metrics: list[dict]) -> float | str:
    """Mean bonus over the batches of a run, empty without one."""
    found = [r["bonus"] for r in metrics if "bonus" in r]
    return round(float(np.mean(found)), 4) if found else ""


def rows_of(task: str) -> list[dict[str, str]]:
    """Lines of the CSV of one task."""
    row = ROWS[task]
    return [
        r
        for r in read_rows(CSV)
        if (r["env"], r["protocol"], int(r["n_demos"])) == (row.env, row.protocol, row.n_demos)
    ]


def whole_rows_of(task: str) -> list[dict[str, str]]:
    """Those of runs of the full length."""
    return [r for r in rows_of(task) if int(r["env_steps"]) == STEPS]


def run_all(tasks: Iterable[str], arms: Iterable[str], seeds: int, jobs: int) -> int:
    """Runs what the CSV lacks seed by seed, `jobs` processes at a time, constants after the arms that they stand
    for; how many failed.
    """
    done = {(task, r["arm"], int(r["seed"])) for task in tasks for r in whole_rows_of(task)}
    for task in tasks:
        few_demos.pool(ROWS[task].env, ROWS[task].recorded)
    failed = 0
    for seed in range(seeds):
        for later in (False, True):
            wanted = [
                (t, a)
                for t in tasks
                for a in arms
                if (ARMS[a].constant_of is not None) == later and (t, a, seed) not in done
            ]
            failed += run_jobs(
                "benchmarks.priors",
                [(f"{t}-{a}-{seed}", ["--task", t, "--arm", a, "--seed", str(seed)]) for t, a in wanted],
                jobs,
                WORK,
            )
    return failed


def first_of(group: str) -> str:
    """The prior of a group: its first arm."""
    return next(name for name, arm in ARMS.items() if arm.prior == group)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--task", choices=TASKS, required=True)
    one.add_argument("--arm", choices=ARMS, required=True)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--steps", type=int, default=STEPS)
    every = verbs.add_parser("all")
    every.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    every.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    every.add_argument("--seeds", type=int, default=3)
    every.add_argument("--jobs", type=int, default=2)
    verbs.add_parser("list", help="print the arms")
    a = parser.parse_args()
    if a.verb == "run":
        run(a.task, a.arm, a.seed, a.steps)
    elif a.verb == "all":
        raise SystemExit(int(run_all(a.tasks, a.arms, a.seeds, a.jobs) > 0))
    elif a.verb == "list":
        for name, arm in ARMS.items():
            print(f"{name:20} {arm.prior:12} {arm.fit} {' '.join(arm.settings)}")


if __name__ == "__main__":
    main()
