"""What a line of results says of how it was made."""

import csv
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import records


def test_a_command_names_no_folder_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "--demos-dir", "/somewhere/else/public_demos", "--out", "runs/a b", "--seed", "0"]
    monkeypatch.setattr("sys.argv", ["/checkout/benchmarks/demonstrators.py", *words])
    told = "python -m benchmarks.demonstrators run --demos-dir public_demos --out 'runs/a b' --seed 0"
    assert records.command() == told


def test_a_line_goes_only_to_a_file_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for value in (1, 2):
        records.append_row(path, ("case", "seconds"), {"case": "a", "seconds": value})
    with pytest.raises(ValueError, match=r"has the columns case, seconds, not case, cpu_s, wall_s"):
        records.append_row(path, ("case", "cpu_s", "wall_s"), {"case": "a"})
    assert [row["seconds"] for row in records.read_rows(path)] == ["1", "2"]


def test_every_result_has_the_columns_of_its_header() -> None:
    for path in sorted(records.RESULTS.rglob("*.csv")):
        with open(path, newline="") as file:
            header, *rows = list(csv.reader(file))
        assert {len(row) for row in rows} <= {len(header)}, path.name


def test_results_have_the_columns_of_the_programs_that_append_to_them() -> None:
    for name in ("characters", "colour", "digits", "gmm_speed", "gpu", "mnist"):
        module = import_module(f"benchmarks.{name}")
        path = getattr(module, "CSV", None)
        if path is not None and path.exists():
            with open(path, newline="") as file:
                assert next(csv.reader(file)) == list(module.COLUMNS), name
