import numpy as np
import pytest

import demos
import envs
from demos import Demonstrations, Trajectory
from demos.sealed import read_json, write_json


@pytest.fixture
def recorded(tmp_path, toy_policy):
    path = tmp_path / "demos"
    demos.record(toy_policy, envs.TOY_ID, 3, n_envs=3, deterministic=False, out=path)
    return path


def edit_meta(path, **changes):
    write_json(path / "meta.json", {**read_json(path / "meta.json"), **changes})


def test_sound_demonstrations(recorded):
    report, shown = demos.verify(recorded), demos.load(recorded)
    assert report.ok and report.problems == [] and report.notes == []
    assert report.n_episodes == 3 and report.n_pairs == shown.n_pairs
    np.testing.assert_array_equal(report.returns, shown.returns)
    np.testing.assert_array_equal(report.lengths, shown.lengths)


def test_all_problems_in_one_pass(recorded):
    first, second = recorded / "episode_00000.safetensors", recorded / "episode_00001.safetensors"
    first.write_bytes(first.read_bytes()[:-3])
    second.unlink()
    edit_meta(recorded, physics_fingerprint="0" * 64, obs_dim=4)
    report = demos.verify(recorded)
    assert not report.ok and report.n_episodes == 1
    text = "\n".join(report.problems)
    for expected in (
        "episode_00000.safetensors (episode 0",
        "truncated or changed",
        "episode_00001.safetensors cannot be read",
        "held 3 episodes when it was finished and holds 2 now",
        "episode_00002.safetensors has (observation, action) widths (3, 2)",
        "meta.json says",
        "other physics",
    ):
        assert expected in text
    assert all("\n" not in problem for problem in report.problems)


def test_duplicates_bounds_and_constant_columns(tmp_path):
    rng = np.random.default_rng(0)
    obs = np.column_stack([rng.normal(size=5), np.full(5, 2.0), rng.normal(size=5)])
    inside = Trajectory(obs, rng.uniform(-1, 1, (4, 2)), np.zeros(4), True, False)
    outside = Trajectory(obs + np.array([1, 0, 1]), np.full((4, 2), 1.5), np.zeros(4), True, False)
    Demonstrations((inside, outside, inside), {"env_id": envs.TOY_ID}).save(tmp_path / "d")
    report = demos.verify(tmp_path / "d")
    duplicates, bounds = report.problems
    assert duplicates == "episodes 0 and 2 are identical: remove one of them"
    assert bounds.startswith(f"episode 1 has 4 actions outside the bounds of {envs.TOY_ID}: clip them")
    assert report.notes == ["1 of 3 observation columns never change: 1"]


def test_unlisted_episode_is_a_note(recorded):
    manifest = recorded / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    report = demos.verify(recorded)
    assert report.ok and report.n_episodes == 3
    assert report.notes[0].startswith("1 episodes are not in manifest.jsonl")


def test_damaged_manifest_does_not_hide_the_episodes(recorded):
    manifest = recorded / "manifest.jsonl"
    manifest.write_text("{}\n" + manifest.read_text())
    report = demos.verify(recorded)
    assert report.n_episodes == 3 and "manifest.jsonl line 1 is damaged" in report.problems[0]


def test_what_is_no_folder_or_no_known_environment(recorded, tmp_path):
    assert "is not a folder" in demos.verify(tmp_path / "nowhere").problems[0]
    edit_meta(recorded, env_id="Gone-v0")
    (problem,) = demos.verify(recorded).problems
    assert problem.startswith("the environment cannot be made here: unknown environment 'Gone-v0'")
