from pathlib import Path

from benchmarks.house import arrows, in_circles, measured, sources

CODE = '''"""A module."""

from typing import Any


class Box:
    def open(self, key: Any) -> Any:
        """Two lines.

        And more.
        """
        lid = key
        return lid

    def _shut(self): ...


def wide(): return "%s"
''' % ("x" * 120)


def test_lines_functions_and_names_are_counted_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for name in ("a.py", "__init__.py", "tests/test_a.py"):
        (tmp_path / name).write_text(CODE if name == "a.py" else "")
    assert [f.name for f in sources([tmp_path])] == ["__init__.py", "a.py"]
    found = measured([tmp_path])
    # open: 7 lines less 4 of its docstring; _shut and wide: 1 line; of the public ones (open, wide) one is documented
    assert (found["function_median"], found["function_longest"], found["documented"]) == (1, 3, "50 %")
    assert (found["lines"], found["lines_over_120"], found["modules_in_a_folder"]) == (18, 1, 1)
    assert found["any_per_1000"] == 111.1  # 2 of 18 lines


def test_arrows_lead_from_room_to_room(tmp_path: Path) -> None:
    package = tmp_path / "house"
    files = {
        "__init__.py": "from house.hall import door",
        "hall.py": "import house.kitchen.oven",
        "kitchen/oven.py": "from .. import cellar\nfrom house import hall, nothing",
        "kitchen/sink.py": "from .oven import heat\nfrom ..cellar import water",
        "cellar.py": "import os",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    found = arrows(package)
    assert found == {("hall", "kitchen"), ("kitchen", "hall"), ("kitchen", "cellar")}
    assert in_circles(found) == 2
