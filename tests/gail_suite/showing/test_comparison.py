"""Runs beside each other."""

from pathlib import Path

import pytest
from PIL import Image

from demos.sealed import write_results
from gail_suite.runs.runlog import RunLog, write_run_files
from gail_suite.showing.comparison import compare, draw, table


def make_run(folder: Path, gamma: float, scores: tuple[float, ...], algo: str = "gail") -> Path:
    write_run_files(
        folder,
        {"algo": algo, "env_id": "Ant-v5", "seed": 3, "config": {"steps": 7, "sac": {"gamma": gamma, "tau": 0.1}}},
    )
    with RunLog(folder, quiet=True) as log:
        for i, score in enumerate(scores):
            log.log(100 * (i + 1), score=score, return_mean=1000 * score)
    return folder


def test_a_summary_holds_best_last_and_final_score_and_the_settings_that_differ(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", 0.9, (0.2, 0.8, 0.5)), make_run(tmp_path / "b", 0.99, (0.3,))
    write_results(a / "eval.json", {"score": 0.55, "return_mean": 550.0})
    first, second = compare([a, b])
    assert (first["best"], first["last"], first["score"], first["steps"]) == (0.8, 0.5, 0.55, 300)
    assert (second["best"], second["last"], second["score"]) == (0.3, 0.3, None)
    assert first["settings"] == {"sac.gamma": 0.9} and second["settings"] == {"sac.gamma": 0.99}
    lines = table([first, second]).splitlines()
    assert len(lines) == 3 and "0.550" in lines[1] and lines[2].endswith("sac.gamma=0.99")


def test_a_stopped_run_has_come_as_far_as_its_last_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", 0.9, (0.2,))
    assert compare([run])[0]["steps"] == 100
    (run / "checkpoints" / "step_000000640").mkdir(parents=True)
    assert compare([run])[0]["steps"] == 640


def test_settings_are_compared_within_an_algorithm(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", 0.9, (0.2,)), make_run(tmp_path / "b", 0.5, (), "bc")]
    assert [s["settings"] for s in compare(runs)] == [{}, {}]


def test_the_curves_are_a_picture_without_the_runs_that_have_none(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", 0.9, (0.2, 0.4)), make_run(tmp_path / "b", 0.9, (), "bc")]
    with Image.open(draw(runs, tmp_path / "curves.png")) as picture:
        assert picture.size == (1040, 520)
    with pytest.raises(ValueError, match="no curve to draw"):
        draw(runs[1:], tmp_path / "none.png")


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run directory \(it has no readable config.json\)"):
        compare([make_run(tmp_path / "a", 0.9, (0.2,)), tmp_path])
