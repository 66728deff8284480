import json
import os
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import demos
import envs
from demos import Demonstrations, Trajectory
from demos.sealed import read_json, write_json
from demos.store import Writer, open_for_writing

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32)


@pytest.fixture
def folder(tmp_path, make_demos):
    return make_demos().save(tmp_path / "some démos")


@st.composite
def demonstrations(draw):
    obs_dim, act_dim = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    trajectories = []
    for _ in range(draw(st.integers(1, 4))):
        t = draw(st.integers(1, 6))
        shapes = ((t + 1, obs_dim), (t, act_dim), (t,))
        values = [draw(arrays(np.float32, shape, elements=FLOATS)) for shape in shapes]
        flags = draw(st.tuples(st.booleans(), st.booleans()))
        trajectories.append(Trajectory(*values, *flags, seed=draw(st.none() | st.integers(0, 2**40))))
    return Demonstrations(tuple(trajectories), {"env_id": "Toy-v0", "note": draw(st.text(max_size=5))})


@given(demonstrations(), st.integers(1, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path, same, shown, k):
    shown = shown.subsample(k, seed=1)
    path = tmp_path / "round trip"
    shutil.rmtree(path, ignore_errors=True)
    again = demos.load(shown.save(path))
    same(shown, again)
    assert again.meta == shown.meta
    assert (again.stride, again.offsets) == (shown.stride, shown.offsets)


def test_manifest_and_meta_say_what_is_there(folder, make_demos):
    shown = make_demos()
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert [line["length"] for line in lines] == [3, 5, 2] and [line["seed"] for line in lines] == [10, 11, 12]
    assert [line["return"] for line in lines] == shown.returns.tolist()
    assert [(line["terminated"], line["truncated"]) for line in lines] == [(True, False), (False, True), (True, False)]
    summary = json.loads((folder / "meta.json").read_text())["summary"]
    assert summary["n_episodes"] == 3 and np.isclose(summary["return_mean"], shown.returns.mean())
    assert np.isclose(summary["return_sd"], shown.returns.std())
    episodes = [f"episode_0000{i}.safetensors" for i in range(3)]
    assert sorted(os.listdir(folder)) == [*episodes, "manifest.jsonl", "meta.json"]


def test_every_byte_flip_in_an_episode_is_detected(folder):
    rng = np.random.default_rng(0)
    files = sorted(folder.glob("*.safetensors"))
    for _ in range(300):
        file = files[rng.integers(len(files))]
        sound = file.read_bytes()
        damaged = bytearray(sound)
        damaged[rng.integers(len(sound))] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{file.name} .*does not match its SHA-256"):
            demos.load(folder)
        (folder / "manifest.jsonl").rename(folder / "aside")  # without the manifest the episode's own digest must tell
        with pytest.raises(ValueError, match=file.name):
            demos.load(folder)
        (folder / "aside").rename(folder / "manifest.jsonl")
        file.write_bytes(sound)


def test_byte_flips_in_the_manifest_change_nothing_unnoticed(folder, make_demos, same):
    rng, manifest = np.random.default_rng(1), folder / "manifest.jsonl"
    sound, refused = manifest.read_bytes(), 0
    for _ in range(300):
        damaged = bytearray(sound)
        damaged[rng.integers(len(sound))] ^= int(rng.integers(1, 256))
        manifest.write_bytes(damaged)
        try:
            same(demos.load(folder), make_demos())  # a torn last line or another blank: the episodes prove themselves
        except ValueError:
            refused += 1
    assert refused > 250


def test_manifest_torn_at_any_byte_is_repaired(folder, make_demos, same):
    manifest = folder / "manifest.jsonl"
    sound = manifest.read_bytes()
    for size in range(0, len(sound), 7):
        manifest.write_bytes(sound[:size])
        same(demos.load(folder), make_demos())
    with open_for_writing(folder, make_demos().meta):
        pass
    assert manifest.read_bytes() == sound
    manifest.unlink()
    same(demos.load(folder), make_demos())


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_episode(folder, keep):
    file = folder / "episode_00001.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(
        ValueError,
        match=r"episode_00001.safetensors \(episode 1, \d+ bytes\) does not match .*"
        "restore it from a copy, or delete it and record the episode again",
    ) as caught:
        demos.load(folder)
    assert "\n" not in str(caught.value)


def test_missing_files(folder, tmp_path):
    (folder / "episode_00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"episode 2: .*episode_00002.safetensors cannot be read"):
        demos.load(folder)
    (folder / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match="held 3 episodes when it was finished and holds 2 now"):
        demos.load(folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match="holds no finished episode: run the recording again"):
        demos.load(folder)
    with pytest.raises(ValueError, match="nowhere is not a folder: give a demonstrations folder"):
        demos.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no meta.json: give a demonstrations folder"):
        demos.load(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": "other"}, "does not describe demonstrations"),
        ({"env_id": 3}, r"meta.json is damaged at env_id \(Expected `str`, got `int`\)"),
        ({"summary": []}, "meta.json is damaged at summary"),
        ({"format_version": 2}, "has format version 2, this program reads 1: update gail-suite"),
        ({"pairs": {"stride": 2}}, r"meta.json is damaged at pairs .*missing required field `offsets`"),
        ({"pairs": {"stride": 2, "offsets": [0]}}, r"damaged pairs .*stride 2 with 1 offsets for 3 trajectories"),
        (
            {"obs_dim": 7},
            r"episode_00000.safetensors has \(observation, action\) widths \(4, 2\) but Toy-v0 has \(7, 2\)",
        ),
    ],
)
def test_meta_is_checked(folder, change, message):
    write_json(folder / "meta.json", {**read_json(folder / "meta.json"), **change})
    with pytest.raises(ValueError, match=message):
        demos.load(folder)


def test_meta_that_is_no_json(folder):
    for text in ("", "[1]", "{", "\x00"):
        (folder / "meta.json").write_text(text)
        with pytest.raises(ValueError, match=r"meta.json is damaged .*: restore it"):
            demos.load(folder)


def test_observations_only_are_stored_and_verified(tmp_path, make_demos, same):
    seen = make_demos(obs_dim=3, env_id=envs.TOY_ID).observations_only()
    folder = seen.save(tmp_path / "seen")
    found = demos.load(folder)
    assert found.has_actions is False and all(t.acts is None for t in found)
    np.testing.assert_array_equal(found[1].obs, seen[1].obs)
    assert found.returns.tolist() == seen.returns.tolist() and found[1].truncated
    report = demos.verify(folder)
    assert report.ok and "3 episodes hold observations only, without actions: 0, 1, 2" in report.notes
    shard = folder / "episode_00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + bytes([shard.read_bytes()[-1] ^ 1]))
    assert not demos.verify(folder).ok  # the digest covers what is there


def test_save_never_overwrites(folder, make_demos):
    with pytest.raises(ValueError, match="exists already: choose another folder"):
        make_demos().save(folder)


def test_two_writers_of_one_folder(folder, make_demos):
    first, second = (open_for_writing(folder, make_demos().meta) for _ in range(2))
    with first, pytest.raises(ValueError, match="being written by another process: wait"), second:
        pass


def test_other_demonstrations_are_not_mixed_in(folder):
    message = "holds demonstrations with env_id Toy-v0, not Other-v0: choose another folder"
    with pytest.raises(ValueError, match=message), open_for_writing(folder, {"env_id": "Other-v0"}):
        pass


class Killed(BaseException):
    """Stands in for the end of the process: nothing that changes a file works after it."""


def test_death_at_every_system_call(tmp_path, make_demos, same, monkeypatch):
    whole = make_demos(lengths=(2, 3))
    for point in range(100):
        path = tmp_path / str(point)
        with monkeypatch.context() as patch:
            left = [point]

            def mortal(name, left=left):
                call = getattr(os, name)

                def step(*args, **kwargs):
                    left[0] -= 1
                    if left[0] < 0:
                        raise Killed
                    return call(*args, **kwargs)

                return step

            for name in ("replace", "fsync", "unlink"):
                patch.setattr(os, name, mortal(name))
            try:
                with open_for_writing(path, whole.meta) as writer:
                    for episode in range(2):
                        writer.append(episode, whole[episode])
                    writer.finish()
                break
            except Killed:
                pass
        stored = len(list(path.glob("episode_*")))
        if stored:
            same(demos.load(path), whole[:stored])
        with open_for_writing(path, whole.meta) as writer:
            for episode in set(range(2)) - set(writer.done):
                writer.append(episode, whole[episode])
            writer.finish()
        same(demos.load(path), whole)
        assert not list(path.glob(".*"))
    assert point > 10  # the loop ended because a recording outlived all its calls


def test_a_save_that_breaks_off_leaves_nothing_that_could_be_taken_for_the_whole(
    tmp_path, make_demos, same, monkeypatch
):
    whole, path = make_demos(lengths=(2, 3)), tmp_path / "d"
    (tmp_path / ".d.tmp-0123abcd").mkdir()  # a killed one's
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "finish", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            whole.save(path)
    assert not list(tmp_path.iterdir())
    path.mkdir()
    same(demos.load(whole.save(path)), whole)
    assert list(tmp_path.iterdir()) == [path]


def test_other_physics_warn_and_strict_refuses(tmp_path, toy_policy):
    path = tmp_path / "toy"
    demos.record(toy_policy, envs.TOY_ID, n_episodes=1, out=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demos.load(path, strict=True)  # the same physics: silence
    meta = read_json(path / "meta.json")
    meta["physics_fingerprint"], meta["versions"]["mujoco"] = "0" * 64, "4.0.0"
    write_json(path / "meta.json", meta)
    with pytest.warns(UserWarning, match=r"other physics .*\(mujoco 4\.0\.0, .*this machine's \(mujoco 3\."):
        assert len(demos.load(path)) == 1
    with pytest.raises(ValueError, match=r"other physics of gail_suite/PointToy-v0 \(mujoco 4\.0\.0"):
        demos.load(path, strict=True)
    meta["env_id"] = "Gone-v0"
    write_json(path / "meta.json", meta)
    with pytest.warns(UserWarning, match="cannot be checked here: unknown environment 'Gone-v0'"):
        demos.load(path)
