"""Kinds 5, 6, 9 and 10 in small: the soak's own faults, at every call of a writer and at a few of a training."""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import demos
import envs
import generative as g
from benchmarks.soak import fits, hostile, tracing, writers
from benchmarks.soak.trainings import CommandFailed, command
from gail_suite.algorithms.bc import BCConfig
from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, OnPolicyGAILConfig
from gail_suite.learning.onpolicy import Cadence, OnPolicyLoop
from gail_suite.learning.rewards.learned_reward import load_reward
from gail_suite.learning.sb3 import OnPolicyConfig
from gail_suite.runs.config import build
from gail_suite.runs.runlog import RunLog, holds_run, read_metrics, refuse_used

pytestmark = pytest.mark.skipif(not tracing.AVAILABLE, reason="faults at system calls need Linux on x86-64")
FAULTS = pytest.mark.parametrize("fault", ["kill", "full"])


def test_a_fault_is_put_where_it_is_asked_for(tmp_path):
    def work():
        with (tmp_path / "a").open("wb", buffering=0) as file:
            file.write(b"1234")
            os.fsync(file.fileno())

    assert tracing.run(work, tmp_path).calls == 3  # openat, write, fsync
    assert (tmp_path / "a").read_bytes() == b"1234"
    killed = tracing.run(work, tmp_path, at=2)
    assert killed.killed and (tmp_path / "a").read_bytes() == b"12"  # half a write
    full = tracing.run(work, tmp_path, at=2, fault="full")
    assert full.error == "OSError: [Errno 28] No space left on device" and (tmp_path / "a").read_bytes() == b""


@pytest.mark.parametrize("name", ["policy", "prior", "rows of metrics", "film .gif"])
@FAULTS
def test_writers(tmp_path, name, fault):
    (writer,) = (w for w in writers.writers() if w.name == name)
    cases = list(writers.broken(writer, tmp_path, fault, 0.15))
    assert cases and not any(cases)


@FAULTS
def test_a_fit(tmp_path, fault):
    cases = list(fits.faults(fits.Fit("VAE", tmp_path), fault, 0.04))
    assert cases and not any(cases)


def test_an_on_policy_run_that_lost_its_process_before_a_checkpoint_begins_again(tmp_path, toy_demos, monkeypatch):
    learner = OnPolicyConfig(n_envs=2, batch_steps=64, hidden=(8,), epochs=1, minibatch=32)
    config = OnPolicyGAILConfig(learner=learner, cadence=Cadence(eval_episodes=1))

    def train():
        return OnPolicyGAIL(envs.TOY_ID, toy_demos, config, run_dir=tmp_path / "run").train(64, eval_episodes=0)

    def lost(_loop):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(OnPolicyLoop, "iterate", lost)
        with pytest.raises(SystemExit):
            train()
    assert (tmp_path / "run/config.json").exists()
    assert train().policy.act_dim == 2


def test_a_policy_half_written_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy/policy.safetensors").write_bytes(b"half")
    (tmp_path / "config.json").write_text("{}")  # which a run writes first
    assert not holds_run(tmp_path)
    refuse_used(tmp_path)


def test_the_last_row_of_a_run_is_not_written_twice(tmp_path):
    for resumed in (False, True):
        with RunLog(tmp_path, quiet=True) as log:
            log.truncate_to(5 if resumed else -1)
            log.log(5, distance=0.25)
            log.log(5, score=1.0)
    assert [set(row) - {"sps", "wall_s"} for row in read_metrics(tmp_path)] == [{"step", "distance"}, {"step", "score"}]


def test_samples_on_a_full_disk_leave_the_old_file_and_name_it(tmp_path):
    model, out = tmp_path / "m.safetensors", tmp_path / "x.npz"
    g.GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(50, 2))).save(model)
    out.write_bytes(b"old")
    words = ["gen", "sample", str(model), "-n", "3", "--out", str(out)]
    for at in (1, 2, 3):
        said = tracing.run(lambda: command(words), tmp_path, at, "full").error
        assert said.count("\n") == 1 and "No space left on device: " in said and "x.npz" in said
        assert out.read_bytes() == b"old" and not list(tmp_path.glob(".*"))
    command(words)
    assert np.load(out)["x"].shape == (3, 2)


def test_tensorboard_on_a_full_disk_is_one_error_that_names_the_file(tmp_path):
    def work():
        with RunLog(tmp_path, quiet=True) as log:
            for step in range(3):
                log.log(step, loss=1.0)

    told = {tracing.run(work, tmp_path, at, "full").error for at in range(1, 9)}
    assert any("tensorboard/events" in said for said in told if said)
    assert all("\n" not in said and str(tmp_path) in said for said in told if said)


# what hostile files and NaN found


def test_settings_that_are_too_deep_are_refused_at_once(tmp_path):
    (tmp_path / "deep.yaml").write_text("hidden: " + "[" * 5000)
    with pytest.raises(ValueError, match="more than 20 levels of lists"):
        build(BCConfig(), tmp_path / "deep.yaml")


def test_pipes_and_bombs_among_pictures(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b.png is not a file but a folder, a device or a pipe"):
        g.data.load(tmp_path)
    (tmp_path / "b.png").unlink()
    dict(hostile._pictures())["60,000 x 60,000 pixels"](tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b.png cannot be read as an image: .* could be decompression bomb"):
        g.data.load(tmp_path)


def test_nan_in_files_is_named(tmp_path, written):
    from demos.sealed import parse_tensors, read_json, tensor_bytes, write_json

    reward = next(s.file.parent for s in written if s.kind == "reward reward.json")
    copy = shutil.copytree(reward, tmp_path / "reward")
    file = copy / "reward.safetensors"
    arrays = parse_tensors(file.read_bytes(), file)
    file.write_bytes(tensor_bytes(arrays | {"net.head.bias": np.full_like(arrays["net.head.bias"], np.nan)}))
    with pytest.raises(ValueError, match=r"holds NaN in net.head.bias"):
        load_reward(copy)
    file.write_bytes(tensor_bytes(arrays))
    write_json(copy / "reward.json", read_json(copy / "reward.json") | {"hidden": []})
    with pytest.raises(ValueError, match=r"reward.json is damaged at hidden"):
        load_reward(copy)


def test_complex_data_and_labels_of_1e9_are_refused():
    for x, y, says in (
        (torch.zeros(20, 2, dtype=torch.complex64), None, "complex"),
        (torch.zeros(20, 1, 4, 4), torch.full((20,), 10**9), "label"),
    ):
        with pytest.raises(ValueError, match=says):
            g.VAE(latent=1, hidden=4, layers=1).fit(x, y, steps=1, progress=False)
    with pytest.raises(ValueError, match="complex"):
        demos.Trajectory(np.zeros((3, 2), complex), np.zeros((2, 1)), None, False, True)


def test_a_command_that_fails_says_so(tmp_path):
    with pytest.raises(CommandFailed, match=r"1: gail-suite: error: .*gone"):
        command(["data", "show", str(tmp_path / "gone")])
