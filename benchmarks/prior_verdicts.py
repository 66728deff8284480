"""What the runs of priors.py say: every prior against plain GAIL and against each of its controls, on paired seeds.

A comparison counts the seeds that both arms have. The first arm of a group is the prior, the others are what it has to
beat.
"""

from __future__ import annotations

import numpy as np

import envs
from benchmarks import curves, few_demos
from benchmarks.few_demos import ROWS
from benchmarks.priors import ALSO, ARMS, STEPS, TASKS, first_of, rows_of, whole_rows_of
from benchmarks.records import RESULTS, markdown, read_rows
from gail_suite.showing.stats import probability_of_improvement, t_interval

Runs = list[dict[str, str]]
"""Lines of the CSV."""
Pairing = tuple[str, Runs, Runs]
"""(other arm, the prior's runs, the other's), in the order of the seeds that both have."""


CHOSEN_ON = 5
"""The seed on which weights and tails were chosen: it counts only for what has no other."""


def runs_by_arm(task: str) -> dict[str, dict[int, dict[str, str]]]:
    """Arm -> seed -> its line."""
    found: dict[str, dict[int, dict[str, str]]] = {}
    for r in whole_rows_of(task):
        found.setdefault(r["arm"], {})[int(r["seed"])] = r
    return found


def paired(by_arm: dict[str, dict[int, dict[str, str]]], name: str, other: str) -> tuple[Runs, Runs]:
    """Runs of two arms on the seeds that both have, without the one on which settings were chosen where there is
    another.
    """
    both = sorted(by_arm.get(name, {}).keys() & by_arm.get(other, {}).keys())
    seeds = [s for s in both if s != CHOSEN_ON] or both
    ours, theirs = ([by_arm[n][s] for s in seeds] for n in (name, other))
    return ours, theirs


def priors() -> list[str]:
    """The arms that claim something: the first of each group, but for variants and for arms that are controls alone."""
    return [
        n for n, a in ARMS.items() if n == first_of(a.prior) and a.variant_of is None and n not in ("plain", "bc-start")
    ]


def groups(task: str) -> dict[str, list[Pairing]]:
    """For each prior that was run, what it has to beat; no runs where an arm was not run."""
    by_arm = runs_by_arm(task)
    return {
        name: [(other, *paired(by_arm, name, other)) for other in ("plain", *controls(name, task))]
        for name in priors()
        if name in by_arm
    }


def controls(name: str, task: str) -> list[str]:
    """What a prior has to beat beside plain GAIL."""
    group = [n for n, a in ARMS.items() if a.prior == ARMS[name].prior and n != name]
    return [
        n for n in (*group, *ALSO.get(name, ())) if (task, n) != ("ant-4x20", "penalty")
    ]  # which is Ant's plain GAIL


HEADER = [
    "task",
    "prior",
    "against",
    "seeds",
    "AUC",
    "its AUC",
    "difference (95 %)",
    "score",
    "its score",
    "difference (95 %)",
    "P(improvement of AUC)",
    "steps to 0.5",
    "its steps to 0.5",
]


def table() -> str:
    """Each prior against plain GAIL and its controls, as far as they were run."""
    lines = [
        [task, name, other, str(len(ours)), *compared(ours, theirs)]
        for task in TASKS
        for name, pairs in groups(task).items()
        for other, ours, theirs in pairs
        if ours
    ]
    return markdown(HEADER, lines)


SUMMARY_HEADER = [
    "prior",
    *(f"{task}: {against}" for task in TASKS for against in ("gain over plain GAIL", "against its controls")),
]


def summary() -> str:
    """One line a prior: on each task its gain in AUC over plain GAIL, and what its controls leave of it."""
    by_task = {task: groups(task) for task in TASKS}
    lines = [
        [name, *(cell for task in TASKS for cell in verdict(by_task[task].get(name, [])))]
        for name in priors()
        if any(name in found for found in by_task.values())
    ]
    return markdown(SUMMARY_HEADER, lines)


HEADLINE = {
    "kl-t-start": (
        "a KL to a mixture's p0(a given s), and half of the environments begin in states drawn from a mixture"
    ),
    "start": "half of the environments begin in states drawn from a mixture",
    "gmm": "typicality under a mixture is 0.7 of the reward",
}
"""The priors of README's table, in words."""


HEADLINE_HEADER = [
    "task",
    "prior",
    "seeds",
    f"score after {STEPS // 1000}k steps",
    "plain GAIL's",
    "steps to 0.5, each seed",
    "plain GAIL's",
]


def headline() -> str:
    """Score after all steps and steps to 0.5, with the prior and without, on the same seeds."""
    lines = []
    for task in TASKS:
        for name, words in HEADLINE.items():
            ours, plain = paired(runs_by_arm(task), name, "plain")
            if ours:
                scores = (f"{np.mean([float(r['score']) for r in rows]):.2f}" for rows in (ours, plain))
                lines.append([task, words, str(len(ours)), *scores, *(reached(rows) for rows in (ours, plain))])
    return markdown(HEADLINE_HEADER, lines)


def reached(rows: Runs) -> str:
    """Steps to 0.5 of each run, in thousands; - where it was not reached."""
    return " ".join(f"{int(r['steps_to_0.5']) / 1000:.3g}k" if r["steps_to_0.5"] else "-" for r in rows)


ENOUGH = 3
"""Seeds that a comparison needs."""
LEVEL = 0.02
"""A mean gain in AUC up to which a prior is no better than what it is compared with."""


def verdict(pairs: list[Pairing]) -> tuple[str, str]:
    """Gain over plain GAIL, and in words what the controls say of it."""
    gains = {other: differences(ours, theirs) for other, ours, theirs in pairs}
    plain = gains.pop("plain", np.array([]))
    if len(plain) == 0:
        return "-", "not run"
    lacking = [
        f"`{other}`" + (f" ({d.mean():+.2f}, {len(d)})" if len(d) else "")
        for other, d in gains.items()
        if len(d) < ENOUGH
    ]
    measured = {other: d for other, d in gains.items() if len(d) >= ENOUGH}
    ended = [f"`{other}` ({d.mean():+.2f})" for other, d in measured.items() if d.mean() <= LEVEL]
    unsure = [
        f"`{other}` ({d.mean():+.2f})" for other, d in measured.items() if d.mean() > LEVEL and t_interval(d)[0] <= 0
    ]
    words = [f"no better than {', '.join(ended)}"] * bool(ended) + [f"not surely ahead of {', '.join(unsure)}"] * bool(
        unsure
    )
    words = words or ["ahead of each control that was run"] * bool(measured)
    words += [f"under {ENOUGH} seeds: {', '.join(lacking)}"] * bool(lacking)
    if plain.mean() <= LEVEL:
        words.insert(0, "no better than plain GAIL" if plain.mean() > 0 else "behind plain GAIL")
    return interval(plain), "; ".join(words)


VARIANT_HEADER = ["task", "prior", "variant", "seed", "AUC", "the prior's", "plain GAIL's"]


def variants() -> str:
    """A line each variant of a prior and seed: its AUC, that of the prior it varies and that of plain GAIL."""
    lines = []
    for task in TASKS:
        by_arm = runs_by_arm(task)
        for name, arm in ARMS.items():
            if arm.variant_of is not None:
                lines += [
                    [
                        task,
                        arm.variant_of,
                        name,
                        str(seed),
                        *(
                            f"{float(r['auc']):.3f}" if r else "-"
                            for r in (ours, by_arm.get(arm.variant_of, {}).get(seed), by_arm.get("plain", {}).get(seed))
                        ),
                    ]
                    for seed, ours in sorted(by_arm.get(name, {}).items())
                ]
    return markdown(VARIANT_HEADER, lines)


def differences(ours: Runs, theirs: Runs, metric: str = "auc") -> np.ndarray:
    """Of paired runs, one a seed."""
    return np.array([float(a[metric]) - float(b[metric]) for a, b in zip(ours, theirs, strict=True)])


def interval(gains: np.ndarray) -> str:
    """Mean, Student's interval and number of seeds."""
    if len(gains) == 1:
        return f"{gains[0]:+.2f} (one seed)"
    low, high = t_interval(gains)
    return f"{gains.mean():+.2f} ({low:+.2f} to {high:+.2f}; {len(gains)} seeds)"


def compared(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> list[str]:
    """Area, final score and steps to 0.5 of paired runs: means, difference with its interval, probability of
    improvement.
    """
    cells = []
    for metric in ("auc", "score"):
        a, b = (np.array([float(r[metric]) for r in rows]) for rows in (ours, theirs))
        low, high = t_interval(a - b)
        around = f"({low:+.3f} to {high:+.3f})" if len(a) > 1 else "(one seed)"
        cells += [f"{a.mean():.3f}", f"{b.mean():.3f}", f"{(a - b).mean():+.3f} {around}"]
    a, b = (np.array([float(r["auc"]) for r in rows]) for rows in (ours, theirs))
    chance = f"{probability_of_improvement(a, b):.2f}" if len(a) > 1 else ""
    return [*cells, chance, *(" ".join(r["steps_to_0.5"] or "-" for r in rows) for rows in (ours, theirs))]


KNOWLEDGE_HEADER = [
    "task",
    "control",
    "p0: nats an action's dimension",
    "its control's",
    "starts: share from which the expert stays up",
    "its control's",
    "gain in AUC over the control",
]


def knowledge() -> str:
    """What the two models of `kl-t-start` know beyond those of a control (prior_density.py, prior_starts.py), and
    what it gains over that control.
    """
    density, starts = (read_rows(RESULTS / f"{name}.csv") for name in ("prior_density", "prior_starts"))
    lines = []
    for task in TASKS:
        act_dim = envs.spec(ROWS[task].env).act_dim
        for control in ("shuffled", "untrained"):
            nats = (
                mean_of(density, task, prior, "expert") / act_dim for prior in ("gmm, Student's t", f"t, {control}")
            )
            up = (mean_of(starts, task, prior, "stays_up") for prior in ("gmm", f"gmm, {control}"))
            pair = paired(runs_by_arm(task), "kl-t-start", f"kl-t-start-{control}")
            lines.append(
                [task, control, *(f"{v:.1f}" for v in nats), *(f"{v:.2f}" for v in up), interval(differences(*pair))]
            )
    return markdown(KNOWLEDGE_HEADER, lines)


def mean_of(rows: Runs, task: str, prior: str, column: str) -> float:
    """Over the seeds of one prior."""
    return float(np.mean([float(r[column]) for r in rows if (r["task"], r["prior"]) == (task, prior)]))


WHOLE = ("score", "mean", "to 0.5", "to 0.9")
WHOLE_HEADER = [
    "task",
    "prior",
    "seed",
    "score",
    "plain GAIL's",
    "mean score",
    "plain GAIL's",
    "steps to 0.5",
    "plain GAIL's",
    "steps to 0.9",
    "plain GAIL's",
]


def whole_runs() -> str:
    """A line each run of a task's full length, beside plain GAIL's of few_demos.py, and one with the means of the
    differences.
    """
    lines = []
    for task in TASKS:
        row = ROWS[task]
        plain = {
            int(r["seed"]): r
            for r in read_rows(few_demos.CSV)
            if (r["env"], r["protocol"], int(r["n_demos"]), r["algo"]) == (row.env, row.protocol, row.n_demos, "gail")
        }
        for name in ARMS:
            ours = {int(r["seed"]): r for r in rows_of(task) if r["arm"] == name and int(r["env_steps"]) == row.steps}
            seeds = sorted(ours.keys() & plain.keys())
            pairs = [
                (
                    every_10k("priors", f"{task}-{name}-{s}-{row.steps}-steps") | {"score": float(ours[s]["score"])},
                    every_10k("few_demos", f"{task}-gail-{s}") | {"score": float(plain[s]["score"])},
                )
                for s in seeds
            ]
            lines += [
                [
                    task,
                    name,
                    str(s),
                    *(f"{side[k]:.3f}" if k in ("score", "mean") else f"{side[k]:,}" for k in WHOLE for side in pair),
                ]
                for s, pair in zip(seeds, pairs, strict=True)
            ]
            if len(pairs) > 1:
                lines.append(
                    [
                        task,
                        name,
                        "mean",
                        *(
                            f"{np.mean([side[k] for side in sides]):{'.3f' if k in ('score', 'mean') else ',.0f'}}"
                            for k in WHOLE
                            for sides in zip(*pairs, strict=True)
                        ),
                    ]
                )
                gain = {k: np.array([float(a[k]) - float(b[k]) for a, b in pairs]) for k in WHOLE}
                lines.append(
                    [task, name, "difference (95 %)", *(cell for k in WHOLE for cell in (shown_gain(gain[k], k), ""))]
                )
    return markdown(WHOLE_HEADER, lines)


def every_10k(benchmark: str, run: str) -> dict[str, float]:
    """Of a saved curve, its evaluations at whole 10,000 steps alone: their mean, and the first to reach 0.5 and 0.9."""
    found = {step: score for step, score in curves.points(benchmark, run) if step % 10_000 == 0}
    return {"mean": float(np.mean(list(found.values())))} | {
        f"to {level}": min((s for s, score in found.items() if score >= level), default=np.nan) for level in (0.5, 0.9)
    }


def shown_gain(gains: np.ndarray, name: str) -> str:
    """Mean difference and Student's interval: of scores, or of steps."""
    form = "{:+.3f}" if name in ("score", "mean") else "{:+,.0f}"
    return "{} ({} to {})".format(*(form.format(v) for v in (gains.mean(), *t_interval(gains))))
