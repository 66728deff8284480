"""Writes the tables of README.md, RESULTS.md and docs/priors.md from the CSV files in results/.

    python benchmarks/tables.py            # rewrite what stands between the markers
    python benchmarks/tables.py --check    # exit 1 if a table in a file is not what the CSV says

A table stands between `<!-- table:NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from records import read_rows

from gail_suite.showing.stats import bootstrap_interval, iqm

RESULTS = ROOT / "benchmarks" / "results"
MARKER = re.compile(r"(<!-- table:(?P<name>[\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows)


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


def few_demos_table(wanted: Callable[[str], bool] = ALGORITHMS.__contains__) -> str:
    """One line a task, protocol and algorithm: IQM over seeds with a bootstrap interval, steps and wall-clock."""
    groups: dict[tuple, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(RESULTS / "few_demos.csv"):
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
    header = [
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
    return markdown(header, lines)


def holding_table() -> str:
    """Whether GAIL keeps what it reached: when each run first stood at 0.9, its lowest evaluation (5 episodes) from there on, its end (50)."""
    import few_demos

    names = {(r.env, r.protocol, r.n_demos): name for name, r in few_demos.ROWS.items()}
    groups: dict[str, list[list[str]]] = defaultdict(list)
    for row in sorted(read_rows(RESULTS / "few_demos.csv"), key=lambda r: int(r["seed"])):
        if row["algo"] != "gail":
            continue
        name = names[row["env"], row["protocol"], int(row["n_demos"])]
        curve = (RESULTS / "curves" / f"{name}-gail-{row['seed']}.jsonl").read_text().splitlines()
        scores = [(r["step"], r["score"]) for r in map(json.loads, curve) if r.get("score") is not None]
        first = next((i for i, (_, score) in enumerate(scores) if score >= 0.9), None)
        reached = (
            ["-", "-"]
            if first is None
            else [f"{scores[first][0] // 1000}k", f"{min(score for _, score in scores[first:]):.2f}"]
        )
        groups[name].append([*reached, f"{float(row['score']):.2f}"])
    lines = [[name, *(" ".join(column) for column in zip(*runs, strict=True))] for name, runs in sorted(groups.items())]
    return markdown(["row", "first at 0.9, each seed", "lowest evaluation from there on", "end, 50 episodes"], lines)


def stepping_table() -> str:
    """Steps a second and BatchVecEnv's paired ratio, one line a task and size."""
    rows = read_rows(RESULTS / "stepping.csv")
    engines = list(dict.fromkeys(r["engine"] for r in rows))
    cells = {(r["env"], r["n_envs"], r["engine"]): r for r in rows}
    lines = []
    for env, n in dict.fromkeys((r["env"], r["n_envs"]) for r in rows):
        found = [cells[env, n, e] for e in engines]
        lines.append([env, n, *(f"{int(r['steps_per_s']):,} ({float(r['batch_over_this']):.2f}x)" for r in found)])
    commits = ", ".join(sorted({r["commit"][:7] for r in rows}))
    note = f"\nIn brackets: BatchVecEnv over this engine, median of paired slices. Commit {commits}, {rows[0]['machine']}.\n"
    return markdown(["task", "environments", *engines], lines) + note


def plain_table(name: str) -> Callable[[], str]:
    """A CSV as it is, without the columns that only matter to a machine."""

    def table() -> str:
        rows = read_rows(RESULTS / f"{name}.csv")
        columns = [c for c in (rows[0] if rows else []) if c not in ("command", "machine")]
        return markdown(columns, [[r[c] for c in columns] for r in rows]) if rows else "(not measured yet)\n"

    return table


def exploration_choices_table() -> str:
    """How often each choice found the goal, and when."""
    rows = read_rows(RESULTS / "exploration_choices.csv")
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
    return markdown(
        ["choice", "goal found", "steps to it, each seed", "cells seen until then or the end", "commit"], lines
    )


def ablation_table() -> str:
    """Each change of GAIL's defaults: score at the end, its paired difference from the defaults, area under the curve, seconds."""
    rows = read_rows(RESULTS / "ablation.csv")
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
    header = [
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
    return markdown(header, lines) if rows else "(not measured yet)\n"


def demo_table() -> str:
    """What `make demo` printed on each machine: expert, BC and GAIL (`runs/demo/summary.json`, kept in the list of results/demo.json)."""
    runs = json.loads((RESULTS / "demo.json").read_text())
    lines = [
        [
            *(
                f"{run[k]['score']:.3f} ({run[k]['return_mean']:.0f} +- {run[k]['return_sd']:.0f}; {run[k]['length_mean']:.0f} steps)"
                for k in ("expert", "bc", "gail")
            ),
            f"{run['gail_wall_s']:.0f} s",
            f"{run['wall_s']:.0f} s",
            run["machine"],
            run["commit"],
        ]
        for run in runs
    ]
    s = runs[0]
    header = ["expert: score (return; length)", "bc", "gail", "its training", "whole demo", "machine", "commit"]
    return markdown(header, lines) + (
        f"\n`{s['command']}`: {s['env_id']}, {s['n_demos']} demonstrations, {s['steps']:,} steps, {s['n_eval']} episodes each; "
        "timed after installation.\n"
    )


def prior_scores_table() -> str:
    """Medians and AUROC of typicality, one line a task, model and control."""
    rows = read_rows(RESULTS / "prior_scores.csv")
    lines = [
        [
            r["env"],
            r["model"],
            r["control"],
            f"{float(r['median']):.3f}",
            f"{float(r['mean']):.3f}",
            *(f"{float(r[f'auroc_{kind}']):.3f}" for kind in ("random", "noise", "frozen")),
            r["fit_s"],
            r["ms_a_step"],
        ]
        for r in rows
    ]
    header = [
        "task",
        "model",
        "control",
        "median, held-out expert",
        "mean",
        "AUROC: random",
        "noise 0.3",
        "frozen joint",
        "fit, CPU s",
        "ms a step of 8",
    ]
    return markdown(header, lines) if rows else "(not measured yet)\n"


MNIST_FIGURES = (
    "test_nats",
    "test_nats_normal_prior",
    "test_nats_50",
    "test_bits_per_dim",
    "variance_floor",
    "components_used",
    "test_rmse",
    "frechet_samples",
    "frechet_real",
    "ndb_samples",
    "ndb_real",
)


def mnist_table() -> str:
    """The MNIST recipes, one line a model and seed, empty where a figure does not apply."""
    runs: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for r in read_rows(RESULTS / "generative.csv"):
        runs[r["model"], r["dataset"], r["seed"], r["commit"]] |= {r["metric"]: r["value"], "train_s": r["train_s"]}
    lines = [
        [
            *run[:3],
            *(f"{float(found[m]):.5g}" if m in found else "" for m in MNIST_FIGURES),
            f"{float(found['train_s']) / 60:.0f} min",
            run[3],
        ]
        for run, found in sorted(runs.items())
    ]
    return (
        markdown(["model", "data", "seed", *MNIST_FIGURES, "training", "commit"], lines)
        if lines
        else "(not measured yet)\n"
    )


def priors_table() -> str:
    """Each prior against plain GAIL and its controls."""
    import prior_verdicts

    lines = [line for task in prior_verdicts.TASKS for line in prior_verdicts.comparison(task)]
    return markdown(prior_verdicts.HEADER, lines) if lines else "(not measured yet)\n"


def prior_density_table() -> str:
    """What behaviour priors know of the expert's actions where the expert never was."""
    import prior_density

    return markdown(prior_density.HEADER, prior_density.table())


def prior_starts_table() -> str:
    """From which start states the expert stays up."""
    import prior_starts

    return markdown(prior_starts.HEADER, prior_starts.table())


def priors_whole_table() -> str:
    """Whole runs with a prior."""
    import prior_verdicts

    return markdown(prior_verdicts.WHOLE_HEADER, prior_verdicts.whole_runs())


def priors_headline_table() -> str:
    """What README says of priors."""
    import prior_verdicts

    return markdown(prior_verdicts.HEADLINE_HEADER, prior_verdicts.headline())


def priors_knowledge_table() -> str:
    """What priors know beyond their controls, and what that gains."""
    import prior_verdicts

    return markdown(prior_verdicts.KNOWLEDGE_HEADER, prior_verdicts.knowledge())


def priors_variants_table() -> str:
    """Other sizes, trainings and weights of priors."""
    import prior_verdicts

    return markdown(prior_verdicts.VARIANT_HEADER, prior_verdicts.variants())


def priors_summary_table() -> str:
    """One line a prior."""
    import prior_verdicts

    return markdown(prior_verdicts.SUMMARY, prior_verdicts.summary())


CURVE_COLUMNS = 3


def draw_curves(path: Path) -> None:
    """Score against environment steps, one line a run, one panel a row of the benchmark; BC as a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    files = sorted((RESULTS / "curves").glob("*-gail-[0-9].jsonl"))
    names = sorted({f.stem.rsplit("-gail-", 1)[0] for f in files})
    rows = max(1, -(-len(names) // CURVE_COLUMNS))
    figure, axes = plt.subplots(rows, CURVE_COLUMNS, figsize=(4 * CURVE_COLUMNS, 3 * rows), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, names, strict=False):
        for file in (f for f in files if f.stem.rsplit("-gail-", 1)[0] == name):
            records = [json.loads(line) for line in file.read_text().splitlines()]
            points = [(r["step"] / 1000, r["score"]) for r in records if r.get("score") is not None]
            if not points:
                continue
            (line,) = axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"seed {file.stem[-1]}")
            axis.axhline(records[0].get("bc_score", 0.0), color=line.get_color(), linestyle="--", linewidth=0.8)
        axis.axhline(1.0, color="grey", linewidth=0.8)
        axis.set(title=name, xlabel="thousand environment steps", ylabel="normalised score", ylim=(-0.25, 1.15))
        axis.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def make(name: str) -> str:
    """The table called `name`."""
    return {
        "few_demos": few_demos_table,
        "variants": lambda: few_demos_table(lambda algo: algo not in ALGORITHMS),
        "demo": demo_table,
        "stepping": stepping_table,
        "prior_scores": prior_scores_table,
        "priors": priors_table,
        "priors_summary": priors_summary_table,
        "priors_whole": priors_whole_table,
        "priors_variants": priors_variants_table,
        "priors_headline": priors_headline_table,
        "priors_knowledge": priors_knowledge_table,
        "prior_density": prior_density_table,
        "prior_starts": prior_starts_table,
        "ablation": ablation_table,
        "exploration_choices": exploration_choices_table,
        "holding": holding_table,
        "mnist": mnist_table,
    }.get(name, plain_table(name))()


def rewritten(text: str) -> str:
    """The text with every marked table made anew."""
    return MARKER.sub(lambda m: m[1] + make(m["name"]) + m[3], text)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    if not check:
        draw_curves(ROOT / "docs" / "images" / "few_demos.png")
    for path in (ROOT / "README.md", ROOT / "RESULTS.md", ROOT / "docs" / "priors.md"):
        old = path.read_text()
        new = rewritten(old)
        if old != new:
            stale.append(path.name)
            if not check:
                path.write_text(new)
    if check and stale:
        print(f"stale tables in {', '.join(stale)}: run `python benchmarks/tables.py`", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
