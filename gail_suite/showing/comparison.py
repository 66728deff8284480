"""Runs beside each other: what they reached, the settings in which they differ, and their curves in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from gail_suite.demos.files import write_atomic
from gail_suite.demos.sealed import Json, one_warning
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.records import config_of, evaluation_of
from gail_suite.runs.runlog import read_metrics
from gail_suite.showing.page import axes_of, count_steps, png
from gail_suite.showing.report import series
from gail_suite.showing.scale import Scale, rescored
from gail_suite.showing.settings import in_words, settings_of, unlike
from gail_suite.showing.stats import interval_of, with_interval

Summary = Json
FINAL = {"return": "return_mean", "score": "score", "against demos": "demo_score"}
"""Results of the final evaluation, by column; each with its 95 % interval."""


@one_warning()
def compare(runs: Sequence[str | Path], scale: Scale | None = None) -> list[Summary]:
    """One summary a run: run, algo, env_id, seed, steps, wall_s, best and last evaluation, final score, settings.

    `score`, `demo_score` (against the demonstrations), `return_mean`, their intervals and `n_episodes` are those of
    eval.json, None before it was written; `best` and `last` are evaluations during training, by score, or against the
    demonstrations where the task has no reference returns; `settings` holds what is not equal in all runs of the same
    algorithm. `scale` makes the scores in place of those that the runs have.

    Raises ValueError if a folder is not a run.
    """
    folders = [Path(run) for run in runs]
    configs = [_config(folder) for folder in folders]
    settings = [settings_of(config) for config in configs]
    return [
        _summary(
            folder,
            config,
            unlike(own, [s for s, c in zip(settings, configs, strict=True) if c.get("algo") == config.get("algo")]),
            scale,
        )
        for folder, config, own in zip(folders, configs, settings, strict=True)
    ]


def table(summaries: Sequence[Summary]) -> str:
    """The summaries as lines of aligned columns."""
    header = ("run", "algo", "env", "seed", "steps", "minutes", "best", "last", *FINAL, "episodes", "what differs")
    lines = [header, *(_cells(summary) for summary in summaries)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def draw(runs: Sequence[str | Path], path: str | Path, scale: Scale | None = None) -> Path:
    """Writes a picture of score (return, where one lacks it) against environment steps, one line a run that was
    evaluated; `scale` makes the scores.

    Raises ValueError where no run was evaluated during its training.
    """
    records = {str(run): [rescored(row, scale) for row in read_metrics(run)] for run in runs}
    records = {name: rows for name, rows in records.items() if series(rows, "return_mean")[0]}
    if not records:
        raise ValueError("no curve to draw: none of the runs was evaluated during its training")
    quantity = "score" if all(series(rows, "score")[0] for rows in records.values()) else "return_mean"
    figure, axes = axes_of(8, 4)
    for name, rows in records.items():
        axes.plot(*series(rows, quantity), marker="o", ms=3, label=fill(name, 90))
    if quantity == "score":
        axes.axhline(1.0, ls="--", lw=1.2, color="#2e8540")
    axes.set(xlabel="environment steps", ylabel="normalised score" if quantity == "score" else "return")
    count_steps(axes)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9)
    write_atomic(Path(path), png(figure))
    return Path(path)


def _config(folder: Path) -> Json:
    config = config_of(folder)
    if not config:
        raise ValueError(f"{folder} is not a run directory (it has no readable config.json)")
    return config


def _steps(folder: Path, rows: list[dict[str, float]]) -> int:
    """How far a run has come: of one that was stopped the last checkpoint may be later than its last row."""
    newest = checkpoints(folder / "checkpoints")[-1:]
    saved = [int(path.name.removeprefix("step_").partition(".")[0]) for path in newest]
    return max([*saved, *(int(row["step"]) for row in rows[-1:])], default=0)


def _summary(folder: Path, config: Json, settings: Json, scale: Scale | None) -> Summary:
    rows, final = [rescored(row, scale) for row in read_metrics(folder)], rescored(evaluation_of(folder), scale)
    scores = series(rows, "score")[1]
    low, high = final.get("random_return"), final.get("demo_return")
    if not scores and low is not None and high is not None:
        scores = [Scale(low, high)(value) for value in series(rows, "return_mean")[1]]
    return {
        "run": str(folder),
        **{name: config.get(name) for name in ("algo", "env_id", "seed")},
        "steps": _steps(folder, rows),
        "wall_s": max((r.get("wall_s", 0.0) for r in rows), default=0.0),
        "best": max(scores, default=None),
        "last": scores[-1] if scores else None,
        **{key: final.get(key) for key in FINAL.values()},
        **{key: final.get(key) for key in ("score_interval", "demo_score_interval", "return_interval", "n_episodes")},
        "settings": settings,
    }


def _cells(s: Summary) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    def measured(key: str) -> str:
        digits = 0 if key == "return_mean" else 3
        return "-" if s[key] is None else with_interval(s[key], interval_of(s, key.removesuffix("_mean")), digits)

    return (
        s["run"],
        str(s["algo"]),
        str(s["env_id"]),
        str(s["seed"]),
        f"{s['steps']:,}",
        f"{s['wall_s'] / 60:.1f}",
        number(s["best"]),
        number(s["last"]),
        *map(measured, FINAL.values()),
        "-" if s["n_episodes"] is None else str(s["n_episodes"]),
        in_words(s["settings"]),
    )
