"""RewardVecEnv and FeatureVecEnv on a task whose every number can be written down by hand."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from gail_suite.learning.rewards.reward_env import FeatureVecEnv, RewardVecEnv, true_next_obs
from gail_suite.learning.shown.features import Features


class Counter(gym.Env[np.ndarray, np.ndarray]):
    """Observation (10 * episode + t, constant 7); terminates or is cut after three steps; true reward 100."""

    def __init__(self, terminates: bool) -> None:
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gym.spaces.Box(-2.0, 4.0, (1,), np.float32)
        self.terminates, self.episode, self.t, self.seen = terminates, -1, 0, []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.seen.append(float(action[0]))
        self.t += 1
        end = self.t == 3
        return self._obs(), 100.0, end and self.terminates, end and not self.terminates, {}

    def _obs(self) -> np.ndarray:
        return np.array([10.0 * self.episode + self.t, 7.0])


def counters() -> DummyVecEnv:
    return DummyVecEnv([lambda: Counter(terminates=True), lambda: Counter(terminates=False)])


def test_reward_function_sees_the_true_transition_and_the_learner_its_reward() -> None:
    calls: list[tuple[np.ndarray, ...]] = []

    def reward(obs: np.ndarray, acts: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        calls.append(tuple(np.copy(x) for x in (obs[:, 0], acts[:, 0], next_obs[:, 0], terminated)))
        return obs[:, 0] + 0.5 * next_obs[:, 0]

    env = RewardVecEnv(counters(), reward)
    env.reset()
    rewards = [env.step(np.array([[0.1 * k], [0.2 * k]]))[1] for k in range(4)]
    # episode 0 runs 0 -> 1 -> 2 -> 3; the third step returns episode 1's first observation, 10, but led to 3
    assert [c[2].tolist() for c in calls] == [[1, 1], [2, 2], [3, 3], [11, 11]]
    assert [c[0].tolist() for c in calls] == [[0, 0], [1, 1], [2, 2], [10, 10]]
    # environment 0 terminates, environment 1 is cut: only the first ended its task
    assert [c[3].tolist() for c in calls] == [[False, False], [False, False], [True, False], [False, False]]
    np.testing.assert_allclose([c[1] for c in calls], [[0, 0], [0.1, 0.2], [0.2, 0.4], [0.3, 0.6]])
    np.testing.assert_allclose(np.array(rewards)[:, 0], [0.5, 2.0, 3.5, 15.5])
    assert rewards[0].dtype == np.float32


def test_true_reward_is_kept_aside() -> None:
    env = RewardVecEnv(counters(), lambda obs, acts, next_obs, terminated: np.zeros(len(obs)))
    env.reset()
    infos = [env.step(np.zeros((2, 1)))[3] for _ in range(3)]
    assert all(info["true_reward"] == 100.0 for row in infos for info in row)
    assert list(env.true_returns) == [300.0, 300.0]


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda *_: np.zeros((2, 1)), r"the reward function returned shape \(2, 1\), expected \(2,\)"),
        (lambda *_: np.array([0.0, np.nan]), r"the learned reward is not finite in environments \[1\]"),
    ],
)
def test_bad_reward_functions_are_refused(reward: Any, message: str) -> None:
    env = RewardVecEnv(counters(), reward)
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(np.zeros((2, 1)))


def test_sb3_bootstrap_at_the_time_limit_survives_the_swap() -> None:
    env = RewardVecEnv(counters(), lambda obs, acts, next_obs, terminated: np.full(len(obs), 2.0))
    model = PPO("MlpPolicy", env, n_steps=3, batch_size=6, gamma=0.9, seed=0, device="cpu")
    _, callback = model._setup_learn(6)
    model.collect_rollouts(env, callback, model.rollout_buffer, 3)
    import torch

    with torch.no_grad():
        value = float(model.policy.predict_values(torch.tensor([[3.0, 7.0]]))[0])
    # learned reward 2 everywhere; the cut episode's last step gains gamma * V(its true last observation), the fallen
    # one's none
    np.testing.assert_allclose(model.rollout_buffer.rewards, [[2, 2], [2, 2], [2, 2 + 0.9 * value]], rtol=1e-6)


def test_features_and_actions_change_units() -> None:
    base = counters()
    features = Features(np.array([0]), np.array([1.0], np.float32), np.array([2.0], np.float32))
    env = FeatureVecEnv(base, features)
    assert env.observation_space.shape == (1,) and env.action_space.low.tolist() == [-1.0]
    np.testing.assert_allclose(env.reset(), [[-0.5], [-0.5]])  # (0 - 1) / 2
    for _ in range(3):
        obs, _, _, infos = env.step(np.array([[-1.0], [0.5]]))
    np.testing.assert_allclose(obs, [[4.5], [4.5]])  # episode 1 begins at 10
    np.testing.assert_allclose(infos[0]["terminal_observation"], [1.0])  # (3 - 1) / 2
    # the box [-2, 4] has centre 1 and half width 3
    assert [base.envs[i].unwrapped.seen[-1] for i in range(2)] == [-2.0, 2.5]


def test_unbounded_actions_are_refused() -> None:
    class Free(Counter):
        def __init__(self) -> None:
            super().__init__(True)
            self.action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    features = Features(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="actions must be a bounded Box"):
        FeatureVecEnv(DummyVecEnv([Free]), features)


def test_true_next_obs_leaves_running_episodes_alone() -> None:
    obs, dones = np.arange(4.0).reshape(2, 2), np.array([False, False])
    next_obs, terminated = true_next_obs(obs, dones, [{}, {}])
    assert next_obs is obs and not terminated.any()
