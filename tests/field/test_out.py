"""What leaves the suite, read by the other side itself."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import gail_suite as gs
from gail_suite import demos, envs
from gail_suite.algorithms.bc import BCConfig
from gail_suite.showing.scale import Uniform


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    shown = demos.record(envs.toy_expert, envs.TOY_ID, 3, out=folder / "d")
    return shown, gs.BC(envs.TOY_ID, shown, BCConfig(steps=60), run_dir=folder / "run").train(eval_episodes=0)


@pytest.mark.case("out", "A policy as a stable-baselines3 zip", "plain `SAC.load` acts the same to float32 rounding")
def test_stable_baselines3_loads_the_policy(run, tmp_path):
    sb3 = pytest.importorskip("stable_baselines3")
    policy = run[1].policy
    model = sb3.SAC.load(policy.save_sb3(tmp_path / "p"), device="cpu")
    obs = run[0][0].obs
    ours, theirs = (p.predict(obs, deterministic=True)[0] for p in (policy, model))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.case("out", "Demonstrations as a Minari dataset", "Minari loads it and makes its environment again")
def test_minari_loads_the_demonstrations(run, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    demos.to_minari(run[0], "toy/expert-v0")
    dataset = minari.load_dataset("toy/expert-v0")
    assert dataset.total_episodes == 3 and dataset.recover_environment().spec.id == envs.TOY_ID
    np.testing.assert_array_equal(dataset[0].observations, run[0][0].obs)


@pytest.mark.case(
    "out",
    "Demonstrations as a folder of imitation's",
    "imitation.data.serialize loads it",
)
def test_imitation_loads_the_demonstrations(run, tmp_path):
    from imitation.data import serialize

    theirs = serialize.load(demos.to_imitation(run[0], tmp_path / "i"))
    np.testing.assert_array_equal(theirs[0].obs, run[0][0].obs)


@pytest.mark.case("out", "Demonstrations as an .npz of plain arrays", "NumPy reads them without pickles")
def test_numpy_loads_the_demonstrations(run, tmp_path):
    shown = run[0]
    with np.load(demos.to_npz(shown, tmp_path / "x.npz"), allow_pickle=False) as theirs:
        np.testing.assert_array_equal(theirs["obs"][: len(shown[0]) + 1], shown[0].obs)
        assert theirs["lengths"].tolist() == shown.lengths.tolist()


@pytest.mark.case(
    "out",
    "imitation's command line, `python -m imitation.scripts.train_adversarial gail`",
    "works after `make install`, and trains on an exported folder; only its scripts `parallel` and `tuning` lack "
    "ray and optuna",
)
def test_imitations_command_line_trains_on_the_demonstrations(tmp_path):
    shown = demos.record(Uniform("Pendulum-v1", 0), "Pendulum-v1", 2)
    settings = {
        "demonstrations.path": demos.to_imitation(shown, tmp_path / "i"),
        "demonstrations.source": "local",
        "environment.gym_id": "Pendulum-v1",
        "environment.num_vec": 1,
        "total_timesteps": 64,
        "rl.batch_size": 64,
        "rl.rl_kwargs.batch_size": 32,
        "algorithm_kwargs.demo_batch_size": 32,
        "policy_evaluation.n_episodes_eval": 1,
        "logging.log_dir": tmp_path / "log",
    }
    words = [sys.executable, "-m", "imitation.scripts.train_adversarial", "gail", "with"]
    given = [f"{name}={value}" for name, value in settings.items()]
    done = subprocess.run([*words, *given], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    mean = re.search(r"'expert_stats': .*?'return_mean': (-?[\d.]+)", done.stderr + done.stdout)
    assert mean and float(mean[1]) == pytest.approx(shown.returns.mean(), rel=1e-5)
    assert (tmp_path / "log/checkpoints/final/reward_train.pt").is_file()


@pytest.mark.case(
    "out", "The curves of a run as TensorBoard events", "TensorBoard's own reader finds the numbers of metrics.jsonl"
)
def test_tensorboard_reads_the_curves(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run[1].dir
    reader = EventAccumulator(str(folder / "tensorboard"))
    reader.Reload()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    wanted = [(row["step"], row["bc_loss"]) for row in rows if "bc_loss" in row]
    names = [name for name in reader.Tags()["scalars"] if name.endswith("bc_loss")]
    found = [(event.step, event.value) for event in reader.Scalars(names[0])]
    assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in wanted]
