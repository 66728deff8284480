"""The tables of few_demos.csv: what was reached, the variants, and whether it held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from benchmarks import curves
from benchmarks.few_demos import CSV, ROWS
from benchmarks.records import markdown, read_rows
from gail_suite.showing.stats import bootstrap_interval, iqm

HEADER = [
    "task",
    "demonstrations",
    "algorithm",
    "score (IQM)",
    "95 % interval",
    "each seed",
    "env steps",
    "wall-clock",
    "to 0.9",
    "commit",
]
ALGORITHMS = (
    "bc",
    "gail",
    "no-expert",
    "gail-ppo",
    "gail-trpo",
    "airl",
    "imitation-gail",
    "imitation-airl",
    "imitation-bc",
)
"""Those of the table; any other label is a variant of GAIL that was tried."""


def table(wanted: Callable[[str], bool] = ALGORITHMS.__contains__) -> str:
    """One line a task, protocol and algorithm: IQM over seeds with a bootstrap interval, steps and wall-clock."""
    groups: dict[tuple, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(CSV):
        if wanted(row["algo"]):
            groups[row["env"], int(row["n_demos"]), row["protocol"], row["algo"]].append(row)
    seconds = {key: [float(r["wall_s_to_0.9"]) for r in rows if r["wall_s_to_0.9"]] for key, rows in groups.items()}
    lines = []
    for (env, n, protocol, algo), rows in sorted(groups.items()):
        rows.sort(key=lambda r: int(r["seed"]))
        scores = np.array([float(r["score"]) for r in rows])
        interval = (
            "{:.3f} to {:.3f}".format(*bootstrap_interval(scores, statistic=iqm)) if len(scores) > 1 else "one seed"
        )
        to_09, ours = seconds[env, n, protocol, algo], seconds.get((env, n, protocol, "gail"), [])
        ratio = f", {np.mean(to_09) / np.mean(ours):.1f} x gail's" if to_09 and ours and algo != "gail" else ""
        lines.append(
            [
                env,
                f"{n} ({protocol}, {rows[0]['n_pairs']} pairs)",
                algo,
                f"**{iqm(scores):.3f}**",
                interval,
                " ".join(f"{s:.3f}" for s in scores),
                f"{int(rows[0]['env_steps']):,}",
                f"{np.mean([float(r['wall_s']) for r in rows]) / 60:.1f} min",
                f"{np.mean(to_09) / 60:.1f} min ({len(to_09)}/{len(rows)}{ratio})" if to_09 else "not reached",
                ", ".join(sorted({r["commit"] for r in rows})),
            ]
        )
    return markdown(HEADER, lines)


def variants() -> str:
    """The same of what was tried against the defaults."""
    return table(lambda algo: algo not in ALGORITHMS)


HOLDING_HEADER = ["row", "first at 0.9, each seed", "lowest evaluation from there on", "end, 50 episodes"]


def holding() -> str:
    """Whether GAIL keeps what it reached: when each run first stood at 0.9, its lowest evaluation (5 episodes) from
    there on, its end (50).
    """
    names = {(r.env, r.protocol, r.n_demos): name for name, r in ROWS.items()}
    groups: dict[str, list[list[str]]] = defaultdict(list)
    for row in sorted(read_rows(CSV), key=lambda r: int(r["seed"])):
        if row["algo"] != "gail":
            continue
        name = names[row["env"], row["protocol"], int(row["n_demos"])]
        scores = curves.points("few_demos", f"{name}-gail-{row['seed']}")
        first = next((i for i, (_, score) in enumerate(scores) if score >= 0.9), None)
        reached = (
            ["-", "-"]
            if first is None
            else [f"{scores[first][0] // 1000}k", f"{min(score for _, score in scores[first:]):.2f}"]
        )
        groups[name].append([*reached, f"{float(row['score']):.2f}"])
    lines = [[name, *(" ".join(column) for column in zip(*runs, strict=True))] for name, runs in sorted(groups.items())]
    return markdown(HOLDING_HEADER, lines)
