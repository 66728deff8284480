"""The off-policy training loop: collect, learn from replay, evaluate, checkpoint. What is learned is the
objective's affair.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from gail_suite import envs
from gail_suite.demos.trajectory import Transitions
from gail_suite.envs.common import Info
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.learning.cpu import MATMUL, cpu_settings, keep_freed_memory
from gail_suite.learning.networks import Actor, policy_tensors
from gail_suite.learning.objectives import Bonus, ReplayObjective
from gail_suite.learning.policies.keeping import OnRow, silent
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.replay import Replay
from gail_suite.learning.rewards.reward_env import true_next_obs
from gail_suite.learning.sac import SAC, SACConfig
from gail_suite.learning.shown.actions import from_unit
from gail_suite.learning.shown.features import Features
from gail_suite.learning.sums import Sums
from gail_suite.runs import seeds
from gail_suite.runs.checkpoint import Saved, check_finite, save_parts
from gail_suite.runs.config import Count, Environments, NonNegative, Positive, Settings, Unit
from gail_suite.runs.runlog import RunLog, stop_requested

Outcome = tuple[np.ndarray, np.ndarray, np.ndarray, list[Info]]
"""Observations, rewards, ends and infos of one step of every environment."""
SHOWN = ("score", "return_mean", "train_return", "logit_gap", "distance")
"""What the progress line shows of a row of metrics."""


@dataclass(frozen=True)
class LoopConfig(Settings):
    """How experience is collected and how often things happen; all counts are environment steps."""

    n_envs: Environments = 8
    """Environments stepped together."""
    updates_per_step: NonNegative = 0.5
    """Gradient updates per environment step."""
    warm_up: Count = 2000
    """Steps collected before the first update."""
    capacity: Positive = 300_000
    """Transitions kept in the replay buffer."""
    ends_share: Unit = 0.0
    """Share of the learner's batches that is drawn from the steps that led to the latest terminations."""
    random_warm_up: bool = False
    """Uniform random actions during the warm-up (else the policy's own)."""
    eval_every: Count = 10_000
    """Steps between evaluations of the averaged actor; 0 for one at the end alone."""
    eval_episodes: Positive = 5
    """Episodes of such an evaluation."""
    checkpoint_every: Count = 20_000
    """Steps between checkpoints; 0 for one at the end alone."""
    log_every: Positive = 2_000
    """Steps between rows of metrics.jsonl."""
    horizon: Count = 0
    """Steps over which the schedules run, where that is more than the run's own: what a longer run does at first."""
    matmul: str = "auto"
    """Matrix products while training: auto (bfloat16 inputs where the processor multiplies them faster), float32 or
    bfloat16.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matmul not in MATMUL:
            raise ValueError(f"setting matmul is {self.matmul!r}: choose one of {', '.join(MATMUL)}")


class Companion(Protocol):
    """What learns beside the loop and has to be in its checkpoints."""

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""


class OffPolicyLoop:
    """Environment, replay, learner and objective of one run, with everything needed to go on after a kill."""

    def __init__(
        self,
        env_id: str,
        features: Features,
        objective: ReplayObjective,
        sac: SACConfig,
        loop: LoopConfig,
        seed: int,
        run_dir: Path | None,
        device: str = "cpu",
        bonus: Bonus | None = None,
        make_actor: Callable[..., Actor] = Actor,
        wrap_env: Callable[[SavableVecEnv], SavableVecEnv] | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        companions: Mapping[str, Companion] | None = None,
    ) -> None:
        """`constants` go into every checkpoint as they are, under that name, and so do the states of `companions`,
        by theirs.
        """
        keep_freed_memory()
        self.env_id, self.features, self.objective, self.config = env_id, features, objective, loop
        self.seed, self.bonus, self.constants = seed, bonus, dict(constants or {})
        self.companions = dict(companions or {})
        self.on_step: Callable[[], None] = lambda: None
        """Called before every step of the environments."""
        self.examine: Callable[[], dict[str, float]] = self.evaluate
        """Called at every evaluation, for what there is to say of the policy."""
        self.on_row: OnRow = silent
        self.ended = False
        self.run_dir = Path(run_dir) if run_dir is not None else None
        torch.manual_seed(seed)
        venv = envs.make_vec(env_id, n_envs=loop.n_envs, seed=seed, infos="minimal", mends=True)
        self.env = venv if wrap_env is None else wrap_env(venv)
        self.spec = envs.spec(env_id)
        if self.spec.discrete:
            raise ValueError(
                f"{env_id} has {self.spec.act_dim} discrete actions, and SAC acts by continuous ones: use PPO "
                "(gail-suite train gail --generator ppo, OnPolicyGAIL), or clone (train bc)"
            )
        self.low, self.high = self.env.action_space.low, self.env.action_space.high
        self.sac = SAC(len(features.columns), self.spec.act_dim, sac, device, make_actor)
        self.replay = Replay(loop.capacity, loop.n_envs, len(features.columns), self.spec.act_dim, bonus is not None)
        self.generator = torch.Generator().manual_seed(seed)
        self.steps, self.owed = 0, 0.0
        self.saved_at: int | None = None
        self.current: np.ndarray | None = None
        self.obs = np.zeros((loop.n_envs, self.spec.obs_dim))  # what `current` was made of; a bonus may read all of it
        self.returns: deque[float] = deque(maxlen=20)
        self.running = np.zeros(loop.n_envs)
        self.time = np.zeros(loop.n_envs)
        self.settled = False
        """Set from outside where nothing more is to be learned."""
        self.whole = np.arange(loop.n_envs) >= getattr(
            self.env, "n_cut", 0
        )  # whose episodes tell what the task returns
        self.sums = Sums()
        self._warned = False

    # collecting

    def _actions(self) -> np.ndarray:
        assert self.current is not None
        if self.config.random_warm_up and self.steps < self.config.warm_up:
            return 2 * torch.rand(self.config.n_envs, self.spec.act_dim, generator=self.generator).numpy() - 1
        # a copy, since matrix products round differently on memory that torch did not align
        return self.sac.act(torch.from_numpy(self.current).clone(), self.generator).numpy()

    def _unscaled(self, actions: np.ndarray) -> np.ndarray:
        return from_unit(actions, self.low, self.high)

    def _step(self, actions: np.ndarray) -> Outcome:
        obs, rewards, done, infos = self.env.step(self._unscaled(actions))
        return np.asarray(obs), rewards, done, infos

    def _store(self, actions: np.ndarray, outcome: Outcome) -> None:
        assert self.current is not None
        obs, rewards, done, infos = outcome
        features = self.features(obs)
        next_obs, terminated = true_next_obs(obs, done, infos)
        true_next = self.features(next_obs) if done.any() else features
        self.replay.add(
            self.current,
            actions,
            true_next,
            rewards,
            terminated,
            done,
            *self._bonus(actions, next_obs, terminated, done),
            time=self.time,
        )
        self.current, self.obs = features, np.array(obs)
        if not self._warned and not np.isfinite(rewards).all():
            self._warned = True
            i = int(np.flatnonzero(~np.isfinite(rewards))[0])
            warnings.warn(
                f"step {self.steps}: environment {i} gave the reward {rewards[i]}; imitation never reads it, but "
                "returns and scores of this task mean nothing (said once)",
                stacklevel=2,
            )
        self.running += rewards
        self.returns.extend(self.running[done & self.whole])
        self.running[done] = 0
        self.time = np.where(done, self._first_times(), self.time + 1)
        self.steps += self.config.n_envs

    def _bonus(
        self, actions: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray, done: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        if self.bonus is None:
            return ()
        return (self.bonus(Transitions(self.obs, self._unscaled(actions), next_obs, terminated), done),)

    # learning

    def _learn(self) -> None:
        if self.steps < self.config.warm_up:
            return
        self.owed += self.config.updates_per_step * self.config.n_envs
        while self.owed >= 1:
            self.owed -= 1
            info = self.objective.update(self.replay, self.generator)
            size = self.sac.config.batch_size
            window = self.replay.sample(
                size, self.sac.config.n_step, self.generator, before_ends=round(self.config.ends_share * size)
            )
            info |= self.sac.update(
                window, self.objective.rewards(window), self.generator, **self.objective.learner_inputs(self.generator)
            )
            if window.bonus is not None:
                info["bonus"] = window.bonus[:, 0].mean()
            self.sums.add(info)

    def train(self, total_steps: int, log: RunLog | None = None, budget_s: float | None = None) -> None:
        """Runs until `total_steps`, a signal, or `budget_s` seconds; the environments step in a second thread while the
        learner works.

        Updates see the replay as it was before the step in flight, so the result does not depend on timing.
        """
        end, spent, self.ended = time.monotonic() + (math.inf if budget_s is None else budget_s), False, False
        if self.current is None:
            self._begin()
        with ThreadPoolExecutor(1) as pool, cpu_settings(self.config.matmul):
            while self.steps < total_steps and not (spent or stop_requested() or self.settled or self.ended):
                fraction = self.steps / max(total_steps, self.config.horizon)
                self.sac.set_progress(fraction)
                self.objective.set_progress(fraction)
                self.on_step()
                actions = self._actions()
                pending = pool.submit(self._step, actions)
                self._learn()
                self._store(actions, pending.result())
                spent = time.monotonic() >= end
                self._periodic(self.steps >= total_steps or spent, log)
            if self.settled and log is not None:
                log.log(self.steps, ended_early=1.0)
        if self.run_dir is not None and self.saved_at != self.steps:
            self.save()

    def _begin(self) -> None:
        """A new episode everywhere."""
        self.obs = self.env.reset()
        self.current = self.features(self.obs)
        self.running[:] = 0
        self.time = self._first_times()

    def _first_times(self) -> np.ndarray:
        """(n_envs,) the time at which each environment's latest episode began: 0, or when its first state was
        demonstrated.
        """
        return np.array(getattr(self.env, "first_times", np.zeros(self.config.n_envs)), np.float64)

    def _due(self, every: int) -> bool:
        return every > 0 and self.steps // every > (self.steps - self.config.n_envs) // every

    def _periodic(self, last: bool, log: RunLog | None) -> None:
        row: dict[str, float] = {}
        if self._due(self.config.log_every) and self.sums:
            row = self.sums.means()
            row |= {"train_return": float(np.mean(self.returns)) if self.returns else float("nan")}
            self.sums.check(self.steps)
            self.sums.clear()
            if "disc_logit_expert" in row:
                row["logit_gap"] = (row["disc_logit_expert"] - row["disc_logit_agent"]) / 2
        if last or self._due(self.config.eval_every):
            row |= self.examine()
        if row:
            self.ended = self.on_row(row)
        if log is not None:
            if row:
                log.log(self.steps, **row)
            log.progress(self.steps, **{k: row[k] for k in SHOWN if k in row})
        if self.run_dir is not None and self._due(self.config.checkpoint_every):
            self.save()

    def evaluate(self) -> dict[str, float]:
        """Return, length and (where references exist) score of the averaged actor, on the environment's own reward."""
        # late, so that tests can train without
        from gail_suite.showing.evaluation import evaluate

        episodes, seed = self.config.eval_episodes, seeds.WAY + self.seed
        return evaluate(self.policy(), self.env_id, n_episodes=episodes, seed=seed).row()

    def policy(self, actor: Actor | None = None) -> LearnedPolicy:
        """The averaged (or the given) actor as a policy on observations."""
        mean, scale = self.features.policy_inputs(self.spec.obs_dim)
        tensors = policy_tensors(actor or self.sac.averaged, mean, scale, self.features.columns, self.low, self.high)
        facts = {"env_steps": self.steps, "updates": self.sac.updates, "seed": self.seed}
        return LearnedPolicy(tensors, {"env_id": self.env_id, **facts})

    # checkpoints

    def _checkpoints(self) -> Path:
        if self.run_dir is None:
            raise ValueError("this run has no directory to keep checkpoints in: give run_dir")
        return self.run_dir / "checkpoints"

    def save(self) -> Path:
        """Writes a checkpoint of everything under run_dir/checkpoints."""
        self.sums.check(self.steps)
        check_finite(self.steps, {"sac": self.sac.state(), "objective": self.objective.state()})
        policy = self.policy()
        parts: dict[str, dict[str, np.ndarray]] = {
            "sac": self.sac.state(),
            "replay": self.replay.state(),
            "objective": self.objective.state(),
            "features": self.features.state(),
            "env": self.env.get_state(),
            "loop": {
                "current": np.asarray(self.current),
                "running": self.running,
                "returns": np.array(self.returns),
                "time": self.time,
                "generator": self.generator.get_state().numpy(),
            },
            "policy": policy.tensors,
            "constants": self.constants,
            "sums": self.sums.state(),
        }
        parts |= {name: companion.state() for name, companion in self.companions.items()}
        if self.bonus is not None:
            parts["bonus"] = self.bonus.state() | {"obs": self.obs}
        path = save_parts(self._checkpoints(), self.steps, parts, {"owed": self.owed, "policy": policy.meta})
        self.saved_at = self.steps
        return path

    def load(self, saved: Saved) -> None:
        """Continues from a checkpoint, with new episodes where a simulator cannot be read."""
        parts = saved.parts
        self.sac.load_state(parts["sac"])
        self.replay.load_state(parts["replay"])
        self.objective.load_state(parts["objective"])
        for name, companion in self.companions.items():
            if name in parts:  # older checkpoints lack some
                companion.load_state(parts[name])
        self.features = Features(**parts["features"])
        self.env.reset()
        self.env.set_state(parts["env"])
        loop = parts["loop"]
        self.current, self.running = np.array(loop["current"]), np.array(loop["running"])
        self.returns = deque(loop["returns"].tolist(), maxlen=20)
        self.time = np.array(loop.get("time", self.time))  # older checkpoints lack it
        self.constants |= parts.get("constants", {})
        self.generator.set_state(torch.from_numpy(np.array(loop["generator"])))
        self.sums.load_state(parts.get("sums", {}))  # none before 2026-11-28
        if self.bonus is not None:
            self.obs = np.array(parts["bonus"].pop("obs"))
            self.bonus.load_state(parts["bonus"])
        self.steps, self.owed, self.saved_at = saved.step, saved.state["owed"], saved.step
        if "sim" not in parts["env"]:
            self.replay.cut()
            self._begin()
