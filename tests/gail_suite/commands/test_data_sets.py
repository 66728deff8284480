"""`gail-suite data`: sets of demonstrations on the command line."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import demos
from demos import Demonstrations, Trajectory
from gail_suite.learning.shown import reaching

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five episodes with returns 0 to 4 and lengths 10 to 14; what the last does is not what the others do."""
    rng = np.random.default_rng(0)
    shown = [
        Trajectory(
            rng.normal(5 * (i == 4), 0.1, (n + 1, 3)), rng.normal(0, 0.1, (n, 2)), np.full(n, i / n), True, False, i
        )
        for i, n in enumerate(range(10, 15))
    ]
    return Demonstrations(tuple(shown), {"env_id": "gail_suite/PointToy-v0", "seed": 0}).save(tmp_path / "d")


def test_sets_are_filtered(folder: Path, tmp_path: Path, shell: Shell) -> None:
    def kept(*conditions: object) -> list[int]:
        out = tmp_path / "-".join(map(str, conditions)).replace("/", "")
        status, _, err = shell("data", "filter", folder, "--out", out, *conditions)
        assert status == 0, err
        return demos.load(out).meta.get("episodes", [0, 1, 2, 3, 4])

    assert kept("--min-return", 0.5, "--max-return", 2.5) == [1, 2]
    assert kept("--min-length", 12) == [2, 3, 4] and kept("--max-length", 10) == [0]
    assert kept("--best", 2) == [3, 4] and kept("--best", 9) == [0, 1, 2, 3, 4]
    assert kept("--typical") == [0, 1, 2, 3]
    assert kept("--min-typicality", 0.01, "--min-return", 2) == [2, 3]
    assert demos.load(tmp_path / "--best-2").meta["filter"] == {"best": 2}
    for words, message in (
        ((), "filter by what?"),
        (("--min-return", 99), "none of the 5 trajectories is kept"),
        (("--best", 0), "--best 0 keeps nothing"),
        (("--best", 1, "--prior", "p"), "--prior judges typicality"),
    ):
        status, _, err = shell("data", "filter", folder, "--out", tmp_path / "none", *words)
        assert status == 1 and message in err
    assert not (tmp_path / "none").exists()


def test_sets_are_split_and_merged_again(folder: Path, tmp_path: Path, shell: Shell) -> None:
    status, out, _ = shell("data", "split", folder, "--out", tmp_path / "two", "--fraction", 0.6, "--json")
    assert status == 0 and [json.loads(out)[name]["n_episodes"] for name in ("train", "test")] == [3, 2]
    parts = [tmp_path / "two" / name for name in ("train", "test")]
    status, out, _ = shell("data", "merge", *parts, folder, "--out", tmp_path / "all", "--json")
    assert status == 0 and json.loads(out)["repeated"] == 5
    assert sorted(demos.load(tmp_path / "all").returns.round(3)) == [0, 1, 2, 3, 4]
    assert demos.verify(tmp_path / "all").ok
    status, _, err = shell("data", "merge", *parts, "--out", tmp_path / "all")
    assert status == 1 and "exists already" in err


def test_a_set_is_drawn(folder: Path, tmp_path: Path, shell: Shell) -> None:
    status, out, _ = shell("data", "show", folder, "--plot", tmp_path / "d.html", "--json")
    assert status == 0 and json.loads(out)["plot"] == str(tmp_path / "d.html")
    assert "5 terminated" in (tmp_path / "d.html").read_text()


def test_a_recorded_episode_is_filmed_without_a_policy(tmp_path: Path, shell: Shell) -> None:
    shell("record", "--env", "Ant-v5", "-n", 1, "--num-envs", 1, "--out", tmp_path / "a", "-q")
    demos.load(tmp_path / "a").observations_only().save(tmp_path / "seen")
    words = (
        "render",
        tmp_path / "seen",
        "--episode",
        0,
        "-n",
        2,
        "--renderer",
        "raycast",
        "--width",
        64,
        "--height",
        64,
    )
    status, out, err = shell(*words, "--out", tmp_path / "x.gif")
    assert status == 0 and "episode 0 of 1, 1000 steps" in out, err
    assert (tmp_path / "x.gif").stat().st_size > 100
    status, _, err = shell(*words, "--compare", "bundled")
    assert status == 1 and "leave out --env and --compare" in err
    status, _, err = shell("render", tmp_path / "seen", "--episode", 7)
    assert status == 1 and "there is no episode 7" in err


def test_actions_are_found_and_serve_what_needs_them(
    toy_demos: Demonstrations, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, told = tmp_path / "seen", tmp_path / "told"
    hidden = toy_demos.observations_only()
    dataclasses.replace(hidden, meta={**hidden.meta, "observations_only": True}).save(seen)
    status, _, err = shell("train", "bc", "--demos", seen, "--steps", 10, "--out", tmp_path / "run")
    assert status == 1 and "find them with gail-suite data actions" in err
    status, out, _ = shell("data", "actions", seen, "--out", told, "--json")
    assert status == 0 and json.loads(out)["actions_found"] == 1
    meta = demos.load(told).meta
    assert meta["actions_found"] == 1 and "observations_only" not in meta
    assert "actions_found" not in demos.load(told).observations_only().meta
    for found, true in zip(demos.load(told), toy_demos, strict=True):
        np.testing.assert_allclose(found.acts, true.acts.clip(-1, 1), atol=1e-3)
    status, _, err = shell("train", "bc", "--demos", told, "--steps", 10, "--out", tmp_path / "run", "-q")
    assert status == 0, err
    monkeypatch.setattr(reaching, "with_actions", None)  # nothing below may come as far as a search
    status, _, err = shell("data", "actions", seen, "--out", told)
    assert status == 1 and "exists already" in err
    for words, message in (((told,), "holds actions already"), ((seen, "--tries", 0), "--tries 0 tries nothing")):
        status, _, err = shell("data", "actions", *words, "--out", tmp_path / "none")
        assert status == 1 and message in err
    assert not (tmp_path / "none").exists()


def test_training_without_actions_says_that_they_are_looked_for(
    toy_demos: Demonstrations, tmp_path: Path, shell: Shell
) -> None:
    toy_demos.observations_only().save(tmp_path / "seen")
    words = ("train", "gail", "--demos", tmp_path / "seen", "--steps", 40, "--eval-episodes", 1)
    settings = ("--set", "loop.n_envs=2", "--set", "loop.warm_up=20", "--set", "choose=false", "--set", "bc.steps=5")
    status, out, err = shell(*words, *settings, "--out", tmp_path / "run")
    told = "without recorded actions: trying which lead from state to state, 80,000 steps at most for 400 pairs"
    assert status == 0 and told in out and "were not found" not in out, err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["demos"]["actions_found"] == 1


def test_training_says_that_actions_were_not_found(tmp_path: Path, shell: Shell) -> None:
    obs = np.random.default_rng(0).normal(size=(31, 3))
    shown = Trajectory(obs, None, None, terminated=False, truncated=True)
    Demonstrations((shown,), {"env_id": "Pendulum-v1"}).save(tmp_path / "seen")
    words = ("train", "gail", "--demos", tmp_path / "seen", "--steps", 40, "--eval-episodes", 0)
    settings = ("--set", "loop.n_envs=2", "--set", "loop.warm_up=20", "--set", "choose=false", "--set", "bc.steps=5")
    status, out, err = shell(*words, *settings, "--out", tmp_path / "run")
    assert status == 0 and "they were not found, so a model of the dynamics guesses them" in out, err
    status, _, err = shell("data", "actions", tmp_path / "seen", "--out", tmp_path / "acted")
    assert status == 1 and "Pendulum-v1 cannot be put into a demonstrated state to try actions: train gail does" in err


def test_episodes_without_rewards_are_filtered_by_what_is_known(folder: Path, tmp_path: Path, shell: Shell) -> None:
    shown = demos.load(folder)
    bare = dataclasses.replace(shown, trajectories=tuple(dataclasses.replace(t, rews=None) for t in shown))
    bare.save(tmp_path / "bare")
    for words, found in ((("--min-length", 12), [2, 3, 4]), (("--typical",), [0, 1, 2, 3])):
        status, _, err = shell("data", "filter", tmp_path / "bare", "--out", tmp_path / words[0], *words)
        assert status == 0 and demos.load(tmp_path / words[0]).meta["episodes"] == found, err
    status, _, err = shell("data", "filter", tmp_path / "bare", "--out", tmp_path / "n", "--min-return", 0)
    assert status == 1 and "they hold no rewards" in err
