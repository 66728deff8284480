"""What a search may try, what it remembers, and what its trials are worth."""

import json
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

import demos
import envs
from gail_suite.algorithms.trainer import HOMES
from gail_suite.commands.cli import VERBS, main
from gail_suite.commands.parameters import Algorithm
from gail_suite.jobs import search
from gail_suite.jobs.search import Range, Search, worth
from gail_suite.jobs.sweep import BEGUN, plan


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0, out=tmp_path / "demos")
    return tmp_path / "demos"


def asked(tmp_path: Path, trials: int = 2, **changes) -> Search:
    planned = partial(plan, "bc", tmp_path / "out", (0,), options=("--demos", str(tmp_path / "demos")), eval_episodes=2)
    given = {"space": {"lr": Range.between("0.001:0.1:log")}, "objective": "distance", **changes}
    return Search(planned, demos=tmp_path / "demos", out=tmp_path / "out", trials=trials, **given)


def test_a_range_is_two_numbers_in_order():
    assert Range.between("1:4") == Range((1, 4)) and isinstance(Range.between("1:4").ends[0], int)
    assert Range.between("-1.5:2") == Range((-1.5, 2.0))
    assert Range.between("1e-3:0.1:log").extremes() == ["0.001", "0.1"]
    assert Range(words=("relu", "tanh")).extremes() == ["relu", "tanh"]
    for text in ("1", "2:1", "1:1", "0:1:log", "1:2:lin", "1:2:", "a:b", "nan:1", "0:inf", ""):
        with pytest.raises(ValueError, match="a range"):
            Range.between(text)


def test_a_search_takes_up_what_it_noted(tmp_path):
    first = asked(tmp_path)
    for lr, value in ((0.01, None), (0.02, 0.5), (0.03, 0.25)):
        first.note({"lr": lr}, value)
    first.note({"lr": 0.01}, 0.75)
    assert [t["value"] for t in first.best()] == [0.25, 0.5, 0.75]
    again = asked(tmp_path)
    assert again.tried == first.tried and again.is_finished() and not asked(tmp_path, trials=4).is_finished()
    assert again.value({"lr": 0.02}) == 0.5 and again.value({"lr": 0.5}) is None
    assert again.jobs({"lr": 0.012345678})[0].folder.name == "lr=0.01235,seed=0"
    for changes in ({"space": {"lr": Range.between("0.001:1")}}, {"objective": "return"}):
        with pytest.raises(ValueError, match=r"holds a search of distance lr=0\.001:0\.1:log: choose another --out"):
            asked(tmp_path, **changes)
    (tmp_path / "out/search.json").unlink()
    by_return = asked(tmp_path, objective="return")
    by_return.note({"lr": 0.02}, 1.0), by_return.note({"lr": 0.03}, 2.0)
    assert by_return.best()[0]["settings"] == {"lr": 0.03}


def test_worth_is_a_distance_or_the_return_and_none_of_a_failure(tmp_path, shown):
    planned = partial(plan, "bc", tmp_path / "out", (0,), eval_episodes=2)
    bad, good = (planned({"lr": [lr]}, options=("--demos", str(shown), "--steps", "60")) for lr in ("1e-6", "0.01"))
    worse, better = (worth(jobs, "distance", shown) for jobs in (bad, good))
    assert 0 < better < worse
    assert worth(good, "return", shown) == json.loads((good[0].folder / "eval.json").read_text())["return_mean"]
    failing = planned({"lr": ["0.02"]}, options=("--demos", str(tmp_path / "none")))
    assert worth(failing, "distance", shown) is None
    assert (failing[0].folder / BEGUN).is_file() and search.log_of(failing[0]).read_text()


def test_every_algorithm_is_swept():
    trained = {name.removeprefix("train ") for name in VERBS if name.startswith("train ")}
    assert set(get_args(Algorithm)) == trained == set(HOMES) - {"gail on-policy", "expert"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bc", "--generator", "ppo"], "bc has no generator"),
        (["sqil", "--generator", "ppo"], "sqil has no generator"),
        (["airl", "--generator", "sac"], "airl has the generators ppo and trpo"),
        (["dagger"], "dagger asks an expert: give --expert"),
        (["gail", "--expert", "bundled"], "gail asks no expert"),
        (["bc", "--space", "lr=0.1:0.01"], "a range is LOW:HIGH"),
        (["bc", "--space", "lr=0.1"], "a range is LOW:HIGH"),
        (["bc", "--space", "lr=-1:1"], "lr"),
        (["bc", "--space", "rate=0.1:1"], "unknown setting 'rate'"),
        (["bc", "--space", "lr"], "--space takes name=value"),
        (["bc", "--space", "lr=0.1:1", "--trials", "0"], "--trials is 0"),
        (["bc", "--space", "lr=0.1:1", "--grid", "lr=0.1"], "--grid and --space both"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(tmp_path, shown, capsys, words, message):
    assert main(["sweep", *words, "--demos", str(shown), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_sqil_is_swept(tmp_path, shown, capsys):
    words = ["--demos", str(shown), "--out", str(tmp_path / "out"), "--seeds", "0", "--eval-episodes", "1", "--json"]
    settings = ["--set", "loop.n_envs=2", "--set", "loop.warm_up=10", "--set", "sac.hidden=[8,8]"]
    assert main(["sweep", "sqil", *words, "--steps", "40", *settings]) == 0, (tmp_path / "out/seed=0.log").read_text()
    (entry,) = json.loads(capsys.readouterr().out)["sweep"]
    assert entry["seeds"] == [0]
