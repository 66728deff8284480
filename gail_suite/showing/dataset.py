"""Demonstrations at a glance: returns, lengths, ranges and coverage, as one picture or as a page with every episode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.files import write_atomic
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.showing.page import axes_of, facts_table, figure_of, figures, folded, png, rows_table, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 5000
"""States that the picture of coverage is made of."""
CELLS = 20
"""Cells along each side of the plane in which coverage is counted."""
WHOLE, FALL, FRAGMENT = "#2e8540", "#c4622d", "#8896a5"


def draw(d: Demonstrations, path: str | Path) -> Path:
    """Writes a page (.html) or a picture (.png) of demonstrations; ValueError for another suffix."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".png"):
        raise ValueError(f"{path} is neither .html nor .png: give the page, or the picture, one of these names")
    if path.suffix.lower() == ".html":
        return _page(d, path)
    return _picture(d, path)


def coverage(d: Demonstrations) -> tuple[np.ndarray, np.ndarray, float]:
    """Shown states in their plane of greatest variance (N, 2), the episode of each (N,), and the variance's share
    there.

    Columns are standardised, cut off at 3 standard deviations, and those that never change left out; at most
    `MOST_ROWS` states, evenly spaced, are taken.
    """
    obs = np.concatenate([t.obs for t in d]).astype(np.float64)
    episode = np.repeat(np.arange(len(d)), [len(t.obs) for t in d])
    rows = np.linspace(0, len(obs) - 1, min(len(obs), MOST_ROWS)).astype(int)
    obs, episode = obs[rows], episode[rows]
    std = obs.std(0)
    x = np.clip((obs - obs.mean(0))[:, std > 1e-6] / std[std > 1e-6], -3, 3)  # rare spikes would take the whole picture
    x -= x.mean(0)
    if x.shape[1] < 2:
        return np.pad(x, ((0, 0), (0, 2 - x.shape[1]))), episode, 1.0
    values, axes = np.linalg.eigh(x.T @ x)
    return x @ axes[:, :-3:-1], episode, float(values[-2:].sum() / values.sum())


def cells(points: np.ndarray, episode: np.ndarray) -> tuple[int, float]:
    """How many cells of a grid over the plane were visited, and the mean share of them that one episode visits."""
    low, high = points.min(0), points.max(0)
    grid = np.clip(((points - low) / np.maximum(high - low, 1e-9) * CELLS).astype(int), 0, CELLS - 1)
    number = grid[:, 0] * CELLS + grid[:, 1]
    total = len(np.unique(number))
    shares = [len(np.unique(number[episode == e])) / total for e in np.unique(episode)]
    return total, float(np.mean(shares))


def _picture(d: Demonstrations, path: Path) -> Path:
    panels = _panels(d)
    figure = figure_of(11, 3 * -(-len(panels) // 2))
    for place, (caption, paint) in enumerate(panels, start=1):
        axes = figure.add_subplot(-(-len(panels) // 2), 2, place)
        paint(axes)
        axes.set_title(caption, fontsize=9, loc="left")
    write_atomic(path, png(figure))
    return path


def _page(d: Demonstrations, path: Path) -> Path:
    pictures = []
    for caption, paint in _panels(d):
        figure, axes = axes_of(5, 3)
        paint(axes)
        pictures.append((caption, png(figure)))
    rows = [(i, t.episode_return, len(t), ending(t), "-" if t.seed is None else t.seed) for i, t in enumerate(d)]
    parts = [
        facts_table(summary(d)),
        figures(pictures),
        folded("Every episode", rows_table(("episode", "return", "steps", "ending", "seed"), rows)),
        folded("Provenance", facts_table(d.meta)),
    ]
    return write_page(path, f"Demonstrations of {d.env_id}", parts)


def summary(d: Demonstrations) -> Json:
    """Episodes, pairs, returns, lengths and endings in words."""
    endings = [ending(t) for t in d]
    return {
        "episodes": len(d),
        "pairs": d.n_pairs,
        "return": f"{d.returns.mean():.1f} +- {d.returns.std():.1f}, "
        f"from {d.returns.min():.1f} to {d.returns.max():.1f}",
        "steps": f"{d.lengths.mean():.1f}, from {d.lengths.min()} to {d.lengths.max()}",
        "endings": ", ".join(f"{endings.count(kind)} {kind}" for kind in sorted(set(endings))),
        "observation, action": " and ".join("none" if w is None else str(w) for w in d[0].widths) + " entries",
    }


def ending(t: Trajectory) -> str:
    """How an episode ended, in a word."""
    return "terminated" if t.terminated else "truncated" if t.truncated else "fragment"


def _panels(d: Demonstrations) -> list[tuple[str, Callable[[Axes], None]]]:
    """A caption and what paints it on axes, for each picture."""
    points, episode, share = coverage(d)
    total, one = cells(points, episode)
    covered = (
        f"visited states, each episode in its colour, in the plane of most variance ({share:.0%}); of its "
        f"{CELLS * CELLS} cells {total} were visited, {one:.0%} of these by a single episode on average"
    )
    actions = [t.acts for t in d if t.acts is not None]
    ranged = "range of each entry of the {}: 90 % of its values lie in the thick part"
    return [
        ("return of each episode; green lasted to the limit, orange ended before", lambda a: _bars(a, d, d.returns)),
        ("steps of each episode", lambda a: _bars(a, d, d.lengths)),
        *([(ranged.format("actions"), lambda a: _ranges(a, actions))] if actions else []),
        (f"{ranged.format('observations')}; logarithmic beyond 1", lambda a: _ranges(a, [t.obs for t in d], bent=True)),
        (covered, lambda a: _scatter(a, points, episode)),
    ]


def _bars(axes: Axes, d: Demonstrations, heights: np.ndarray) -> None:
    colours = {"terminated": FALL, "truncated": WHOLE, "fragment": FRAGMENT}
    axes.bar(range(len(d)), heights, color=[colours[ending(t)] for t in d], width=0.8)
    axes.set_xlabel("episode")
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.25, axis="y")


def _ranges(axes: Axes, arrays: list[np.ndarray], bent: bool = False) -> None:
    low, fifth, high_fifth, high = np.quantile(np.concatenate(arrays), [0, 0.05, 0.95, 1], axis=0)
    columns = np.arange(len(low))
    axes.vlines(columns, low, high, color="#9db7e0", lw=1)
    axes.vlines(columns, fifth, high_fifth, color="#1f6feb", lw=max(1.0, min(6.0, 160 / len(low))))
    if bent:
        axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xlabel("entry")
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.25, axis="y")


def _scatter(axes: Axes, points: np.ndarray, episode: np.ndarray) -> None:
    axes.scatter(points[:, 0], points[:, 1], c=episode % 10, cmap="tab10", vmin=0, vmax=9, s=4, alpha=0.5, lw=0)
    axes.set(xticks=[], yticks=[])
