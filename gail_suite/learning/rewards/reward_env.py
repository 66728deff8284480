"""Vector environments as a learner sees them: a learned reward in place of the task's, standardised features and
actions.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from typing_extensions import override

from gail_suite.envs.common import Info
from gail_suite.envs.flat import one_hot
from gail_suite.learning.shown.actions import from_unit
from gail_suite.learning.shown.features import Features


class RewardFn(Protocol):
    """A reward of transitions in the environment's own units: what a `LearnedReward` is, and anything else of this
    shape.

    `RewardVecEnv` puts one in the place of the task's for any learner of stable-baselines3, `ExpertTrainer` trains on
    one. While GAIL and AIRL learn they do not come through here: their learners ask the discriminator anew, on features
    (`ReplayObjective` whenever a batch is drawn, `RolloutObjective` when it is collected).
    """

    def __call__(self, obs: np.ndarray, acts: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        """Rewards (B,) of obs (B, O), acts (B, A), next_obs (B, O), terminated (B,) bool."""


def true_next_obs(obs: np.ndarray, dones: np.ndarray, infos: list[Info]) -> tuple[np.ndarray, np.ndarray]:
    """The observations (B, O) that the actions led to, and which of them ended the task (B,).

    At the end of an episode a VecEnv returns the next episode's first observation; the true one is in the info. An
    episode cut by its time limit is done, yet not terminated.
    """
    next_obs, terminated = obs, dones.copy()
    if dones.any():
        next_obs = obs.copy()
        for i in np.flatnonzero(dones):
            next_obs[i] = infos[i]["terminal_observation"]
            terminated[i] = not infos[i].get("TimeLimit.truncated", False)
    return next_obs, terminated


class RewardVecEnv(VecEnvWrapper):
    """Replaces the reward inside `step_wait`, so that a learner's own bootstrap at time limits is added to the learned
    one.

    The environment's own reward stays in `info["true_reward"]`, its sums over the last 20 episodes in `true_returns`;
    learners see neither.
    """

    def __init__(self, venv: VecEnv, reward_fn: RewardFn) -> None:
        super().__init__(venv)
        self.reward_fn = reward_fn
        self.true_returns: deque[float] = deque(maxlen=20)
        self._running = np.zeros(venv.num_envs)

    @override
    def reset(self) -> np.ndarray:
        self._last_obs = np.asarray(self.venv.reset())
        self._running[:] = 0
        return self._last_obs

    @override
    def step_async(self, actions: np.ndarray) -> None:
        self._acts = actions
        super().step_async(actions)

    @override
    def step_wait(self) -> VecEnvStepReturn:
        obs, true_rewards, dones, infos = self.venv.step_wait()
        next_obs, terminated = true_next_obs(obs, dones, infos)  # type: ignore[arg-type]
        rewards = np.asarray(self.reward_fn(self._last_obs, self._acts, next_obs, terminated), np.float32)
        if rewards.shape != true_rewards.shape:
            raise ValueError(
                f"the reward function returned shape {rewards.shape}, expected {true_rewards.shape}: one number a row"
            )
        if not np.isfinite(rewards).all():
            raise ValueError(
                f"the learned reward is not finite in environments {np.flatnonzero(~np.isfinite(rewards)).tolist()}"
            )
        for info, reward in zip(infos, true_rewards.tolist(), strict=True):
            info["true_reward"] = reward
        self._running += true_rewards
        self.true_returns.extend(self._running[dones].tolist())
        self._running[dones] = 0
        self._last_obs = np.asarray(obs)
        return obs, rewards, dones, infos

    def state(self) -> dict[str, np.ndarray]:
        """What a step needs beside the wrapped environments' own state."""
        return {
            "last_obs": np.array(self._last_obs),
            "running": self._running,
            "true_returns": np.array(self.true_returns),
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self._last_obs, self._running = np.array(arrays["last_obs"]), np.array(arrays["running"])
        self.true_returns = deque(arrays["true_returns"].tolist(), maxlen=20)


class FeatureVecEnv(VecEnvWrapper):
    """Observations as standardised features (float32) and actions scaled to [-1, 1], the units in which networks learn.

    Of a `discrete` task the learner chooses among the actions' numbers.
    """

    def __init__(self, venv: VecEnv, features: Features, discrete: bool = False) -> None:
        space = venv.action_space
        self.n_choices = (space.shape or (0,))[0] if discrete else 0
        if not isinstance(space, gym.spaces.Box) or not np.isfinite([space.low, space.high]).all():
            raise ValueError(f"actions must be a bounded Box to be scaled to [-1, 1], got {space}")
        self.features, self._low, self._high = features, space.low, space.high
        width = (len(features.columns),)
        super().__init__(
            venv,
            observation_space=gym.spaces.Box(-np.inf, np.inf, width, np.float32),
            action_space=gym.spaces.Discrete(self.n_choices)
            if discrete
            else gym.spaces.Box(-1.0, 1.0, space.shape, np.float32),
        )

    @override
    def reset(self) -> np.ndarray:
        return self.features(self.venv.reset())  # type: ignore[arg-type]

    @override
    def step_async(self, actions: np.ndarray) -> None:
        super().step_async(from_unit(self.in_units(actions), self._low, self._high))

    def in_units(self, actions: np.ndarray) -> np.ndarray:
        """What the learner chose as actions (B, A) in [-1, 1]: of a choice among A, 1 at the choice and -1
        elsewhere.
        """
        return 2 * one_hot(actions, self.n_choices) - 1 if self.n_choices else actions

    @override
    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones):
            infos[i]["terminal_observation"] = self.features(infos[i]["terminal_observation"][None])[0]
        return self.features(obs), rewards, dones, infos  # type: ignore[arg-type]
