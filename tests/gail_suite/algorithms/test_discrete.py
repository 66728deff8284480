"""Discrete actions: CartPole from one trajectory, by cloning and by GAIL with PPO, through files and the command
line's parts.
"""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import demos
import envs
import gail_suite as gs
from gail_suite.algorithms.airl import AIRL, AIRLConfig
from gail_suite.algorithms.bc import BCConfig
from gail_suite.algorithms.gail_onpolicy import DiscriminatorConfig, OnPolicyGAIL, OnPolicyGAILConfig
from gail_suite.learning.onpolicy import Cadence
from gail_suite.learning.rewards.reward_env import RewardVecEnv
from gail_suite.learning.sb3 import OnPolicyConfig

CARTPOLE = "CartPole-v1"
SMALL = OnPolicyGAILConfig(
    OnPolicyConfig(batch_steps=64, n_envs=2, minibatch=32, epochs=2, hidden=(16,)),
    DiscriminatorConfig(updates=2, batch_size=32, hidden=(16,)),
    Cadence(eval_every=0, eval_episodes=1),
)


class Balancing:
    """A linear controller that answers in numbers, as stable-baselines3 does; it never falls."""

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        return (obs @ np.array([0.1, 0.5, 5.0, 1.2]) > 0).astype(np.int64), state


@pytest.fixture(scope="module")
def shown():
    return demos.record(Balancing(), CARTPOLE, 1, seed=0, n_envs=1)


def test_numbers_are_recorded_as_rows_and_lead_where_they_led(shown, tmp_path):
    assert shown.returns.tolist() == [500] and shown[0].acts.shape == (500, 2)
    assert set(map(tuple, shown[0].acts.tolist())) == {(0.0, 1.0), (1.0, 0.0)}
    env = gym.make(CARTPOLE)
    obs, _ = env.reset(seed=0)
    for t in range(50):
        np.testing.assert_array_equal(obs, shown[0].obs[t])
        obs, *_ = env.step(int(shown[0].acts[t].argmax()))
    assert demos.verify(shown.save(tmp_path / "d")).ok


def test_cloning_balances(shown):
    run = gs.BC(CARTPOLE, shown, BCConfig(steps=800, hidden=(32,), lr=0.01)).train(eval_episodes=0)
    assert gs.evaluate(run.policy, CARTPOLE, n_episodes=2, n_envs=2).return_mean > 200
    rows, _ = run.policy.predict(shown[0].obs[:-1], deterministic=True)
    assert (rows.argmax(1) == shown[0].acts.argmax(1)).mean() > 0.95


def test_a_choice_is_drawn_by_its_softmax(shown):
    policy = gs.BC(CARTPOLE, shown, BCConfig(steps=50, hidden=(8,))).train(eval_episodes=0).policy
    policy.tensors["mean.weight"][:] = 0
    flat = demos.MlpPolicy(policy.tensors | {"mean.bias": np.log([1.0, 3.0])}, policy.meta)
    flat.seed(0)
    drawn, _ = flat.predict(np.zeros((20_000, 4)))
    assert drawn.sum(1).tolist() == [1.0] * 20_000
    assert drawn[:, 1].mean() == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / 20_000) ** 0.5)
    with flat.noise_from([1, 2]):
        both, _ = flat.predict(np.zeros((2, 4)))
    with flat.noise_from([2, 1]):
        swapped, _ = flat.predict(np.zeros((2, 4)))
    np.testing.assert_array_equal(both, swapped[::-1])
    assert flat.predict(np.zeros(4), deterministic=True)[0].tolist() == [0, 1]


def test_gail_with_ppo_leaves_a_policy_that_chooses_as_its_learner_does(shown, tmp_path):
    trainer = OnPolicyGAIL(CARTPOLE, shown, SMALL, run_dir=tmp_path / "run")
    run = trainer.train(128, eval_episodes=1)
    loaded, obs, loop = gs.load_policy(tmp_path / "run"), shown[0].obs[:200], trainer.loop
    expected, _ = loop.model.policy.predict(loop.features(obs), deterministic=True)  # what SB3's own network chooses
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0].argmax(1), expected)
    assert loaded.meta["discrete"] is True and "log_std" not in loaded.tensors
    np.testing.assert_array_equal(loaded.tensors["mean.weight"], run.policy.tensors["mean.weight"])


def test_airl_reads_choices_too(shown):
    config = replace(AIRLConfig(), learner=SMALL.learner, cadence=SMALL.cadence)
    run = AIRL(CARTPOLE, shown, config).train(64, eval_episodes=0)
    assert run.policy.meta["discrete"]


def test_sac_says_why_it_cannot(shown):
    with pytest.raises(
        ValueError,
        match=r"CartPole-v1 has 2 discrete actions, and SAC acts by continuous ones: use PPO \(gail-suite train",
    ):
        gs.GAIL(CARTPOLE, shown)


def test_numbers_of_other_libraries_become_rows(shown, tmp_path):
    t = shown[0]
    np.savez(tmp_path / "d.npz", obs=t.obs, acts=t.acts.argmax(1), rews=t.rews, truncated=True)
    found = demos.from_npz(tmp_path / "d.npz", CARTPOLE)
    np.testing.assert_array_equal(found[0].acts, t.acts)
    assert envs.spec(CARTPOLE).act_dim == 2


class Corridor(gym.Env):
    """Observations in a Dict and choices, without a reward."""

    observation_space = gym.spaces.Dict({"at": gym.spaces.Box(-1, 1, (2,), np.float32)})
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"at": self.np_random.uniform(-1, 1, 2).astype(np.float32)}, {}

    def step(self, action):
        return {"at": self.np_random.uniform(-1, 1, 2).astype(np.float32)}, float("nan"), False, False, {}


class Always:
    """Takes the second of three."""

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        return np.ones(len(obs), np.int64), state


@pytest.fixture
def corridor():
    gym.register("Corridor-v0", lambda render_mode=None: Corridor(), max_episode_steps=20)
    yield "Corridor-v0"
    del gym.registry["Corridor-v0"]
    envs.specs._spec.cache_clear()


@pytest.mark.filterwarnings("ignore:.*reward:UserWarning")
def test_a_task_without_rewards_is_imitated_and_exported(corridor, tmp_path):
    from stable_baselines3 import PPO

    shown = demos.record(Always(), corridor, 2, seed=0)
    assert not shown.has_rewards and demos.verify(shown.save(tmp_path / "d")).ok
    run = gs.BC(corridor, shown, BCConfig(steps=50, hidden=(8,)), run_dir=tmp_path / "run").train(eval_episodes=0)
    found = gs.evaluate(run.policy, corridor, n_episodes=2).as_dict()
    assert found["return_mean"] is None and found["returns"] == [] and found["lengths"] == [20, 20]
    GAIL = OnPolicyGAIL(corridor, shown, replace(SMALL, cadence=Cadence(64, 1, 64)), run_dir=tmp_path / "gail")
    assert GAIL.train(128, eval_episodes=2).policy
    model = PPO.load(run.policy.save_sb3(tmp_path / "agent"))
    obs = np.zeros((4, 2), np.float32)
    assert (
        model.predict(obs, deterministic=True)[0].tolist()
        == run.policy.predict(obs, deterministic=True)[0].argmax(1).tolist()
    )


@pytest.mark.parametrize("n_envs", [1, 4])
def test_a_learned_reward_of_choices_teaches_a_learner_that_chooses_by_number(shown, n_envs):
    reward = OnPolicyGAIL(CARTPOLE, shown, SMALL).reward()
    t = shown.transitions()
    numbers = reward(t.obs, t.acts.argmax(1), t.next_obs, t.terminated)
    np.testing.assert_array_equal(numbers, reward(t.obs, t.acts, t.next_obs, t.terminated))
    venv = RewardVecEnv(make_vec_env(CARTPOLE, n_envs=n_envs, seed=0), reward)
    model = PPO("MlpPolicy", venv, n_steps=16, batch_size=16, n_epochs=1, device="cpu").learn(16 * n_envs)
    assert model.num_timesteps == 16 * n_envs
    with pytest.raises(ValueError, match="action 2 of 2: actions are numbered 0 to 1"):
        reward(t.obs[:1], np.array([2]), t.next_obs[:1], t.terminated[:1])
