import dataclasses
import re

import numpy as np
import pytest

import demos
import envs


def flat(shown):
    """The .npz layout of demonstrations."""
    return {
        "obs": np.concatenate([t.obs for t in shown]),
        "acts": np.concatenate([t.acts for t in shown]),
        "rews": np.concatenate([t.rews for t in shown]),
        "lengths": shown.lengths,
        "terminated": [t.terminated for t in shown],
        "truncated": [t.truncated for t in shown],
        "seed": [t.seed for t in shown],
    }


def d4rl(shown, next_obs=True):
    """D4RL's layout: no episode objects, no final observation but in next_observations."""
    last = [np.arange(len(t)) == len(t) - 1 for t in shown]
    arrays = {
        "observations": np.concatenate([t.obs[:-1] for t in shown]),
        "actions": np.concatenate([t.acts for t in shown]),
        "rewards": np.concatenate([t.rews for t in shown]),
        "terminals": np.concatenate([end & t.terminated for end, t in zip(last, shown, strict=True)]),
        "timeouts": np.concatenate([end & t.truncated for end, t in zip(last, shown, strict=True)]),
    }
    return {**arrays, "next_observations": np.concatenate([t.obs[1:] for t in shown])} if next_obs else arrays


@pytest.fixture
def shown(make_demos):
    return make_demos(lengths=(4, 6, 3), obs_dim=3, act_dim=2, env_id=envs.TOY_ID)


def test_npz_round_trip(tmp_path, shown, same):
    np.savez(tmp_path / "a b.npz", env_id=envs.TOY_ID, **flat(shown))
    again = demos.from_npz(tmp_path / "a b.npz")
    same(again, shown)
    assert again.env_id == envs.TOY_ID and again.meta["source"].endswith("a b.npz")
    assert (again.meta["obs_dim"], again.meta["act_dim"]) == (3, 2)
    same(demos.load(again.save(tmp_path / "folder")), shown)


def test_npz_without_actions(tmp_path, shown):
    arrays = {key: value for key, value in flat(shown).items() if key != "acts"}
    np.savez(tmp_path / "x.npz", **arrays)
    found = demos.from_npz(tmp_path / "x.npz", envs.TOY_ID)
    assert not found.has_actions and found.lengths.tolist() == shown.lengths.tolist()
    np.testing.assert_array_equal(found[0].obs, shown[0].obs)


def test_npz_of_one_bare_episode(tmp_path, shown):
    np.savez(tmp_path / "one.npz", obs=shown[0].obs, acts=shown[0].acts, rews=shown[0].rews)
    with pytest.warns(UserWarning, match="1 of 1 episodes neither end nor reach the limit of 100"):
        (trajectory,) = demos.from_npz(tmp_path / "one.npz", env_id=envs.TOY_ID)
    assert len(trajectory) == 4 and not trajectory.terminated and not trajectory.truncated and trajectory.seed is None


def test_npz_that_is_wrong(tmp_path, shown):
    def refused(message, **changes):
        np.savez(tmp_path / "x.npz", **{k: v for k, v in {**flat(shown), **changes}.items() if v is not None})
        with pytest.raises(ValueError, match=re.escape(message)):
            demos.from_npz(tmp_path / "x.npz", env_id=changes.get("env_id", envs.TOY_ID))

    refused("x.npz lacks obs and holds acts, lengths, rews, seed, terminated, truncated: see docs", obs=None)
    refused("has 16 rows of obs where its 3 episode lengths need 17", lengths=np.array([4, 6, 4]))
    refused("episode 1: trajectory obs holds 1 NaN or Inf, the first at step 2", obs=_with_nan(shown, 7))
    refused("does not say which environment it was recorded in: pass env_id", env_id=None)
    refused("has (observation, action) widths (3, 2) but Ant-v5 has (105, 8)", env_id="Ant-v5")
    refused("x.npz has single numbers for obs", obs=np.array(3.0))
    refused("x.npz has lengths of type float64 and shape (3,)", lengths=np.array([4.0, 6.0, 3.0]))
    refused("x.npz has lengths of type int64 and shape (3,), the least 0:", lengths=np.array([4, 9, 0]))
    # pickled: not even looked at
    refused("x.npz has obs of objects", obs=np.array([{"code": "run"}], object))


def test_npz_of_the_forms_that_episodes_have_in_lists(tmp_path, shown):
    def refused(message, **arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        for read in (demos.from_npz, demos.import_any):
            with pytest.raises(ValueError, match=re.escape(message)):
                read(tmp_path / "x.npz", env_id=envs.TOY_ID)

    lists = {name: np.empty(3, object) for name in ("obs", "acts")}
    for name, array in lists.items():
        array[:] = [getattr(t, name) for t in shown]
    refused("x.npz has obs and acts of objects, as episodes of different lengths make them", **lists)
    stacked = {name: np.stack([getattr(t, name)[:3] for t in shown]) for name in ("obs", "acts")}
    refused("x.npz has obs of shape (3, 3, 3): give its 3 episodes one after the other as (9, 3)", **stacked)
    refused("x.npz has 0 rows of obs: an episode of one step has two", obs=np.zeros((0, 3)))
    every = {**flat(shown), "obs": np.concatenate([t.obs[:-1] for t in shown])}
    refused("where the final one was not kept, leave out each episode's last action and reward", **every)


def test_npz_with_objects_that_are_not_read(tmp_path, shown, same):
    np.savez(tmp_path / "x.npz", notes=np.array([{"who": "me"}], object), **flat(shown))
    same(demos.from_npz(tmp_path / "x.npz", env_id=envs.TOY_ID), shown)


def _with_nan(shown, row):
    obs = np.concatenate([t.obs for t in shown])
    obs[row, 0] = np.nan
    return obs


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04 torn", b"text"])
def test_what_is_no_npz(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.npz cannot be read as an .npz of plain arrays \("):
        demos.from_npz(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="cannot be read"):
        demos.from_npz(tmp_path / "missing.npz")


def test_d4rl_with_next_observations(tmp_path, shown, same):
    np.savez(tmp_path / "x.npz", **d4rl(shown))
    again = demos.from_d4rl(tmp_path / "x.npz", env_id=envs.TOY_ID)
    same(again, shown, seeds=False)


def test_d4rl_without_next_observations_loses_the_unknown_last_steps(tmp_path, shown):
    np.savez(tmp_path / "x.npz", **d4rl(shown, next_obs=False))
    again = demos.from_d4rl(tmp_path / "x.npz", env_id=envs.TOY_ID)
    assert again.lengths.tolist() == [3, 5, 2]
    for whole, part in zip(shown, again, strict=True):
        np.testing.assert_array_equal(part.obs, whole.obs[:-1])
        np.testing.assert_array_equal(part.acts, whole.acts[:-1])
        assert part.truncated and not part.terminated  # the end itself was not stored: bootstrap, do not terminate


def test_d4rl_cut_off_by_the_end_of_the_file(tmp_path, shown):
    arrays = {key: value[:-1] for key, value in d4rl(shown).items()}
    np.savez(tmp_path / "x.npz", **arrays)
    last = demos.from_d4rl(tmp_path / "x.npz", env_id=envs.TOY_ID)[-1]
    assert len(last) == 2 and last.truncated and not last.terminated


def test_d4rl_by_gymnasiums_names_and_without_rewards(tmp_path, shown):
    names = {"terminals": "terminations", "timeouts": "truncations"}
    arrays = {names.get(key, key): value for key, value in d4rl(shown).items() if key != "rewards"}
    np.savez(tmp_path / "x.npz", **arrays)
    found = demos.import_any(tmp_path / "x.npz", env_id=envs.TOY_ID)
    assert [(len(t), t.terminated, t.truncated) for t in found] == [(len(t), t.terminated, t.truncated) for t in shown]
    assert not found.has_rewards
    np.testing.assert_array_equal(found[1].obs, shown[1].obs)
    both = d4rl(shown) | {"terminated": np.zeros(len(arrays["actions"]), bool)}  # beside D4RL's own
    np.savez(tmp_path / "both.npz", **both)
    assert demos.import_any(tmp_path / "both.npz", env_id=envs.TOY_ID).lengths.tolist() == shown.lengths.tolist()
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for key, value in arrays.items():
            file[key] = value
    assert demos.import_any(tmp_path / "x.hdf5", env_id=envs.TOY_ID).lengths.tolist() == shown.lengths.tolist()
    each = {f"{key}_0": value[:4] for key, value in arrays.items() if key in ("actions", "terminations")}
    np.savez(tmp_path / "each.npz", observations_0=shown[0].obs, **each)
    (one,) = demos.import_any(tmp_path / "each.npz", env_id=envs.TOY_ID)
    assert one.rews is None and one.terminated and len(one) == 4


def test_dones_do_not_say_how_an_episode_ended(tmp_path, shown):
    arrays = {"dones" if key == "terminals" else key: value for key, value in d4rl(shown).items() if key != "timeouts"}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=r"x.npz has dones, which does not say whether .*: rename it to terminals, or"):
        demos.from_d4rl(tmp_path / "x.npz", env_id=envs.TOY_ID)


def test_what_to_npz_writes_comes_back_bit_for_bit(tmp_path, toy_demos, same):
    one = toy_demos[0]
    unseeded = dataclasses.replace(one, obs=one.obs[:4], acts=one.acts[:3], rews=one.rews[:3], seed=None)
    ended = dataclasses.replace(unseeded, terminated=True, truncated=False)
    meta = {**toy_demos.meta, "env_kwargs": {"max_episode_steps": 100}, "expert": {"class": "Theirs"}, "seed": 3}
    d = demos.Demonstrations((*toy_demos, ended), meta)
    again = demos.from_npz(demos.to_npz(d, tmp_path / "x.npz"))
    same(again, d)
    assert again.task == d.task and {key: again.meta[key] for key in meta} == meta
    seen = demos.from_npz(demos.to_npz(d.observations_only(), tmp_path / "seen.npz"))
    assert not seen.has_actions and [t.obs.tobytes() for t in seen] == [t.obs.tobytes() for t in d]
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match=r"x.npz exists already"):
        demos.to_npz(d, tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"y.dat does not end in .npz"):
        demos.to_npz(d, tmp_path / "y.dat")


def test_d4rl_ant_v2_is_refused(tmp_path, make_demos):
    np.savez(tmp_path / "ant_expert-v2.npz", **d4rl(make_demos(obs_dim=111, act_dim=8)))
    message = r"hold 6 that today's lacks .*, and here they are not all 0: choose columns with --columns"
    with pytest.raises(ValueError, match=message):
        demos.from_d4rl(tmp_path / "ant_expert-v2.npz")


def test_d4rl_that_is_wrong(tmp_path, shown):
    arrays = d4rl(shown)
    np.savez(tmp_path / "x.npz", **{**arrays, "rewards": arrays["rewards"][:-1]})
    with pytest.raises(ValueError, match=r"arrays of different lengths \[12, 13\]"):
        demos.from_d4rl(tmp_path / "x.npz", env_id=envs.TOY_ID)
    np.savez(tmp_path / "y.npz", obs=np.zeros(3))
    with pytest.raises(ValueError, match="lacks observations, actions, terminals and holds obs"):
        demos.from_d4rl(tmp_path / "y.npz", env_id=envs.TOY_ID)


def test_d4rl_hdf5(tmp_path, shown, same):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for key, value in d4rl(shown).items():
            file[key] = value
    same(demos.from_d4rl(tmp_path / "x.hdf5", env_id=envs.TOY_ID), shown, seeds=False)
    (tmp_path / "bad.hdf5").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"bad.hdf5 is no HDF5 file, or a damaged one: .* nothing is ever unpickled"):
        demos.from_d4rl(tmp_path / "bad.hdf5", env_id=envs.TOY_ID)
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["data/demo_0/obs"] = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"it holds data/demo_0/obs, none of which is known here"):
        demos.from_d4rl(tmp_path / "other.hdf5", env_id=envs.TOY_ID)


def test_a_task_that_a_file_does_not_name_is_taken_with_a_warning_and_remembered(shown, tmp_path):
    arrays = {"obs": shown[0].obs, "acts": shown[0].acts, "env_id": np.array(["Other-v2"]), "terminated": True}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.warns(UserWarning, match=rf"says that it was recorded in Other-v2 and is taken for {envs.TOY_ID}"):
        taken = demos.from_npz(tmp_path / "x.npz", env_id=envs.TOY_ID)
    assert (taken.env_id, taken.meta["recorded_env_id"]) == (envs.TOY_ID, "Other-v2")


def test_what_an_archive_has_too_many_of_is_told(shown, tmp_path):
    one = {"obs": shown[0].obs, "acts": shown[0].acts, "env_id": np.array(envs.TOY_ID)}
    np.savez(tmp_path / "ends.npz", **one, terminated=np.array([True, False]))
    with pytest.raises(ValueError, match=r"has terminated of shape \(2,\) for 1 episodes: give one value, or one each"):
        demos.from_npz(tmp_path / "ends.npz")
    np.savez(tmp_path / "words.npz", **one, terminated=np.array("False"))
    with pytest.raises(ValueError, match="has terminated of type <U5: give True or False for each episode"):
        demos.from_npz(tmp_path / "words.npz")
    np.savez(tmp_path / "numbers.npz", **one, terminated=np.array([1.0]))
    assert demos.from_npz(tmp_path / "numbers.npz")[0].terminated is True
    np.savez(tmp_path / "dones.npz", **one, terminated=True, dones=np.zeros(3))
    with pytest.warns(UserWarning, match="holds dones too, which is not read here"):
        demos.from_npz(tmp_path / "dones.npz")
    steps = 2 * envs.spec(envs.TOY_ID).horizon
    joined = {"obs": np.random.default_rng(0).normal(size=(steps + 1, one["obs"].shape[1])), "env_id": one["env_id"]}
    np.savez(tmp_path / "joined.npz", **joined)
    with pytest.warns(UserWarning, match=rf"an episode of {steps} steps, and {envs.TOY_ID} ends after {steps // 2}"):
        demos.from_npz(tmp_path / "joined.npz")


def test_a_folder_of_our_own_needs_no_import(shown, tmp_path):
    shown.save(tmp_path / "own")
    with pytest.raises(ValueError, match="is a folder of this suite's demonstrations already: use it as it is"):
        demos.import_any(tmp_path / "own")
