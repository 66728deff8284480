"""How the code is built, in numbers, beside other libraries: files, functions, documentation, folders, arrows, `Any`.

    python -m benchmarks.house                     # this repository's packages; rewrites their line of the CSV
    python -m benchmarks.house zuko-1.6.0=DIR      # other trees, each by the name of its line

Counted are the Python files of a tree, without tests. The lines of a function are those from its `def` to its end,
without its docstring. A public function's name begins without an underscore. Rooms are the folders and modules at the
top of a package (of ours: gail_suite); an arrow leads from a room to one that it imports from.
"""

from __future__ import annotations

import ast
import csv
import re
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import RESULTS, ROOT, command, commit, markdown, read_rows

CSV = RESULTS / "house.csv"
OURS = ("envs", "demos", "generative", "gail_suite")
LABEL = "this repository"
COLUMNS = (
    "code",
    "files",
    "lines",
    "median_file",
    "function_median",
    "function_p90",
    "function_longest",
    "documented",
    "modules_in_a_folder",
    "rooms",
    "arrows",
    "arrows_in_circles",
    "lines_over_120",
    "any_per_1000",
    "license",
    "commit",
    "command",
)


def sources(folders: list[Path]) -> list[Path]:
    """Python files of some trees, each once: links are not followed, tests are left out."""
    found = (
        (file, file.relative_to(folder)) for folder in folders for file in sorted(folder.rglob("*.py")) if own(file)
    )
    return [file for file, place in found if not re.search(r"(^|/)tests?(/|_)|_test\.py$", str(place))]


def own(file: Path) -> bool:
    """Whether no folder above a file is a link."""
    return not any(folder.is_symlink() for folder in file.parents)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def` to its end, without its docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    assert function.end_lineno and first.end_lineno
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def measured(folders: list[Path]) -> dict[str, object]:
    """One line of the table."""
    files = sources(folders)
    texts = [file.read_text() for file in files]
    lines = [text.splitlines() for text in texts]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = sorted(map(body_lines, functions))
    documented = [ast.get_docstring(f) is not None for f in functions if not f.name.startswith("_")]
    modules = Counter(file.parent for file in files if file.name not in ("__init__.py", "__main__.py"))
    total = sum(map(len, lines))
    return {
        "files": len(files),
        "lines": total,
        "median_file": round(statistics.median(map(len, lines))),
        "function_median": round(statistics.median(lengths)),
        "function_p90": lengths[int(0.9 * len(lengths))],
        "function_longest": lengths[-1],
        "documented": f"{100 * sum(documented) / len(documented):.0f} %",
        "modules_in_a_folder": max(modules.values()),
        "lines_over_120": sum(len(line) > 120 for text in lines for line in text),
        "any_per_1000": round(1000 * sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes) / total, 1),
    }


def rooms(package: Path) -> dict[Path, str]:
    """The room of every file of a package's folder."""
    files = [(file, file.relative_to(package).with_suffix("").parts[0]) for file in sources([package])]
    return {file: room for file, room in files if room not in ("__init__", "__main__")}


def arrows(package: Path) -> set[tuple[str, str]]:
    """(room, another room that it imports from), of a package's folder."""
    room, found = rooms(package), set()
    for file in room:
        here = (package.name, *file.relative_to(package).parts[:-1])
        names = [name for node in ast.walk(ast.parse(file.read_text())) for name in imported(node, here)]
        found |= {(room[file], name.split(".")[1]) for name in names if name.startswith(f"{package.name}.")}
    return {(a, b) for a, b in found if a != b and b in room.values()}


def imported(node: ast.AST, here: Sequence[str]) -> list[str]:
    """Full names in an import that stands in the package `here`, `from a import b` as a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = (
        [*here[: len(here) - node.level + 1], *([node.module] if node.module else [])]
        if node.level
        else [node.module or ""]
    )
    return [".".join([*base, alias.name]) for alias in node.names]


def in_circles(found: set[tuple[str, str]]) -> int:
    """How many arrows lead to a room from which one can come back."""

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            new = {b for a, b in found if a == waiting[-1]} - seen
            waiting.pop()
            seen |= new
            waiting += new
        return seen

    return sum(a in reached(b) for a, b in found)


def measured_rooms(package: Path) -> dict[str, object]:
    """The columns of rooms and arrows."""
    found = arrows(package)
    return {
        "rooms": len(set(rooms(package).values())),
        "arrows": len(found),
        "arrows_in_circles": in_circles(found),
    }


HEADER = [
    "code",
    "lines",
    "median file",
    "function: median, p90, longest",
    "public functions documented",
    "most modules in a folder",
    "rooms: arrows, in circles",
    "lines over 120 columns",
    "`Any` per 1000 lines",
    "licence file",
]


def table() -> str:
    """A line a tree."""
    lines = [
        [
            r["code"],
            f"{int(r['lines']):,}",
            r["median_file"],
            f"{r['function_median']}, {r['function_p90']}, {r['function_longest']}",
            *(r[c] for c in ("documented", "modules_in_a_folder")),
            f"{r['rooms']}: {r['arrows']}, {r['arrows_in_circles']}",
            *(r[c] for c in ("lines_over_120", "any_per_1000", "license")),
        ]
        for r in read_rows(CSV)
    ]
    return markdown(HEADER, lines)


def main() -> None:
    """Command line."""
    trees = {label: [Path(place)] for label, _, place in (word.partition("=") for word in sys.argv[1:])}
    rows = {LABEL: {}} | {row["code"]: row for row in read_rows(CSV)}
    for label, folders in (trees or {LABEL: [ROOT / name for name in OURS]}).items():
        above = [ROOT] if label == LABEL else [folders[0], folders[0].parent]
        licensed = any(path.is_file() for place in above for path in place.rglob("LICEN[CS]E*"))
        row = (
            measured(folders)
            | measured_rooms(folders[-1])
            | {"license": "yes" if licensed else "no", "commit": commit()}
        )
        row["command"] = command(*([] if label == LABEL else [f"{label}=DIR"]))
        rows[label] = {"code": label} | {k: str(v) for k, v in row.items()}
    with open(CSV, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(filter(None, rows.values()))
    print(table())


if __name__ == "__main__":
    main()
