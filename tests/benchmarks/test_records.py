"""What a line of results says of how it was made."""

import pytest

from benchmarks import records


def test_a_command_names_no_folder_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "--demos-dir", "/somewhere/else/public_demos", "--out", "runs/a b", "--seed", "0"]
    monkeypatch.setattr("sys.argv", ["/checkout/benchmarks/demonstrators.py", *words])
    told = "python -m benchmarks.demonstrators run --demos-dir public_demos --out 'runs/a b' --seed 0"
    assert records.command() == told
