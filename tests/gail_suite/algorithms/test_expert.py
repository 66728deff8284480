import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import demos
import envs
from demos.policy import MlpPolicy
from gail_suite.algorithms.expert import ExpertConfig, ExpertTrainer, load_actor, observations
from gail_suite.learning.networks import Actor
from gail_suite.learning.objectives import TaskReward
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.replay import Window
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.features import Features, fit_features, state_columns

OLD = Path(__file__).parents[2] / "fixtures/a17ba61"
SMALL = ExpertConfig(
    sac=SACConfig(
        hidden=(64, 64),
        batch_size=64,
        gamma=0.95,
        actor_lr=1e-3,
        critic_lr=1e-3,
        tau=0.02,
        actor_delay=1,
        average_rate=0.05,
    ),
    loop=LoopConfig(
        n_envs=4,
        warm_up=200,
        capacity=5000,
        eval_every=10_000,
        eval_episodes=2,
        checkpoint_every=400,
        log_every=200,
        random_warm_up=True,
    ),
)


def test_features_standardise_drop_constants_and_floor_the_deviation():
    obs = np.array([[0.0, 5.0, 1.0], [2.0, 5.0, 1.01]])
    features = fit_features(obs, np.arange(3))
    # column 1 is constant; column 0 has mean 1 and deviation 1; column 2 deviates by 0.005, which the floor 0.1
    # replaces
    assert features.columns.tolist() == [0, 2]
    np.testing.assert_allclose(features(obs), [[-1.0, -0.05], [1.0, 0.05]], atol=1e-6)
    mean, scale = features.policy_inputs(3)
    np.testing.assert_allclose((obs - mean) * scale, [[-1.0, 0.0, -0.05], [1.0, 0.0, 0.05]], atol=1e-6)


def test_nothing_that_varies_is_a_clear_error():
    with pytest.raises(ValueError, match="none of the 2 observation columns varies over 5 observations"):
        fit_features(np.ones((5, 2)), np.arange(2))


@pytest.mark.parametrize("env_id, n", [("Ant-v5", 27), ("Humanoid-v5", 45), (envs.TOY_ID, 3)])
def test_positions_and_velocities_are_seen(env_id, n):
    assert state_columns(env_id).tolist() == list(range(n))


def test_a_loaded_actor_acts_as_the_policy_under_another_input_map():
    expert = demos.expert("Ant-v5")
    obs = observations("Ant-v5", 0, expert, n_steps=20, n_envs=2)
    features = Features(
        np.arange(27), np.linspace(-1, 1, 27, dtype=np.float32), np.linspace(0.5, 3, 27, dtype=np.float32)
    )
    actor = Actor(27, 8)
    load_actor(actor, expert, features)
    with torch.no_grad():
        actions = torch.tanh(actor(torch.from_numpy(features(obs)))[0]).numpy()
    np.testing.assert_allclose(actions, expert.predict(obs, deterministic=True)[0], atol=1e-3)


def test_a_policy_that_reads_hidden_columns_is_refused():
    features = Features(np.arange(20), np.zeros(20, np.float32), np.ones(20, np.float32))
    with pytest.raises(ValueError, match="reads 7 observation columns that the learner drops"):
        load_actor(Actor(20, 8), demos.expert("Ant-v5"), features)


def test_the_tasks_reward_is_scaled():
    window = Window(
        *(torch.ones(2, 3, 1) for _ in range(3)), torch.full((2, 3), 4.0), *(torch.zeros(2, 3) for _ in range(2))
    )
    assert torch.equal(TaskReward(0.25).rewards(window), torch.ones(2, 3))


def test_learns_the_toy_and_resumes(tmp_path):
    policy = ExpertTrainer(envs.TOY_ID, SMALL, 0, tmp_path / "whole").train(1600, eval_episodes=0).policy
    returns = demos.record(policy, envs.TOY_ID, 5, seed=0, n_envs=5).returns
    assert envs.normalized_score(envs.TOY_ID, returns).mean() > 0.8
    short = dataclasses.replace(SMALL, loop=dataclasses.replace(SMALL.loop, checkpoint_every=10**9))
    ExpertTrainer(envs.TOY_ID, short, 0, tmp_path / "part").train(400, eval_episodes=0)
    resumed = ExpertTrainer.resume(tmp_path / "part")
    assert resumed.loop.steps == 400
    again = resumed.train(1600, eval_episodes=0).policy
    # constant learning rates: where the run was cut makes no difference
    assert all(np.array_equal(policy.tensors[k], again.tensors[k]) for k in policy.tensors)


def test_reward_is_folded_at_the_cap_before_it_is_scaled():
    window = Window(
        *(torch.zeros(1, 3, 2) for _ in range(3)), torch.tensor([[-1.0, 4.0, 9.0]]), torch.zeros(1, 3), torch.ones(1, 3)
    )
    torch.testing.assert_close(TaskReward(0.1, 5.0).rewards(window), torch.tensor([[-0.1, 0.4, 0.1]]))
    torch.testing.assert_close(TaskReward(0.1).rewards(window), torch.tensor([[-0.1, 0.4, 0.9]]))


def test_a_resumed_run_needs_nothing_of_the_policy_that_it_began_with(tmp_path):
    first = ExpertTrainer(envs.TOY_ID, SMALL, 0, tmp_path / "first").train(400, eval_episodes=0).policy
    start = first.save(tmp_path / "start")
    ExpertTrainer(envs.TOY_ID, dataclasses.replace(SMALL, warm_start=str(start)), 0, tmp_path / "second").train(
        400, eval_episodes=0
    )
    shutil.rmtree(start)
    assert ExpertTrainer.resume(tmp_path / "second").loop.steps == 400
    with pytest.raises(ValueError, match="holds a run already"):
        ExpertTrainer(envs.TOY_ID, SMALL, 1, tmp_path / "second").train(400, eval_episodes=0)


@pytest.mark.filterwarnings("ignore:.*carries no SHA-256")
def test_an_expert_of_a_learned_reward_resumes_without_the_run_that_learned_it(tmp_path, killed):
    given = shutil.copytree(OLD / "run-airl", tmp_path / "airl")
    loop = dataclasses.replace(SMALL.loop, warm_up=80, checkpoint_every=120)
    config = dataclasses.replace(SMALL, reward=str(given), loop=loop)
    whole = ExpertTrainer(envs.TOY_ID, config, 0, tmp_path / "whole").train(240, eval_episodes=0).policy
    killed(ExpertTrainer(envs.TOY_ID, config, 0, tmp_path / "part"), 240, 120, eval_episodes=0)
    shutil.rmtree(given)
    resumed = ExpertTrainer.resume(tmp_path / "part")
    window = resumed.loop.replay.sample(50, 1, torch.Generator().manual_seed(0))
    obs = window.features[:, 0].numpy() * resumed.loop.features.std + resumed.loop.features.mean
    asked = resumed.given(obs, window.actions[:, 0].numpy(), obs, np.zeros(50, bool))
    np.testing.assert_allclose(window.bonus[:, 0], asked, atol=5e-3)  # training may round products to bfloat16
    again = resumed.train(eval_episodes=0).policy
    assert all(np.array_equal(whole.tensors[k], again.tensors[k]) for k in again.tensors)


@pytest.mark.filterwarnings("ignore:.*carries no SHA-256")
def test_a_reward_of_another_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="reads 3 observation and 2 action entries, the environment has 3 and 1"):
        ExpertTrainer("Pendulum-v1", dataclasses.replace(SMALL, reward=str(OLD / "run-airl")))


@pytest.mark.parametrize(
    ("changes", "meta", "hidden", "message"),
    [
        ({}, {}, (256,), r"layers are \[256, 256\] wide and the learner's \[256\]: set sac.hidden=\[256, 256\]"),
        ({}, {}, (256, 256, 256), "wide and the learner's"),
        ({}, {"activation": "tanh"}, (256, 256), "no squashed Gaussian of relu layers"),
        ({"log_std": np.zeros(8)}, {}, (256, 256), "no squashed Gaussian of relu layers"),
    ],
)
def test_a_policy_that_the_learner_cannot_hold_is_refused(changes, meta, hidden, message):
    expert = demos.expert("Ant-v5")
    tensors = {k: v for k, v in expert.tensors.items() if not (changes and k.startswith("log_std"))} | changes
    features = Features(np.arange(27), np.zeros(27, np.float32), np.ones(27, np.float32))
    with pytest.raises(ValueError, match=message):
        load_actor(Actor(27, 8, hidden), MlpPolicy(tensors, expert.meta | meta), features)
