"""A reward that was learned: of every trainer, saved, loaded from a run, and given to another learner."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

import gail_suite as gs
from gail_suite import envs
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.algorithms.gail_objective import AdversaryConfig
from gail_suite.demos.trajectory import Transitions
from gail_suite.learning.objectives import Given, GivenReward
from gail_suite.learning.replay import Window
from gail_suite.learning.rewards.learned_reward import load_reward, save_reward
from gail_suite.learning.rewards.reward_env import RewardVecEnv
from gail_suite.priors import BottleneckConfig, PriorsConfig, fit_prior

OLD = Path(__file__).parents[3] / "fixtures/a17ba61"
pytestmark = pytest.mark.filterwarnings("ignore:.*carries no SHA-256")
TINY = GAILConfig(warm_start=False, adversary=AdversaryConfig(hidden=(16,)))


def asked(reward, t, terminated=None):
    return reward(t.obs, t.acts, t.next_obs, t.terminated if terminated is None else terminated)


@pytest.mark.parametrize("name", ["run-airl", "run-gail-ppo"])
def test_a_run_and_its_reward_folder_give_the_same_reward(name, toy_demos):
    t = toy_demos.transitions()
    run, folder = gs.load_reward(OLD / name), gs.load_reward(OLD / name / "reward")
    np.testing.assert_array_equal(asked(run, t), asked(folder, t))
    assert run.meta["env_id"] == envs.TOY_ID


def test_a_run_without_a_reward_says_how_it_gets_one():
    with pytest.raises(ValueError, match="keeps no learned reward: a run of GAIL or AIRL does when it is finished"):
        gs.load_reward(OLD / "run-gail")


def test_off_policy_gail_gives_what_its_learner_is_rewarded_with(toy_demos, tmp_path):
    trainer = GAIL(envs.TOY_ID, toy_demos, TINY)
    t, expert = toy_demos.transitions(), trainer.shown.expert
    reward = load_reward(save_reward(trainer.reward(), tmp_path / "reward"))
    rows = Window(
        *(x[:, None] for x in (expert.features, expert.actions, expert.next_features)), *[torch.zeros(len(t), 1)] * 3
    )
    np.testing.assert_allclose(asked(reward, t), trainer.objective.rewards(rows)[:, 0], atol=1e-5)


@pytest.mark.parametrize("settings", [{"absorbing": True}, {"termination_cost": 2.0, "termination_cost_final": 2.0}])
def test_a_termination_is_worth_what_the_objective_says(toy_demos, tmp_path, settings):
    config = dataclasses.replace(TINY, adversary=AdversaryConfig(hidden=(16,), **settings))
    trainer = GAIL(envs.TOY_ID, toy_demos, config)
    t, expert, objective = toy_demos.transitions(), trainer.shown.expert, trainer.objective
    reward = load_reward(save_reward(trainer.reward(), tmp_path / "reward"))
    ones = torch.ones(len(t), 1)
    rows = Window(*(x[:, None] for x in (expert.features, expert.actions, expert.next_features)), 0 * ones, ones, ones)
    np.testing.assert_allclose(asked(reward, t, np.ones(len(t), bool)), objective.rewards(rows)[:, 0], atol=1e-4)
    added = asked(reward, t, np.ones(len(t), bool)) - asked(reward, t, np.zeros(len(t), bool))
    # gamma = 0.99: an absorbing reward for ever is worth 99 of it; a cost of 2 is 2 returns of the expert's softplus(0)
    with torch.no_grad():
        absorbing = 99 * float(objective.learner.rewards(objective.absorbing_pair))
    np.testing.assert_allclose(added, absorbing if "absorbing" in settings else -2 * np.log(2) / 0.01, rtol=1e-4)


def test_a_discriminator_that_began_with_a_prior_keeps_the_priors_sizes(toy_demos, tmp_path):
    prior = fit_prior(toy_demos, "vae", "bottleneck", latent=3, hidden=16, layers=1, steps=5).save(tmp_path / "prior")
    config = dataclasses.replace(TINY, priors=PriorsConfig(bottleneck=BottleneckConfig(str(prior))))
    reward = GAIL(envs.TOY_ID, toy_demos, config).reward()
    again, t = load_reward(save_reward(reward, tmp_path / "reward")), toy_demos.transitions()
    np.testing.assert_array_equal(asked(again, t), asked(reward, t))


def test_cloning_learns_no_reward(toy_demos):
    run = gs.BC(envs.TOY_ID, toy_demos, gs.BCConfig(steps=50, hidden=(8,))).train(eval_episodes=0)
    with pytest.raises(ValueError, match="learned no reward: train GAIL or AIRL"):
        run.reward()


def test_a_given_reward_is_asked_at_collection_and_scaled_in_the_objective():
    t = Transitions(np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.array([[3.0], [4.0]]), np.array([False, True]))
    given = Given(lambda obs, acts, next_obs, terminated: obs[:, 0] + 10 * next_obs[:, 0] + 100 * terminated)
    np.testing.assert_array_equal(given(t, t.terminated), [31.0, 142.0])
    zeros = torch.zeros(1, 2, 1)
    none = torch.zeros(1, 2)
    bonus = torch.tensor([[2.0, 5.0]])
    window = Window(zeros, zeros, zeros, torch.full((1, 2), 7.0), none, none, bonus=bonus)
    # half of the bonus, 5 folded at 3 to 1, and nothing of the environment's 7
    torch.testing.assert_close(GivenReward(0.5, 3.0).rewards(window), torch.tensor([[1.0, 0.5]]))


def test_any_learner_of_sb3_takes_a_learned_reward():
    venv = RewardVecEnv(envs.make_vec(envs.TOY_ID, n_envs=2), gs.load_reward(OLD / "run-airl"))
    model = PPO("MlpPolicy", venv, n_steps=16, batch_size=16, device="cpu", seed=0).learn(64)
    assert model.num_timesteps == 64 and len(venv.true_returns) > 0
