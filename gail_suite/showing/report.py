"""Pictures and a page of runs: learning_curve.png, and a report.html that needs nothing but a browser."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.files import write_atomic
from gail_suite.demos.sealed import Json, one_warning
from gail_suite.runs.records import config_of, evaluation_of, versions_of
from gail_suite.runs.runlog import read_metrics
from gail_suite.showing.page import (
    axes_of,
    count_steps,
    data_uri,
    facts_table,
    figure_of,
    figures,
    folded,
    note,
    png,
    rows_table,
    write_page,
)
from gail_suite.showing.scale import Scale, rescored
from gail_suite.showing.settings import in_words, settings_of, unlike
from gail_suite.showing.stats import interval_of, t_interval, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOMES = ("score", "return_mean", "train_return", "length_mean")
RESULTS = ("return_mean", "score", "demo_score")
"""Results of an evaluation that are shown."""
MAX_HEALTH = 6
MOST_SETTINGS = 2
"""Settings that a name may hold."""
COLOURS = ("#1f6feb", "#c4622d", "#2e8540", "#8250df", "#bf3989", "#57606a")


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run say."""

    folder: Path
    config: Json
    rows: list[Json]
    evaluation: Json

    @property
    def kind(self) -> tuple[object, ...]:
        """What runs that differ in nothing but their seed have in common."""
        return self.config.get("algo"), self.config.get("env_id"), json.dumps(self.config.get("config"), sort_keys=True)

    @property
    def name(self) -> str:
        """Algorithm in capitals."""
        return str(self.config.get("algo", "run")).upper()

    @property
    def title(self) -> str:
        """Algorithm, environment and seed."""
        return f"{self.name} on {self.config.get('env_id', '?')}, seed {self.config.get('seed', '?')}"


def learning_curve(run_dir: str | Path, path: str | Path | None = None) -> Path | None:
    """Draw score (or return) against steps, with BC and expert levels, and below it what tells the health of training.

    Returns the PNG (RUN/learning_curve.png unless `path` says otherwise), None for a run without any record.
    """
    run_dir = Path(run_dir)
    rows = read_metrics(run_dir)
    if not rows:
        return None
    health = _health(rows)
    figure = figure_of(8, 4 + 1.8 * -(-len(health) // 2))
    grid = figure.add_gridspec(1 + -(-len(health) // 2), 2, height_ratios=[2.2] + [1] * -(-len(health) // 2))
    outcome = figure.add_subplot(grid[0, :])
    _draw_outcome(outcome, [[_read(run_dir)]])
    outcome.set_title(fill(_read(run_dir).title, 70))
    for i, name in enumerate(health):
        axes = figure.add_subplot(grid[1 + i // 2, i % 2])
        _draw_health(axes, rows, name)
        axes.set_title(name, fontsize=9, loc="left")
    target = Path(path) if path is not None else run_dir / "learning_curve.png"
    write_atomic(target, png(figure))
    return target


@one_warning()
def write_report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    others: Mapping[str, Json] | None = None,
    scale: Scale | None = None,
) -> Path:
    """One page of a run, or of several: results beside expert and random, curves with bands over seeds, films,
    settings.

    Runs that differ in nothing but their seed share a line and a band. `others` are evaluations, as eval.json holds
    them, to stand in the table too; `scale` makes the scores in place of those that the runs have. Without `out` the
    page of one run is RUN/report.html, with learning_curve.png beside it; with it nothing is written into a run.

    Raises:
        ValueError: a folder that is no run, or several runs without `out`.
    """
    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    read = [_read(folder, needed=True, scale=scale) for folder in folders]
    if out is None and len(read) != 1:
        raise ValueError(f"a report of {len(read)} runs needs a file: give --out, such as --out report.html")
    target = Path(out) if out is not None else read[0].folder / "report.html"
    if target.suffix.lower() != ".html":
        raise ValueError(f"{target} is no .html: give the page that name")
    if out is None:
        learning_curve(read[0].folder)
    groups = [list(group) for _, group in itertools.groupby(sorted(read, key=lambda t: str(t.kind)), lambda t: t.kind)]
    names = _names(groups)
    parts = ["<h2>Results</h2>", *_results(groups, names, others or {}), *_curves(groups, names)]
    parts += [part for group, name in zip(groups, names, strict=True) for part in _film(group[0], name)]
    for run in read:
        parts.append(folded(f"Settings of {run.folder.name}", f"<pre>{escape(json.dumps(run.config, indent=2))}</pre>"))
    versions = versions_of(read[0].folder)
    parts += [folded("Versions", facts_table(versions))] if versions else []
    tasks = dict.fromkeys(str(t.config.get("env_id", "?")) for t in read)
    return write_page(target, read[0].title if len(read) == 1 else f"{len(read)} runs on {' and '.join(tasks)}", parts)


def _read(folder: Path, needed: bool = False, scale: Scale | None = None) -> RunFiles:
    config = config_of(folder)
    if needed and not config:
        raise ValueError(f"{folder} is not a run directory (it has no readable config.json)")
    rows = [rescored(row, scale) for row in read_metrics(folder)]
    return RunFiles(folder, config, rows, rescored(evaluation_of(folder), scale))


def _names(groups: Sequence[Sequence[RunFiles]]) -> list[str]:
    """A short name of each group: the algorithm, the environment where there are several, and the settings that tell
    it from others of that name, or the first run's folder where these are too many.
    """
    tasks = {group[0].config.get("env_id") for group in groups}
    plain = [
        f"{group[0].name} on {group[0].config.get('env_id', '?')}" if len(tasks) > 1 else group[0].name
        for group in groups
    ]
    known = [settings_of(group[0].config) for group in groups]
    names = []
    for group, name, own in zip(groups, plain, known, strict=True):
        differs = unlike(own, (other for other, its in zip(known, plain, strict=True) if its == name))
        told = f"{name}, {in_words(differs)}" if len(differs) <= MOST_SETTINGS else group[0].folder.name
        names.append(told if differs else name)
    return [name if names.count(name) == 1 else g[0].folder.name for name, g in zip(names, groups, strict=True)]


def _results(groups: Sequence[Sequence[RunFiles]], names: Sequence[str], others: Mapping[str, Json]) -> list[str]:
    rows = [row for name, group in zip(names, groups, strict=True) for row in _group_rows(name, group)]
    rows += [_measured(name, found) for name, found in others.items()]
    tasks = list(dict.fromkeys(str(group[0].config.get("env_id")) for group in groups))
    for env_id in tasks:
        rows += _references(env_id, f" ({env_id})" if len(tasks) > 1 else "")
    header = ("policy", "return", "score", "against demos", "steps", "over")
    parts = [rows_table(header, rows), note("Numbers in brackets are 95 % intervals of the mean.")]
    if len(groups) < sum(map(len, groups)):
        each = [_evaluated(f"{run.folder.name}, seed {run.config.get('seed')}", run) for g in groups for run in g]
        parts.append(folded("Every run", rows_table(header, each)))
    return parts


def _group_rows(name: str, group: Sequence[RunFiles]) -> list[tuple[object, ...]]:
    """The final policy, over seeds where there are several, and what behaviour cloning began with."""
    measured = [run.evaluation for run in group if run.evaluation.get("return_mean") is not None]
    if len(group) == 1 or len(measured) < 2:
        rows = [_measured(name, measured[0]) if measured else _evaluated(name, group[0])]
    else:
        rows = [
            (
                name,
                *(_over_seeds(measured, key) for key in RESULTS),
                _mean(measured, "length_mean"),
                f"{len(measured)} seeds",
            )
        ]
    begun = [row for run in group for row in run.rows if row.get("bc_return_mean") is not None]
    if begun:
        level = [_result(_mean(begun, f"bc_{key}"), None, key) for key in RESULTS]
        rows.append((f"{name}: BC start", *level, _mean(begun, "bc_length_mean"), "in training"))
    return rows


def _evaluated(name: str, run: RunFiles) -> tuple[object, ...]:
    """A line of the table: the evaluation of a run's final policy, or the last one of its training."""
    if run.evaluation.get("return_mean") is not None:
        return _measured(name, run.evaluation)
    last = next((row for row in reversed(run.rows) if row.get("return_mean") is not None), None)
    if last is None:
        return _measured(name, {})
    return (*_measured(name, last)[:-1], f"step {last['step']:,}, in training")


def _measured(name: str, found: Json) -> tuple[object, ...]:
    """A line of the table from what eval.json, or a line of metrics.jsonl, holds."""
    n = found.get("n_episodes")
    over = "not measured" if n is None else f"{n} episode{'s' * (n != 1)}"
    results = (_result(found.get(key), interval_of(found, key.removesuffix("_mean")), key) for key in RESULTS)
    return (name, *results, found.get("length_mean"), over)


def _references(env_id: str, named: str) -> list[tuple[object, ...]]:
    """Expert and random actions, where the environment's reference returns are known; `named` follows their names."""
    from gail_suite import envs

    try:
        spec = envs.spec(env_id)
    except ValueError:  # a run of a task that is not installed here
        return []
    rows: list[tuple[object, ...]] = []
    for name, known, score in (("expert", spec.expert_return, 1.0), ("random actions", spec.random_return, 0.0)):
        if known is not None:
            half = 1.96 * known.sd / max(known.episodes, 1) ** 0.5
            interval = (known.mean - half, known.mean + half) if known.episodes else None
            over = f"{known.episodes} episodes" if known.episodes else "as given"
            results = _result(known.mean, interval, "return_mean"), _result(score, None, "score")
            rows.append((f"{name}{named}", *results, None, None, over))
    return rows


def _result(value: float | None, interval: Sequence[float] | None, key: str) -> str | None:
    """A result of the table with its interval; returns in whole numbers."""
    return None if value is None else with_interval(value, interval, 0 if key == "return_mean" else 3)


def _over_seeds(measured: Sequence[Json], key: str) -> str | None:
    """Mean and interval of a result over seeds."""
    values = np.array([e[key] for e in measured if e.get(key) is not None])
    return _result(float(values.mean()), t_interval(values), key) if len(values) else None


def _mean(rows: Sequence[Json], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else None


def _curves(groups: Sequence[Sequence[RunFiles]], names: Sequence[str]) -> list[str]:
    """Pictures: outcome against steps of each environment, and the health of a run that stands alone."""
    pictures = []
    for env_id in dict.fromkeys(group[0].config.get("env_id") for group in groups):
        chosen = [i for i, g in enumerate(groups) if g[0].config.get("env_id") == env_id and any(run.rows for run in g)]
        if chosen:
            figure, axes = axes_of(5, 3.2)
            _draw_outcome(axes, [groups[i] for i in chosen], [names[i] for i in chosen])
            many = "; bands are the range over seeds" if any(len(groups[i]) > 1 for i in chosen) else ""
            pictures.append((f"Learning curve on {env_id}{many}", png(figure)))
    if len(groups) == len(groups[0]) == 1:
        rows = groups[0][0].rows
        for name in _health(rows):
            figure, axes = axes_of(5, 3.2)
            _draw_health(axes, rows, name)
            pictures.append((name, png(figure)))
    explained = [note("docs/metrics.md says what each of these numbers means.")] if len(pictures) > 1 else []
    return ["<h2>Learning</h2>", figures(pictures), *explained] if pictures else []


def _film(run: RunFiles, name: str) -> list[str]:
    path = run.folder / "video.mp4"
    if not path.is_file():
        return []
    from gail_suite.showing.video import film_note

    source = data_uri(path.read_bytes(), "video/mp4")
    said = film_note(path, str(run.config.get("env_id")))
    film = f'<video controls loop muted autoplay playsinline src="{source}"></video>'
    return [f"<h2>Film of {escape(name)}</h2>", film, *([note(said)] if said else [])]


def _draw_outcome(axes: Axes, groups: Sequence[Sequence[RunFiles]], names: Sequence[str] = ("learner",)) -> None:
    known = [row for group in groups for run in group for row in run.rows]
    name = next((n for n in OUTCOMES[:2] if series(known, n)[0]), OUTCOMES[2])
    levels = []
    for group, label, colour in zip(groups, names, itertools.cycle(COLOURS)):
        steps, low, middle, high = _band([run.rows for run in group], name)
        axes.plot(steps, middle, marker="o", ms=3, color=colour, label=fill(label, 40))
        if len(group) > 1:
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0)
        levels += [*low, *high]
    if len(groups) == 1 and (start := _mean([r for run in groups[0] for r in run.rows], f"bc_{name}")) is not None:
        axes.axhline(start, ls="--", lw=1.2, color=COLOURS[1], label="behaviour cloning")
    if name == "score":
        axes.axhline(1.0, ls="--", lw=1.2, color=COLOURS[2], label="expert")
        axes.set_ylim(min(-0.05, *levels, 0.0), max(1.1, 1.05 * max(levels, default=1.0)))
    axes.set(xlabel="environment steps", ylabel="normalised score" if name == "score" else "return")
    count_steps(axes)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=8, frameon=False)


def _band(runs: Sequence[list[Json]], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Steps, and least, mean and greatest value of the runs there; each run is read off its straight lines, and
    only where all are.
    """
    curves = [_begun(rows, name) for rows in runs]
    curves = [curve for curve in curves if curve[0]]
    if not curves:
        return (np.zeros(0),) * 4
    first, last = max(c[0][0] for c in curves), min(c[0][-1] for c in curves)
    steps = np.unique([s for c in curves for s in c[0] if first <= s <= last])
    values = np.stack([np.interp(steps, *c) for c in curves])
    return steps, values.min(0), values.mean(0), values.max(0)


def _begun(rows: list[Json], name: str) -> tuple[list[float], list[float]]:
    """A record's steps and values; training that went on from behaviour cloning begins with its value."""
    steps, values = series(rows, name)
    start = [(row["step"], row[f"bc_{name}"]) for row in rows if row.get(f"bc_{name}") is not None][:1]
    return [*(s for s, _ in start), *steps], [*(v for _, v in start), *values]


def _draw_health(axes: Axes, rows: list[Json], name: str) -> None:
    axes.plot(*series(rows, name), lw=1, color="#52606d")
    axes.tick_params(labelsize=8)
    count_steps(axes)


def _health(rows: list[Json]) -> list[str]:
    """Records that are drawn below the outcome: those of losses and rewards first."""
    names = {k for row in rows for k, v in row.items() if isinstance(v, int | float)}
    names -= {"step", "wall_s", "sps", *OUTCOMES, *(n for n in names if n.startswith("bc_"))}
    drawable = [n for n in names if len(series(rows, n)[0]) > 1]
    return sorted(drawable, key=lambda n: (not any(word in n for word in ("loss", "reward", "disc", "entropy")), n))[
        :MAX_HEALTH
    ]


def series(rows: Sequence[Json], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one record, where it was made."""
    points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    return [p[0] for p in points], [p[1] for p in points]
