"""The on-policy imitation loop: collect with the learned reward, improve the policy, improve the reward."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from gail_suite import envs
from gail_suite.learning.cpu import cpu_settings
from gail_suite.learning.policies.keeping import OnRow, silent
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.rewards.reward_env import FeatureVecEnv, RewardVecEnv
from gail_suite.learning.sb3 import (
    OnPolicyConfig,
    health,
    learned_policy,
    learner_state,
    load_learner_state,
    make_learner,
)
from gail_suite.learning.shown.features import Features
from gail_suite.learning.shown.pairs import FIELDS, Pairs
from gail_suite.runs import seeds
from gail_suite.runs.checkpoint import Saved, check_finite, save_parts
from gail_suite.runs.config import Count, Positive, Settings
from gail_suite.runs.runlog import RunLog, stop_requested


class RolloutObjective(Protocol):
    """What an on-policy learner maximises: rewards of transitions as they are collected, and what learns from each
    batch of them.
    """

    def rewards(self, pairs: Pairs, policy: ActorCriticPolicy) -> Tensor:
        """(N,) rewards under the present networks; `policy` is SB3's, for log-probabilities."""

    def update(self, agent: Pairs, policy: ActorCriticPolicy) -> dict[str, Tensor]:
        """Learn from an iteration's transitions."""

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""


@dataclass(frozen=True)
class Cadence(Settings):
    """How often things happen; all counts are environment steps."""

    eval_every: Count = 100_000
    """Steps between evaluations; 0 for one at the end alone."""
    eval_episodes: Positive = 5
    """Episodes of such an evaluation."""
    checkpoint_every: Count = 200_000
    """Steps between checkpoints; 0 for one at the end alone."""


class OnPolicyLoop:
    """Environments, SB3 learner and objective of one run, with everything needed to go on after a kill."""

    def __init__(
        self,
        env_id: str,
        features: Features,
        objective: RolloutObjective,
        config: OnPolicyConfig,
        cadence: Cadence,
        seed: int,
        run_dir: Path | None,
        constants: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """`constants` go into every checkpoint as they are, under that name."""
        self.env_id, self.features, self.objective = env_id, features, objective
        self.config, self.cadence, self.seed, self.run_dir = config, cadence, seed, run_dir
        self.base = envs.make_vec(env_id, n_envs=config.n_envs, seed=seed, infos="minimal", mends=True)
        self.inputs = FeatureVecEnv(self.base, features, envs.spec(env_id).discrete)
        self.env = RewardVecEnv(self.inputs, self._reward)
        self.model = make_learner(config, self.env, seed)
        _, self._callback = self.model._setup_learn(1)
        self._rollout: list[Pairs] = []
        self._rewards: list[np.ndarray] = []
        self.constants = dict(constants or {})
        self.on_row: OnRow = silent
        self.ended = False

    @property
    def steps(self) -> int:
        """Environment steps taken."""
        return self.model.num_timesteps

    def _reward(self, obs: np.ndarray, acts: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        arrays = (obs, self.inputs.in_units(acts), next_obs, terminated)
        pairs = Pairs(*(torch.as_tensor(x, dtype=torch.float32) for x in arrays))
        rewards = self.objective.rewards(pairs, self.model.policy).numpy()
        self._rollout.append(pairs)
        self._rewards.append(rewards.copy())  # the learner adds to the array itself at time limits
        return rewards

    def iterate(self) -> dict[str, float]:
        """Collect one batch, improve the policy on it, then the objective."""
        self._rollout.clear()
        self._rewards.clear()
        self.model.collect_rollouts(self.env, self._callback, self.model.rollout_buffer, self.model.n_steps)
        self._improve()
        agent = Pairs(*(torch.cat([getattr(p, name) for p in self._rollout]) for name in FIELDS))
        info = {name: float(value) for name, value in self.objective.update(agent, self.model.policy).items()}
        row = {**health(self.model), **info, "reward_mean": float(np.mean(self._rewards))}
        bad = [name for name, value in row.items() if not np.isfinite(value)]
        if bad:
            raise FloatingPointError(
                f"{', '.join(bad)} not finite at step {self.steps}: start a new run with a lower learner.lr"
            )
        returns = self.env.true_returns
        return {**row, "train_return": float(np.mean(returns))} if returns else row

    def _improve(self) -> None:
        """SB3's update; its complaint about NaN, a page long, in one line."""
        try:
            self.model.train()
        except ValueError:
            check_finite(self.steps, {"the learner": learner_state(self.model)})
            raise

    def train(self, total_steps: int, log: RunLog | None = None, budget_s: float | None = None) -> None:
        """Iterate until `total_steps`, a signal, or `budget_s` seconds of wall clock."""
        begin, spent, self.ended = time.monotonic(), False, False
        with cpu_settings("auto"):
            while self.steps < total_steps and not (spent or stop_requested() or self.ended):
                before = self.steps
                row = self.iterate()
                spent = budget_s is not None and time.monotonic() - begin >= budget_s
                self._periodic(before, row, self.steps >= total_steps or spent, log)
        if self.run_dir is not None:
            self.save()

    def _periodic(self, before: int, row: dict[str, float], last: bool, log: RunLog | None) -> None:
        if last or self._due(before, self.cadence.eval_every):
            row |= self.evaluate()
        self.ended = self.on_row(row)
        if log is not None:
            log.log(self.steps, **row)
            log.progress(self.steps, **{k: row[k] for k in ("score", "return_mean", "train_return") if k in row})
        if self.run_dir is not None and not last and self._due(before, self.cadence.checkpoint_every):
            self.save()

    def _due(self, before: int, every: int) -> bool:
        return every > 0 and self.steps // every > before // every

    def evaluate(self) -> dict[str, float]:
        """Return, length and (where references exist) score of the deterministic policy on the task's own reward."""
        from gail_suite.showing.evaluation import evaluate

        episodes, seed = self.cadence.eval_episodes, seeds.WAY + self.seed
        return evaluate(self.policy(), self.env_id, n_episodes=episodes, seed=seed).row()

    def policy(self) -> LearnedPolicy:
        """The learner's policy on observations."""
        return learned_policy(self.model, self.config, self.features, self.env_id, env_steps=self.steps, seed=self.seed)

    def save(self) -> Path:
        """Write a checkpoint of everything."""
        assert self.run_dir is not None
        check_finite(self.steps, {"learner": learner_state(self.model), "objective": self.objective.state()})
        policy = self.policy()
        parts = {
            "learner": learner_state(self.model),
            "objective": self.objective.state(),
            "features": self.features.state(),
            "env": self.base.get_state(),
            "reward_env": self.env.state(),
            "policy": policy.tensors,
            "constants": self.constants,
        }
        return save_parts(self.run_dir / "checkpoints", self.steps, parts, {"policy": policy.meta})

    def load(self, saved: Saved) -> None:
        """Continue from a checkpoint, with new episodes where a simulator cannot be read."""
        parts = saved.parts
        self.objective.load_state(parts["objective"])
        self.constants |= parts.get("constants", {})
        self.base.set_state(parts["env"])
        load_learner_state(self.model, parts["learner"], saved.step)
        self.env.load_state(parts["reward_env"])
        if "sim" not in parts["env"]:
            self.model._last_obs = self.env.reset()
            self.model._last_episode_starts = np.ones(self.config.n_envs, bool)
