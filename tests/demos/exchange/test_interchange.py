import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import demos
import envs


@pytest.fixture
def recorded(toy_policy):
    return demos.record(toy_policy, envs.TOY_ID, 3, seed=8, n_envs=3)


@pytest.fixture
def minari_root(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari root ü"))


def test_minari_round_trip(minari_root, recorded, same):
    demos.to_minari(recorded, "toy/expert-v0", author="someone")
    again = demos.from_minari("toy/expert-v0")
    same(again, recorded)
    assert again.meta == {**recorded.meta, "source": "minari toy/expert-v0"}  # expert, physics, seeds


def test_minari_reads_what_we_write(minari_root, recorded):
    import minari

    demos.to_minari(recorded, "toy/expert-v0")
    dataset = minari.load_dataset("toy/expert-v0")
    assert dataset.total_episodes == 3 and dataset.total_steps == recorded.n_pairs
    assert dataset.env_spec.id == envs.TOY_ID
    episode = dataset[1]
    np.testing.assert_array_equal(episode.observations, recorded[1].obs)
    assert episode.terminations[:-1].sum() == 0 and episode.terminations[-1] == recorded[1].terminated


class Standing(gym.Env):
    """A task of one's own, registered by its class as docs/your-own-environment.md does."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)


def test_minari_takes_a_task_that_is_registered_by_its_class(minari_root, tmp_path, make_demos, same):
    for name, made in (("Standing-v0", Standing), ("Nameless-v0", lambda: Standing())):
        gym.register(name, entry_point=made, max_episode_steps=9)
    shown = make_demos(lengths=(4, 6), obs_dim=2, act_dim=1, env_id="Standing-v0")
    dataset = demos.to_minari(shown, "own/standing-v0")
    assert dataset.env_spec.entry_point == f"{__name__}:Standing"
    same(demos.from_minari("own/standing-v0"), shown)
    nameless = demos.Demonstrations(shown.trajectories, {"env_id": "Nameless-v0"})
    with pytest.raises(ValueError, match="Nameless-v0 is registered with a function that has no name"):
        demos.to_minari(nameless, "own/nameless-v0")
    assert not list(tmp_path.rglob("nameless*"))


def test_minari_keeps_the_module_of_a_task(minari_root, recorded):
    shown = demos.Demonstrations(recorded.trajectories, {**recorded.meta, "env_id": f"gail_suite.envs:{envs.TOY_ID}"})
    demos.to_minari(shown, "toy/own-v0")
    assert demos.from_minari("toy/own-v0").task == shown.task


def test_minari_errors(minari_root, recorded):
    demos.to_minari(recorded, "toy/expert-v0")
    with pytest.raises(ValueError, match="toy/expert-v0 exists already: choose another id"):
        demos.to_minari(recorded, "toy/expert-v0")
    with pytest.raises(ValueError, match="is no Minari dataset id"):
        demos.to_minari(recorded, "no version")
    with pytest.raises(ValueError, match="'toy/exprt-v0' is on this machine: did you mean 'toy/expert-v0'"):
        demos.from_minari("toy/exprt-v0")
    with pytest.raises(ValueError, match="fetch it with: minari download abc-v0"):
        demos.from_minari("abc-v0")


def test_imitation_round_trip(tmp_path, recorded, same):
    pytest.importorskip("pyarrow")
    path = demos.to_imitation(recorded, tmp_path / "for imitation ü")
    again = demos.from_imitation(path)
    same(again, recorded, seeds=False)
    assert again.meta == {**recorded.meta, "source": str(path)}
    with pytest.raises(ValueError, match="exists already: choose another path"):
        demos.to_imitation(recorded, path)


@pytest.mark.filterwarnings("ignore:keys will default to True in jsonpickle:DeprecationWarning")
def test_imitation_itself_reads_and_writes_the_same_files(tmp_path, recorded, same):
    for module in ("pyarrow", "datasets", "jsonpickle", "imitation"):
        pytest.importorskip(module)
    from imitation.data import serialize

    theirs = serialize.load(demos.to_imitation(recorded, tmp_path / "ours"))
    for a, b in zip(recorded, theirs, strict=True):
        np.testing.assert_array_equal(a.obs, b.obs)
        np.testing.assert_array_equal(a.acts, b.acts)
        assert b.terminal and b.infos[-1] == {"TimeLimit.truncated": a.truncated}
    serialize.save(tmp_path / "theirs", theirs)
    same(demos.from_imitation(tmp_path / "theirs", env_id=envs.TOY_ID), recorded, seeds=False)


def test_a_folder_that_imitation_wrote_is_read():
    """By imitation 1.0.1 and datasets 5.2.0, which a fresh installation lacks, of two episodes of the toy's expert,
    seed 3.
    """
    found = demos.from_imitation(Path(__file__).parent / "written_by_imitation", env_id=envs.TOY_ID)
    shown = demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=2, seed=3)
    for a, b in zip(shown, found, strict=True):
        for name in ("obs", "acts", "rews"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=1e-5)
        assert (a.terminated, a.truncated) == (b.terminated, b.truncated)


@pytest.mark.parametrize("name", ["bad", "ant/expert", "no version", "ant-v"])
def test_an_id_without_a_version_is_refused(recorded, name):
    with pytest.raises(ValueError, match=r"is no Minari dataset id, which is \(namespace/\)name-vN"):
        demos.to_minari(recorded, name)


def test_foreign_imitation_folder(tmp_path, recorded):
    """Without our key the environment must be named, and infos that only jsonpickle can read are left alone."""
    pa = pytest.importorskip("pyarrow")
    whole, short = recorded[:1], recorded[0]
    path = demos.to_imitation(whole, tmp_path / "x")
    steps = 100  # the toy's limit
    table = pa.table(
        {
            "obs": [np.zeros((steps + 1, 3)).tolist(), short.obs.tolist()],
            "acts": [np.zeros((steps, 2)).tolist(), short.acts.tolist()],
            "infos": [[json.dumps({"py/object": "os.system"})] * steps, ["{}"] * len(short)],
            "terminal": [True, len(short) < steps],
        }
    )
    with pa.ipc.new_stream(str(path / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(ValueError, match="does not say which environment"):
        demos.from_imitation(path)
    first, second = demos.from_imitation(path, env_id=envs.TOY_ID)
    assert first.truncated and not first.terminated  # as long as the limit
    assert second.terminated == (len(short) < steps) and second.rews is None
    (path / "data-00000-of-00001.arrow").write_bytes(b"torn")
    with pytest.raises(ValueError, match="cannot be read as a dataset folder"):
        demos.from_imitation(path)


def test_older_imitation_npz(tmp_path, recorded, same):
    lengths = recorded.lengths
    np.savez(
        tmp_path / "old.npz",
        obs=np.concatenate([t.obs for t in recorded]),
        acts=np.concatenate([t.acts for t in recorded]),
        rews=np.concatenate([t.rews for t in recorded]),
        indices=np.cumsum(lengths)[:-1],
        terminal=np.ones(3, bool),
        infos=np.array([{}] * lengths.sum(), object),
    )
    again = demos.from_imitation(tmp_path / "old.npz", env_id=envs.TOY_ID)
    same(again, recorded, seeds=False)  # the episodes of 100 steps count as truncated, the others as terminated
    (tmp_path / "old.pkl").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match=r"cannot be read as an \.npz of plain arrays"):
        demos.from_imitation(tmp_path / "old.pkl", env_id=envs.TOY_ID)


def test_formats_that_need_actions_say_so(minari_root, tmp_path, recorded):
    for write, name in ((demos.to_minari, "toy/seen-v0"), (demos.to_imitation, tmp_path / "x")):
        with pytest.raises(ValueError, match="stores an action with every step, and these demonstrations hold observ"):
            write(recorded.observations_only(), name)
    assert not (tmp_path / "x").exists()


def test_missing_libraries_are_named_with_the_remedy(tmp_path, recorded, monkeypatch):
    for name in ("h5py", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    calls = [
        (lambda: demos.from_minari("a-v0"), "h5py"),
        (lambda: demos.to_minari(recorded, "a-v0"), "h5py"),
        (lambda: demos.to_imitation(recorded, tmp_path / "x"), "pyarrow"),
    ]
    for call, library in calls:
        with pytest.raises(
            ValueError, match=f"needs {library}, which cannot be imported .*: pip install 'gail-suite.exchange.'"
        ):
            call()


@pytest.mark.parametrize(("told", "truncated"), [("AA==", False), ("AQ==", True), ("AAA=", True)])
def test_imitations_numpy_bools_are_read_as_what_they_are(told, truncated):
    """As jsonpickle writes np.bool_; what is not known falls back on the length, here as long as the limit."""
    from demos.exchange.imitation_format import _was_truncated

    jsonpickle = pytest.importorskip("jsonpickle")
    kind = {"py/reduce": [{"py/type": "numpy.dtype"}, {"py/tuple": ["b1", False, True]}]}
    scalar = [{"py/function": "numpy._core.multiarray.scalar"}, {"py/tuple": [kind, {"py/b64": told}]}]
    info = json.dumps({"TimeLimit.truncated": {"py/reduce": scalar}})
    assert _was_truncated([info], True) is truncated
    assert _was_truncated([json.dumps({"TimeLimit.truncated": {"py/id": 3}})], False) is False
    for default in (False, True):  # the second of a value is written as a reference to the first
        for value in (np.True_, np.False_):
            info = jsonpickle.encode({"is_success": value, "TimeLimit.truncated": value, "x": 1}, keys=True)
            assert _was_truncated([info], default) is bool(value)
        both = jsonpickle.encode({"a": np.True_, "b": np.False_, "TimeLimit.truncated": np.False_}, keys=True)
        assert _was_truncated([both], default) is default  # which of the two is not said


def test_a_folder_that_is_no_data_set(tmp_path):
    (tmp_path / "bad").mkdir()
    with pytest.raises(ValueError, match=r"bad has no state.json: a folder to import is a data set as imitation saves"):
        demos.import_any(tmp_path / "bad", env_id=envs.TOY_ID)
