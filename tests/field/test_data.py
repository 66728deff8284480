"""Data of other people: formats, widths, bounds, endings, and what is missing in them."""

import json
from importlib.util import find_spec

import gymnasium as gym
import h5py
import numpy as np
import pytest

from gail_suite import demos, envs
from gail_suite.algorithms.bc import BC, BCConfig
from gail_suite.commands.cli import main
from gail_suite.demos import Demonstrations, Trajectory
from gail_suite.demos.exchange.foreign import column_numbers, guess
from gail_suite.showing.scale import Uniform


def flat(lengths, width, acts=2, seed=0):
    """Flat arrays of episodes as D4RL has them, and the episodes' observations with their last ones."""
    rng = np.random.default_rng(seed)
    obs = [rng.normal(size=(n + 1, width)).astype(np.float32) for n in lengths]
    arrays = {
        "observations": np.concatenate([o[:-1] for o in obs]),
        "next_observations": np.concatenate([o[1:] for o in obs]),
        "actions": rng.uniform(-1, 1, (sum(lengths), acts)).astype(np.float32),
        "rewards": rng.normal(size=sum(lengths)).astype(np.float32),
        "terminals": np.zeros(sum(lengths), bool),
    }
    return arrays, obs


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key] = value
    return path


# --- endings ---


@pytest.mark.case(
    "data", "D4RL without `timeouts`, with `next_observations`", "cut where the next row is not the next observation"
)
def test_d4rl_is_cut_where_the_next_observation_says(tmp_path):
    arrays, obs = flat([30, 20, 25], 17, acts=6)
    d = demos.from_d4rl(write_h5(tmp_path / "halfcheetah_expert-v2.hdf5", arrays))
    assert d.lengths.tolist() == [30, 20, 25] and all(t.truncated and not t.terminated for t in d)
    for t, o in zip(d, obs, strict=True):
        np.testing.assert_array_equal(t.obs, o)


@pytest.mark.case("data", "D4RL without `timeouts` and `next_observations`", "cut at the task's time limit")
def test_d4rl_is_cut_at_the_time_limit(tmp_path):
    arrays, _ = flat([1000, 1000, 1000], 17, acts=6)
    del arrays["next_observations"]
    d = demos.from_d4rl(write_h5(tmp_path / "halfcheetah_expert-v2.hdf5", arrays))
    assert d.lengths.tolist() == [999] * 3
    arrays["terminals"][399] = True  # the count begins again after an end
    d = demos.from_d4rl(write_h5(tmp_path / "halfcheetah_other-v2.hdf5", arrays))
    assert d.lengths.tolist() == [399, 999, 999, 599]


@pytest.mark.case(
    "data", "d3rlpy, version 1 (`episode_terminals`) and 2 (`observations_0`, ...)", "read; auto finds them"
)
def test_d3rlpys_files(tmp_path):
    arrays, obs = flat([30, 20], 17, acts=6)
    ends = np.zeros(50, bool)
    ends[[29, 49]] = True
    one = {k: v for k, v in arrays.items() if k != "next_observations"}
    one |= {
        "episode_terminals": ends,
        "rewards": arrays["rewards"][:, None],
        "discrete_action": False,
        "version": "1.0",
    }
    two = {"columns": ["observations", "actions", "rewards", "terminated"], "num_episodes": 2, "version": "2.1"}
    for i, rows in enumerate((slice(0, 30), slice(30, 50))):
        two |= {f"observations_{i}": arrays["observations"][rows], f"actions_{i}": arrays["actions"][rows]}
        two |= {f"rewards_{i}": arrays["rewards"][rows, None], f"terminated_{i}": i == 1}
    for name, content in (("one", one), ("two", two)):
        d = demos.import_any(write_h5(tmp_path / f"{name}.h5", content), env_id="HalfCheetah-v5")
        assert d.lengths.tolist() == [29, 19] and all(t.truncated for t in d)  # what follows the last step is not kept
        np.testing.assert_array_equal(d[1].obs, obs[1][:-1])


# --- formats by auto ---


@pytest.mark.case("data", "An old .npz of imitation", "found by auto")
def test_auto_finds_imitations_old_npz(tmp_path):
    d = demos.record(envs.toy_expert, envs.TOY_ID, 2)
    ends = np.cumsum(d.lengths)[:-1]
    np.savez(
        tmp_path / "rollouts.npz",
        obs=np.concatenate([t.obs for t in d]),
        acts=np.concatenate([t.acts for t in d]),
        indices=ends,
        terminal=np.array([True, True]),
        infos=np.array([{}], dtype=object),
    )
    back = demos.import_any(tmp_path / "rollouts.npz", env_id=envs.TOY_ID)
    assert back.lengths.tolist() == d.lengths.tolist() and not back.has_rewards


@pytest.mark.case("refused", "A mistyped path", "said to be missing; no Minari download")
def test_a_mistyped_path_is_no_minari_id(tmp_path):
    for wrong in (tmp_path / "no.npz", "data/demos.hdf5", "./expert-v0.h5", "some folder"):
        with pytest.raises(
            ValueError, match="does not exist: give a file, a folder, or the id of a local Minari dataset"
        ):
            guess(wrong)
    assert guess("ant/expert-v0") == "minari"


# --- what is missing ---


@pytest.mark.case("data", "Data without rewards", "taken; returns are unknown, not 0")
def test_missing_rewards(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", obs=rng.normal(size=(21, 3)), acts=rng.uniform(-1, 1, (20, 2)), truncated=True)
    d = demos.from_npz(tmp_path / "x.npz", env_id=envs.TOY_ID)
    assert np.isnan(d.returns).all() and "return unknown" in repr(d)
    again = demos.load(d.save(tmp_path / "d"))
    assert again[0].rews is None and demos.verify(tmp_path / "d").ok
    assert json.loads((tmp_path / "d/meta.json").read_text())["summary"]["return_mean"] is None
    assert demos.from_imitation(demos.to_imitation(again, tmp_path / "i"))[0].rews is None
    with pytest.raises(ValueError, match="none of the 1 trajectories is kept; they hold no rewards, so their returns"):
        again.where(again.returns > 0)
    with pytest.raises(ValueError, match="Minari stores a reward with every step"):
        demos.to_minari(again, "toy/expert-v0")
    assert BC(envs.TOY_ID, again, BCConfig(steps=10)).train(eval_episodes=0).policy.obs_dim == 3


@pytest.mark.case(
    "data", "Data of a task that is not registered here", "taken for behaviour cloning; everything else is refused"
)
def test_data_of_an_unregistered_task(tmp_path):
    from gail_suite.algorithms.gail import GAIL

    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", obs=rng.normal(size=(41, 5)), acts=rng.uniform(-2, 2, (40, 3)), rews=np.zeros(40))
    with pytest.warns(UserWarning, match="TheirRobot-v3 is not registered here.*can only be cloned"):
        d = demos.from_npz(tmp_path / "x.npz", env_id="TheirRobot-v3")
    d.save(tmp_path / "d")
    report = demos.verify(tmp_path / "d")
    assert report.ok and "TheirRobot-v3 is not registered here, so its widths and bounds" in report.notes[0]
    with pytest.warns(UserWarning, match="TheirRobot-v3 is not registered here"):
        run = BC("TheirRobot-v3", d, BCConfig(steps=10)).train()
    assert run.score is None and run.policy.predict(d[0].obs[0])[0].shape == (3,)
    with pytest.raises(ValueError, match="TheirRobot-v3 is not registered here, so nothing can be run on it"):
        GAIL("TheirRobot-v3", d).train(100)
    with pytest.raises(ValueError, match=r"unknown environment .*did you mean 'HalfCheetah-v5'"):
        demos.from_npz(tmp_path / "x.npz", env_id="HalfCheeta-v5")


def test_what_is_said_next_can_be_done(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", obs=rng.normal(size=(41, 5)), acts=rng.uniform(-2, 2, (40, 3)), rews=np.zeros(40))
    with pytest.warns(UserWarning, match="Gripper-v0 is not registered here"):
        demos.from_npz(tmp_path / "x.npz", env_id="Gripper-v0").save(tmp_path / "theirs")
    demos.record(Uniform("CartPole-v1", 0), "CartPole-v1", 1, seed=0, out=tmp_path / "choices")
    for name, line in (("theirs", "train bc --demos"), ("choices", "train gail --demos")):
        for verb in ("verify", "show"):
            assert main(["data", verb, str(tmp_path / name)]) == 0
            said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("next: ")]
            assert f"next: gail-suite {line} {tmp_path / name}" in said[-1]
            assert said[-1].endswith("--generator ppo") == (name == "choices")
            filmed = name == "choices" and verb == "show" and find_spec("pygame") is not None
            assert len(said) == 1 + filmed  # no film of what cannot be run, or not drawn here


# --- Minari ---


@pytest.fixture
def minari_root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.mark.case("data", "Minari: time limit, arguments and wrappers of its environment", "kept in the task's name")
def test_minari_keeps_limit_arguments_and_wrappers(minari_root):
    import minari

    env = gym.wrappers.TimeAwareObservation(gym.make("Hopper-v5", max_episode_steps=30, frame_skip=2))
    rng = np.random.default_rng(0)
    buffers = [
        minari.data_collector.EpisodeBuffer(
            id=0,
            observations=rng.normal(size=(31, 12)).astype(np.float32),
            actions=rng.uniform(-1, 1, (30, 3)).astype(np.float32),
            rewards=list(np.ones(30)),
            terminations=[False] * 30,
            truncations=[False] * 29 + [True],
        )
    ]
    with pytest.warns():
        minari.create_dataset_from_buffers(
            "their/hopper-v0",
            buffers,
            env=env,
            observation_space=gym.spaces.Box(-np.inf, np.inf, (12,), np.float32),
            action_space=gym.spaces.Box(-1, 1, (3,), np.float32),
        )
    d = demos.from_minari("their/hopper-v0")
    known = envs.spec(d.task)
    assert (known.obs_dim, known.horizon) == (12, 30) and "frame_skip=2" in d.task and "TimeAwareObservation" in d.task


def recorded(env, name, episodes=2):
    """Random episodes of an environment as a Minari data set, as a user of Minari would write it."""
    import minari

    buffers = []
    for seed in range(episodes):
        seen, steps = [env.reset(seed=seed)[0]], []
        while not steps or not any(steps[-1][2:]):
            action = env.action_space.sample()
            obs, *told, _ = env.step(action)
            seen.append(obs)
            steps.append((action, *told))
        together = {key: np.stack([o[key] for o in seen]) for key in obs} if isinstance(obs, dict) else np.stack(seen)
        names = ("actions", "rewards", "terminations", "truncations")
        columns = dict(zip(names, map(np.array, zip(*steps, strict=True)), strict=True))
        buffers.append(minari.data_collector.EpisodeBuffer(id=seed, seed=seed, observations=together, **columns))
    with pytest.warns():
        minari.create_dataset_from_buffers(name, buffers, env=env)
    env.close()
    return name


@pytest.mark.case("refused", "A Minari data set of Dict observations", "in one line that says how to flatten it")
def test_minaris_dict_observations_are_refused_plainly(minari_root, tmp_path, capsys):
    name = recorded(gym.make("Dict-v0"), "their/dict-v0")
    assert main(["data", "import", name, "--out", str(tmp_path / "d")]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and not (tmp_path / "d").exists()
    assert "observations of the kind Dict, not a vector: flatten them with gymnasium.wrappers.FlattenObs" in told[0]


def test_minaris_own_recording_keeps_limit_and_wrappers(minari_root, tmp_path, capsys):
    """Recorded behind a wrapper and with a limit of its own, and imported by the command."""
    env = gym.wrappers.TimeAwareObservation(gym.make("InvertedPendulum-v5", max_episode_steps=7, reset_noise_scale=0.0))
    name = recorded(env, "their/pendulum-v0")
    assert main(["data", "import", name, "--out", str(tmp_path / "d"), "--json"]) == 0
    task = json.loads(capsys.readouterr().out)["env_id"]
    d = demos.load(tmp_path / "d")
    assert d.task == task and "max_episode_steps=7" in task and "reset_noise_scale=0.0" in task
    assert envs.spec(task).obs_dim == 5 and d[0].obs[:, -1].tolist() == list(range(len(d[0]) + 1))
    assert d.lengths.max() <= 7 and main(["data", "verify", str(tmp_path / "d")]) == 0


# --- widths ---


def trajectory(obs):
    steps = len(obs) - 1
    return Trajectory(obs, np.zeros((steps, 8)), np.zeros(steps), False, True)


@pytest.mark.case(
    "data", "Ant-v2 of 111 columns", "today's 105: the world's 6 zeros are left out; refused where they are not 0"
)
def test_old_ants_columns(tmp_path):
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(31, 111))
    obs[:, 27:33] = 0
    arrays = {"obs": obs, "acts": rng.uniform(-1, 1, (30, 8)), "rews": np.zeros(30), "truncated": True}
    np.savez(tmp_path / "a.npz", **arrays)
    d = demos.from_npz(tmp_path / "a.npz", env_id="Ant-v5")
    np.testing.assert_array_equal(d[0].obs, np.delete(obs, np.s_[27:33], 1).astype(np.float32))
    assert d.meta["columns"] == "111 observation columns of an older Ant-v5 without 6 that are always 0"
    obs[3, 30] = 0.1
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match="here they are not all 0: choose columns with --columns"):
        demos.from_npz(tmp_path / "b.npz", env_id="Ant-v5")
    chosen = demos.from_npz(tmp_path / "b.npz", env_id="Ant-v5", columns=column_numbers("0-26,33-110"))
    np.testing.assert_array_equal(chosen[0].obs, d[0].obs)


@pytest.mark.case("data", "Humanoid of 376 columns (v2 to v4)", "today's 348: 28 that are always 0 are left out")
@pytest.mark.filterwarnings("ignore:.*out of date")
def test_old_humanoids_columns_are_those_of_gymnasiums_own_v4(tmp_path):
    """The same states, told by Humanoid-v4 and by Humanoid-v5 as Gymnasium has them."""
    old, new = gym.make("Humanoid-v4").unwrapped, gym.make("Humanoid-v5").unwrapped
    rng, told, today = np.random.default_rng(0), [], []
    old.reset(seed=0), new.reset(seed=0)
    for _ in range(12):
        action = rng.uniform(-0.4, 0.4, 17)
        told.append(old.step(action)[0])
        new.set_state(old.data.qpos, old.data.qvel)
        today.append(new._get_obs())
    np.savez(tmp_path / "h.npz", obs=np.array(told), acts=np.zeros((11, 17)), rews=np.zeros(11), truncated=True)
    found = demos.from_npz(tmp_path / "h.npz", env_id="Humanoid-v5")[0].obs
    assert found.shape == (12, 348)
    np.testing.assert_allclose(found[:, :45], np.array(today)[:, :45], atol=1e-5)  # positions and velocities
    np.testing.assert_allclose(found[:, 45:175], np.array(told)[:, 55:185], atol=1e-5)  # inertias of the bodies


def test_a_width_that_nobody_knows_is_refused_with_the_ways_out(tmp_path):
    np.savez(tmp_path / "x.npz", obs=np.zeros((4, 12)), acts=np.zeros((3, 6)), rews=np.zeros(3))
    with pytest.raises(
        ValueError, match=r"widths \(12, 6\) but HalfCheetah-v5 has \(17, 6\): choose .*--columns.*--env-arg"
    ):
        demos.from_npz(tmp_path / "x.npz", env_id="HalfCheetah-v5")


@pytest.mark.parametrize("text", ["", "a", "3-", "-3", "1,,2"])
def test_columns_that_are_no_numbers(text):
    with pytest.raises(ValueError, match="--columns takes numbers and ranges"):
        column_numbers(text)


# --- arrays ---


@pytest.mark.case("data", "Arrays with negative strides, big-endian, read-only, lists", "work")
@pytest.mark.case("refused", "Arrays of objects, tensors with gradients", "by our own error")
def test_arrays_of_all_kinds():
    import torch

    good = np.arange(8.0).reshape(4, 2)
    frozen = good.copy()
    frozen.flags.writeable = False
    for obs in (good[::-1], good.astype(">f8"), frozen, good.tolist(), torch.from_numpy(good), np.asfortranarray(good)):
        t = Trajectory(obs, np.zeros((3, 1)), np.zeros(3), False, True)
        np.testing.assert_array_equal(t.obs, np.asarray(obs).astype(np.float32))
        assert t.obs.dtype == np.dtype("=f4") and t.obs.flags.c_contiguous
    for bad in (good.astype(object), torch.from_numpy(good).requires_grad_(), [[1, 2], [3]], None):
        with pytest.raises(ValueError, match="trajectory obs"):
            Trajectory(bad, np.zeros((3, 1)), np.zeros(3), False, True)


@pytest.mark.case("data", "Data frames of pandas, as demonstrations, observations and training data", "work")
@pytest.mark.case("refused", "Data frames with texts, dates, gaps or columns of objects", "by our own error")
def test_data_frames():
    import pandas as pd

    from gail_suite import generative as g

    rows = np.random.default_rng(0).uniform(size=(31, 3)).astype(np.float32)
    obs, acts, rews = pd.DataFrame(rows, columns=list("abc")), pd.DataFrame(np.zeros((30, 2))), pd.Series([0.5] * 30)
    t = Trajectory(obs, acts, rews, False, True)
    np.testing.assert_array_equal(t.obs, rows)
    assert t.rews.sum() == 15.0
    shown = Demonstrations((t,), {"env_id": envs.TOY_ID})
    policy = BC(envs.TOY_ID, shown, BCConfig(steps=5)).train(eval_episodes=0).policy
    ours, theirs = (policy.predict(x, deterministic=True)[0] for x in (rows, obs))
    np.testing.assert_array_equal(ours, theirs)
    mixture = g.GaussianMixture(1).fit(obs)
    np.testing.assert_array_equal(mixture.score_samples(obs), g.GaussianMixture(1).fit(rows).score_samples(rows))
    assert g.data.load(obs).x_train.shape == (25, 3)
    for column in (["x"] * 31, pd.date_range("2020", periods=31), pd.array([None] + [1] * 30, dtype="Int64")):
        bad = obs.assign(b=column)
        with pytest.raises(ValueError, match="trajectory obs has type object: it must hold real numbers; convert them"):
            Trajectory(bad, acts, rews, False, True)
        with pytest.raises(ValueError, match="observations cannot be read as an array of numbers"):
            policy.predict(bad)
        gap = not isinstance(column, list) and column.dtype == "Int64"  # what pandas lacks is NaN
        takes = [] if gap else [g.GaussianMixture(1).fit, g.data.load]
        for take in (*takes, lambda x: g.VAE().fit(x, steps=1, progress=False)):
            with pytest.raises(ValueError, match="NaN or infinite" if gap else "data must be real numbers: "):
                take(bad)


@pytest.mark.case("data", "Images of few levels in 16 bits", "keep their levels, and do not become grey")
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("levels", [2, 3, 8, 17, 64])
def test_levels_of_images_in_16_bits(kind, levels):
    import torch

    from gail_suite.generative.core.values import infer_values

    images = torch.arange(levels).repeat(8).reshape(-1, 1, 4, 4 if levels % 2 == 0 else 2) / (levels - 1)
    rounded = images.to(getattr(torch, kind)).float()
    assert infer_values(rounded) == ("binary" if levels == 2 else "categorical", levels)


def test_a_pixelcnn_of_float16_images_draws_their_levels():
    from gail_suite import generative as g

    images = (np.random.default_rng(0).integers(0, 8, size=(40, 1, 4, 4)) / 7).astype(np.float16)
    model = g.PixelCNN().fit(images, steps=1, progress=False)
    drawn = 7 * model.sample(2, seed=0)
    assert (drawn - drawn.round()).abs().max() < 1e-5 and model.log_prob(images).isfinite().all()


@pytest.mark.parametrize("kind", ["negative strides", "big-endian", "list", "float64", "tensor"])
def test_policies_take_observations_of_all_kinds(kind):
    import torch

    policy, obs = demos.expert("Ant-v5"), np.random.default_rng(0).normal(size=(3, 105)).astype(np.float32)
    given = {
        "negative strides": obs[::-1][::-1],
        "big-endian": obs.astype(">f4"),
        "list": obs.tolist(),
        "float64": obs.astype(np.float64),
        "tensor": torch.from_numpy(obs),
    }[kind]
    np.testing.assert_array_equal(
        policy.predict(given, deterministic=True)[0], policy.predict(obs, deterministic=True)[0]
    )


# --- the four recorded files of CS 285 ---


@pytest.mark.case(
    "data",
    "CS 285's recorded experts (HalfCheetah, Hopper, Walker2d, Ant of 27 columns), --clip",
    "imported and trained on, by cloning here and by GAIL in results/demonstrators.md",
)
@pytest.mark.parametrize(
    ("name", "task", "outside"),
    [
        ("halfcheetah_cs285_v4", "HalfCheetah-v5", 0.20),
        ("hopper_cs285_v4", "Hopper-v5", 0.44),
        ("walker2d_cs285_v4", "Walker2d-v5", 0.42),
        ("ant_cs285_v4_raw", "Ant-v5(include_cfrc_ext_in_observation=false)", None),
    ],
)
def test_cs285_files_are_imported_with_clip_and_trained_on(public_demos, tmp_path, capsys, name, task, outside):
    source = str(public_demos / f"{name}.npz")
    words = ["data", "import", source, "--env", task.partition("(")[0], "--out", str(tmp_path / "d"), "--json"]
    assert main([*words, "--clip"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["env_id"] == task and told["n_episodes"] == 2 and told["n_pairs"] == 2000
    d = demos.load(tmp_path / "d")
    assert demos.verify(tmp_path / "d").ok and all(t.truncated for t in d)
    if outside is not None:
        assert told["outside"] / (2000 * d[0].acts.shape[1]) == pytest.approx(outside, abs=0.01)
    assert main(["train", "bc", "--demos", str(tmp_path / "d"), "--steps", "20", "--eval-episodes", "1", "--quiet",
                 "--out", str(tmp_path / "run")]) == 0  # fmt: skip
    assert json.loads((tmp_path / "run/eval.json").read_text())["env_id"] == task


def test_without_clip_the_import_says_so_and_verify_refuses(public_demos, tmp_path, capsys):
    source = str(public_demos / "hopper_cs285_v4.npz")
    assert main(["data", "import", source, "--out", str(tmp_path / "d")]) == 0
    assert "action entries (44%) outside the bounds: import again with --clip" in capsys.readouterr().out
    assert "clip them" in demos.verify(tmp_path / "d").problems[0]


def test_merged_kinds_of_data_keep_their_task(public_demos):
    d = demos.import_any(public_demos / "ant_cs285_v4_raw.npz", env_id="Ant-v5")
    assert isinstance(d, Demonstrations) and d[0].obs.shape[1] == 27
    assert d.returns.tolist() == pytest.approx([4712.6, 4651.2], abs=0.1)
