"""Pages that need nothing but a browser: one file, no script, no network, and as readable on a phone as on a desk."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gail_suite.demos.files import write_atomic
from gail_suite.demos.sealed import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem;color:#1c2733}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}img,video{display:block;width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.25rem .7rem .25rem 0;text-align:left;
border-bottom:1px solid #dde3ea;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:.5rem 1rem}
figure{margin:0;max-width:36rem}figcaption,.note{color:#52606d;font-size:.9rem}video{max-width:48rem}
pre{background:#f4f6f8;padding:.8rem;overflow:auto}
summary{cursor:pointer;font-weight:600;margin-top:1.5rem}
@media(max-width:30rem){td,th{font-size:.72rem;padding-right:.3rem}body{padding:0 .6rem}
td:first-child{min-width:5rem;overflow-wrap:anywhere}}"""


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Writes a page of `parts` (HTML) under a heading."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head><body>'
    )
    body = "\n".join([f"<h1>{html.escape(title)}</h1>", *parts])
    write_atomic(path, f"{head}{body}</body></html>\n".encode())
    return path


def rows_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a heading line; columns of numbers stand at the right, with their headings."""
    rows = list(rows)
    right = [all(map(_is_number, column)) for column in zip(*rows, strict=True)] or [False] * len(header)
    lines = [_row("th", header, right), *(_row("td", row, right) for row in rows)]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def facts_table(values: Json) -> str:
    """Names and values, a line each."""
    lines = (
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(cell(value))}</td></tr>"
        for name, value in values.items()
    )
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def count_steps(axes: Axes) -> None:
    """Marks a horizontal axis of steps by a few short numbers, such as 100k."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def figures(pictures: Iterable[tuple[str, bytes]]) -> str:
    """PNG pictures with their captions, as many beside each other as the width allows."""
    shown = (
        f'<figure><img alt="{html.escape(caption)}" src="{data_uri(picture, "image/png")}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in pictures
    )
    return f'<div class="figures">{"".join(shown)}</div>'


def folded(summary: str, content: str) -> str:
    """`content` (HTML) behind a line that opens it."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def note(text: str) -> str:
    """A small line of text."""
    return f'<p class="note">{html.escape(text)}</p>'


def cell(value: object) -> str:
    """A value as short text."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as an address inside the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def figure_of(width: float, height: float) -> Figure:
    """A new figure in inches that no window system has to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def axes_of(width: float, height: float) -> tuple[Figure, Axes]:
    """`figure_of`, and its axes."""
    figure = figure_of(width, height)
    return figure, figure.add_subplot()


def png(figure: Figure) -> bytes:
    """A figure as a picture file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _row(tag: str, cells: Sequence[object], right: Sequence[bool]) -> str:
    def one(value: object, at_right: bool) -> str:
        return f"<{tag}{' class=n' * at_right}>{html.escape(cell(value))}</{tag}>"

    return f"<tr>{''.join(map(one, cells, right))}</tr>"


def _is_number(value: object) -> bool:
    """Whether a cell holds a number, or nothing where there could be one."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
