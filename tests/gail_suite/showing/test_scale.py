"""The scale of a run's demonstrations: from random actions at 0 to what was shown at 1, where that is a scale."""

import errno
from pathlib import Path

import numpy as np
import pytest

from demos.sealed import read_json, write_json
from gail_suite.showing import evaluation
from gail_suite.showing.scale import Scale, scale_of, unscored


@pytest.fixture(autouse=True)
def random_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random actions get -1274.2 on average, with a standard error of 37."""
    returns = np.array([-1237.2, -1311.2])
    found = evaluation.Evaluation("Pendulum-v1", returns, returns, 0, False)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: found)


def make_run(folder: Path, shown: float) -> Path:
    config = {"algo": "bc", "env_id": "Pendulum-v1", "demos": {"shown": {"return_mean": shown}}}
    write_json(folder / "config.json", config)
    return folder


@pytest.mark.parametrize("shown", [-1300.0, -1271.6, -1200.3])
def test_demonstrations_like_random_actions_make_no_scale(shown: float, tmp_path: Path) -> None:
    run = make_run(tmp_path, shown)
    assert scale_of(run) is None
    why = unscored(run)
    assert why == (
        f"no score against the demonstrations, which return {shown:.4g}, not clearly more than random actions (-1274, "
        "standard error 37): show a better demonstrator"
    )


def test_better_ones_make_a_scale_and_what_random_actions_got_is_kept_with_its_error(tmp_path: Path) -> None:
    for _ in range(2):  # measured, then read
        assert scale_of(make_run(tmp_path, -1200.1)) == Scale(pytest.approx(-1274.2), -1200.1)
    assert read_json(tmp_path / "reference.json")["random_error"] == pytest.approx(37)


def test_a_reference_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "reference.json", {"random_return": -1000.0, "n_episodes": 10, "seed": 200_000})
    assert scale_of(make_run(tmp_path, -999.0)) == Scale(-1000.0, -999.0)


def test_a_scale_is_there_where_it_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    run = make_run(tmp_path, -1000.0)
    monkeypatch.setattr("gail_suite.showing.scale.write_json", refuse)
    with pytest.warns(UserWarning, match=r"reference\.json could not be written \(Read-only file system\)"):
        assert scale_of(run) is not None
