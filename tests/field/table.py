"""docs/compatibility.md out of the tests of this folder: a line for every `@pytest.mark.case(section, what, answer)`.

python tests/field/table.py [--check]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/compatibility.md"
SECTIONS = {
    "tasks": ("Tasks", "task"),
    "data": ("Data that come in", "data"),
    "agents": ("Agents that come in", "agent"),
    "out": ("What goes out", "what"),
    "scores": ("Results", "what"),
    "manners": ("Manners", "what"),
    "refused": ("What is refused, and how", "what"),
}
HEAD = """# What works with other people's tasks, data and agents

Generated from the tests in `tests/field` by `python tests/field/table.py`; each line is a test that passes, named in
the last column.
Every refusal is one line that says what, the numbers, and what to do.
"""


def cases() -> Iterator[tuple[str, str, str, str]]:
    """Section, what, answer and test of every mark, in the order of the files."""
    for file in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.case":
                        section, what, answer = (ast.literal_eval(argument) for argument in mark.args)
                        yield section, what, answer, f"`{file.stem}::{node.name}`"


def page() -> str:
    """The page as it should be."""
    found, parts = list(cases()), [HEAD]
    for section, (title, first) in SECTIONS.items():
        rows = [f"| {what} | {answer} | {test} |" for kind, what, answer, test in found if kind == section]
        if rows:
            parts.append("\n".join([f"## {title}", "", f"| {first} | answer | test |", "|---|---|---|", *rows, ""]))
    if unknown := {kind for kind, *_ in found} - set(SECTIONS):
        raise ValueError(f"sections {sorted(unknown)} are unknown: choose among {', '.join(SECTIONS)}")
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() != page():
            sys.exit(f"{PAGE} is not what the tests say: run python {Path(__file__).relative_to(HERE.parents[1])}")
    else:
        PAGE.write_text(page())
