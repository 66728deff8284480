"""Pictures and a page of a run: learning_curve.png and a report.html that needs nothing but a browser."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from gail_suite.demos.files import write_atomic
from gail_suite.runs.runlog import read_metrics

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #dde3ea}
img,video{max-width:100%;margin:.5rem 0}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}pre{background:#f4f6f8;
padding:.8rem;overflow:auto}"""
SUMMARY = ("score", "return_mean", "return_sd", "length_mean", "n_episodes", "seed", "deterministic")
OUTCOMES = ("score", "return_mean", "train_return", "length_mean")
MAX_HEALTH = 6


def learning_curve(run_dir: str | Path, path: str | Path | None = None) -> Path | None:
    """Draw score (or return) against steps, with BC and expert levels, and below it what tells the health of training.

    Returns the PNG (RUN/learning_curve.png unless `path` says otherwise), None for a run without any record.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run_dir = Path(run_dir)
    rows = read_metrics(run_dir)
    if not rows:
        return None
    health = _health(rows)
    figure = Figure(figsize=(8, 4 + 1.8 * -(-len(health) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + -(-len(health) // 2), 2, height_ratios=[2.2] + [1] * -(-len(health) // 2))
    _draw_outcome(figure.add_subplot(grid[0, :]), rows, _title(run_dir))
    for i, name in enumerate(health):
        axes = figure.add_subplot(grid[1 + i // 2, i % 2])
        axes.plot(*series(rows, name), lw=1, color="#52606d")
        axes.set_title(name, fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
    target = Path(path) if path is not None else run_dir / "learning_curve.png"
    write_atomic(target, png(figure))
    return target


def write_report(run_dir: str | Path) -> Path:
    """Draw the learning curve and write RUN/report.html with figure, film, results and settings inside it.

    Raises ValueError if the folder is not a run.
    """
    run_dir = Path(run_dir)
    config = read_json(run_dir / "config.json")
    if not config:
        raise ValueError(f"{run_dir} is not a run directory (it has no readable config.json)")
    curve = learning_curve(run_dir)
    parts = [f"<h1>{html.escape(_title(run_dir))}</h1>"]
    evaluation = read_json(run_dir / "eval.json")
    if evaluation:
        shown = {k: evaluation[k] for k in SUMMARY if evaluation.get(k) is not None}
        parts += ["<h2>Evaluation</h2>", _table(shown)]
    if curve is not None:
        parts += ["<h2>Learning curve</h2>", f'<img alt="learning curve" src="{_data(curve, "image/png")}">']
    if (run_dir / "video.mp4").is_file():
        source = _data(run_dir / "video.mp4", "video/mp4")
        parts += ["<h2>Film</h2>", f'<video controls loop muted autoplay src="{source}"></video>']
    parts += ["<h2>Settings</h2>", f"<pre>{html.escape(json.dumps(config, indent=2))}</pre>"]
    parts += ["<h2>Versions</h2>", _table(read_json(run_dir / "versions.json"))]
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(_title(run_dir))}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head><body>'
    )
    target = run_dir / "report.html"
    write_atomic(target, (head + "\n".join(parts) + "</body></html>\n").encode())
    return target


def _draw_outcome(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    name = "score" if series(rows, "score")[0] else "return_mean" if series(rows, "return_mean")[0] else "train_return"
    steps, values = series(rows, name)
    start = [(row["step"], row[f"bc_{name}"]) for row in rows if row.get(f"bc_{name}") is not None][:1]
    if start:  # training went on from behaviour cloning
        steps, values = [start[0][0], *steps], [start[0][1], *values]
        axes.axhline(start[0][1], ls="--", lw=1.2, color="#c4622d", label="behaviour cloning")
    axes.plot(steps, values, marker="o", ms=3, color="#1f6feb", label="learner")
    if name == "score":
        axes.axhline(1.0, ls="--", lw=1.2, color="#2e8540", label="expert")
        axes.set_ylim(min(-0.05, *values, 0.0), max(1.1, 1.05 * max(values, default=1.0)))
    axes.set(title=title, xlabel="environment steps", ylabel="normalised score" if name == "score" else "return")
    axes.grid(alpha=0.25)
    axes.legend(loc="best", fontsize=9)


def _health(rows: list[dict[str, Any]]) -> list[str]:
    """Records that are drawn below the outcome: those of losses and rewards first."""
    names = {k for row in rows for k, v in row.items() if isinstance(v, int | float)}
    names -= {"step", "wall_s", "sps", *OUTCOMES, *(n for n in names if n.startswith("bc_"))}
    drawable = [n for n in names if len(series(rows, n)[0]) > 1]
    return sorted(drawable, key=lambda n: (not any(word in n for word in ("loss", "reward", "disc", "entropy")), n))[
        :MAX_HEALTH
    ]


def series(rows: list[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one record, where it was made."""
    points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    return [p[0] for p in points], [p[1] for p in points]


def _title(run_dir: Path) -> str:
    config = read_json(run_dir / "config.json")
    return f"{str(config.get('algo', 'run')).upper()} on {config.get('env_id', '?')}, seed {config.get('seed', '?')}"


def _table(values: dict[str, Any]) -> str:
    cells = ((k, f"{v:.4g}" if isinstance(v, float) else str(v)) for k, v in values.items())
    return (
        "<table>"
        + "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in cells)
        + "</table>"
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file, empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def png(figure: Any) -> bytes:
    """A figure as a picture file."""
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
