"""The tables of demonstrators.csv: all rows, one line a demonstrator, and the first lines for the README."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.demonstrator_rows import ROWS, identity
from benchmarks.demonstrators import CONTROLS, CSV
from benchmarks.records import markdown, read_rows
from gail_suite.showing.stats import bootstrap_interval, iqm

PUBLISHED = {
    ("Humanoid-v5", 1): ("5161 at 1.1M steps, 697 at 100k",),
    ("Ant-v5", 1): ("5844 at 1.3M steps, 2310 at 100k",),
    ("Walker2d-v5", 1): ("5170 at 1.5M steps, 2179 at 100k",),
    ("Hopper-v5", 1): ("3508 at 1.0M steps, 3146 at 100k",),
}
"""IL-SOAR (Viel, Viano, Cevher, ICML 2025), its best method with one trajectory of its own experts: mean of the last
five evaluations of the curves in its repository."""

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
