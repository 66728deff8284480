"""Writes the tables of every page of this repository from the results in results/, and prints those that are asked for.

    python -m benchmarks.tables              # rewrite what stands between the markers
    python -m benchmarks.tables --check      # exit 1 if a table is not what the results say, or stands in no page
    python -m benchmarks.tables few_demos    # print tables by name

A table stands between `<!-- table:NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

from benchmarks.records import ROOT, plain_table

MARKER = re.compile(r"(<!-- table:(?P<name>[\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES: dict[str, tuple[str, str]] = {
    "ablation": ("ablation", "table"),
    "characters": ("characters", "table"),
    "characters_samples": ("characters", "samples"),
    "colour": ("colour", "table"),
    "cs285": ("cs285", "table"),
    "demo": ("demo", "table"),
    "demonstrators": ("demonstrators_table", "table"),
    "demonstrators_short": ("demonstrators_table", "short_table"),
    "demonstrators_first": ("demonstrators_table", "first_table"),
    "digits": ("digits", "table"),
    "exploration_summary": ("exploration", "table"),
    "exploration_choices": ("exploration_choices", "table"),
    "gans": ("digits", "gans"),
    "few_demos": ("few_demos_table", "table"),
    "gmm_speed": ("gmm_speed", "table"),
    "holding": ("few_demos_table", "holding"),
    "house": ("house", "table"),
    "kinds": ("kinds", "table"),
    "mnist": ("mnist", "table"),
    "mnist_earlier": ("mnist", "earlier"),
    "prior_density": ("prior_density", "table"),
    "prior_scores": ("prior_scores", "table"),
    "prior_starts": ("prior_starts", "table"),
    "priors": ("prior_verdicts", "table"),
    "priors_headline": ("prior_verdicts", "headline"),
    "priors_knowledge": ("prior_verdicts", "knowledge"),
    "priors_summary": ("prior_verdicts", "summary"),
    "priors_variants": ("prior_verdicts", "variants"),
    "priors_whole": ("prior_verdicts", "whole_runs"),
    "soak": ("soak.__main__", "table"),
    "stepping": ("stepping", "table"),
    "variants": ("few_demos_table", "variants"),
}
"""Name of a table -> module of this package and the function that makes it."""
PLAIN = (
    "ant_falls",
    "ant_search",
    "cartpole",
    "exploration",
    "found_actions",
    "memorisation",
    "pixelcnn_choices",
    "pixelcnn_sampling",
    "pixels",
    "update_speed",
)
"""Tables that are a CSV as it is."""
NAMES = (*TABLES, *PLAIN)


@cache
def make(name: str) -> str:
    """The table called `name`."""
    if name in TABLES:
        module, function = TABLES[name]
        return getattr(import_module(f"benchmarks.{module}"), function)()
    if name in PLAIN:
        return plain_table(name)
    near = difflib.get_close_matches(name, NAMES, 1)
    raise SystemExit(f"there is no table {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))


def rewritten(text: str) -> str:
    """The text with every marked table made anew."""
    return MARKER.sub(lambda m: m[1] + make(m["name"]) + m[3], text)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def faults() -> list[str]:
    """What --check finds: pages with stale tables, and tables that stand in no page."""
    texts = {path: path.read_text() for path in pages()}
    stale = [
        f"stale tables in {path.relative_to(ROOT)}: run `python -m benchmarks.tables`"
        for path, text in texts.items()
        if rewritten(text) != text
    ]
    shown = {m["name"] for text in texts.values() for m in MARKER.finditer(text)}
    return stale + [f"the table {name} stands in no page" for name in NAMES if name not in shown]


def rewrite() -> None:
    """Every table of every page, and the picture of the curves."""
    from benchmarks import curves

    curves.draw(ROOT / "docs" / "images" / "few_demos.png")
    for path in pages():
        old = path.read_text()
        new = rewritten(old)
        if old != new:
            path.write_text(new)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="print these tables and write nothing")
    parser.add_argument("--check", action="store_true")
    a = parser.parse_args()
    if a.names:
        print("\n".join(map(make, a.names)))
    elif not a.check:
        rewrite()
    elif found := faults():
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
