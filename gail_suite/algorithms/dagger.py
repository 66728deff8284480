"""Data set aggregation (Ross et al., 2011): clone, act, ask the expert what it would have done there, clone again.

The first clone is of the demonstrations, and from then on the learner alone acts (beta = 1 in the first round, 0 in all
others). The expert has to be at hand: any policy that can be asked.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from typing_extensions import override

from gail_suite import demos, envs
from gail_suite.algorithms.bc import BCConfig, Cloning
from gail_suite.algorithms.imitator import Imitator
from gail_suite.demos.policy import MlpPolicy, Policy, check_bounds
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.envs.flat import as_rows
from gail_suite.envs.names import Task
from gail_suite.learning.policies.keeping import OnRow, silent
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.shown.pairs import Shown
from gail_suite.runs import seeds
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import Positive, Settings
from gail_suite.runs.runlog import RunLog


@dataclass(frozen=True)
class DAggerConfig(Settings):
    """DAgger with an expert that can be asked."""

    rounds: Positive = 10
    """Rounds of a run that is told no other number of steps."""
    episodes: Positive = 4
    """Episodes of the learner in each round."""
    bc: BCConfig = field(default_factory=BCConfig)
    """The cloning of each round, from new weights on all pairs so far."""


def relabelled(trajectory: Trajectory, expert: Policy, start: int = 0) -> Trajectory:
    """The trajectory with the expert's actions in the place of those that led through it; `start` is the number of
    the first of discrete ones.
    """
    assert trajectory.acts is not None
    chosen = asked(expert, trajectory.obs[:-1])
    return dataclasses.replace(trajectory, acts=as_rows(chosen, trajectory.acts.shape[1], start))


def asked(expert: Policy, obs: np.ndarray) -> np.ndarray:
    """What the expert does at each step of an episode (T, O), which one with a memory has to go through in order."""
    if isinstance(expert, MlpPolicy):
        return expert.predict(obs, deterministic=True)[0]
    state, chosen = None, []
    for t, one in enumerate(obs):
        first = np.array([t == 0])
        action, state = expert.predict(one[None], state=state, episode_start=first, deterministic=True)
        chosen.append(np.asarray(action)[0])
    return np.stack(chosen)


class Aggregation:
    """The loop of DAgger: its steps are rounds."""

    def __init__(self, env_id: str, shown: Shown, expert: Policy, config: DAggerConfig, seed: int) -> None:
        if shown.demonstrations is None or shown.demonstrations.stride > 1:
            raise ValueError("DAgger adds whole episodes to whole demonstrations: leave out subsample (--subsample)")
        with closing(envs.make(env_id)) as env:
            check_bounds(expert, env.action_space, env_id)
        self.env_id, self.expert, self.config, self.seed = env_id, expert, config, seed
        self.trajectories: list[Trajectory] = list(shown.demonstrations)
        self.meta: Json = {"env_id": shown.demonstrations.task}
        self.steps, self.ended = 0, False
        self.on_row: OnRow = silent
        self.cloning = Cloning(env_id, shown, config.bc, seed)

    def train(self, total_steps: int, log: RunLog | None = None, budget_s: float | None = None) -> None:
        """Clones the demonstrations, and then runs rounds until there are `total_steps`, or for `budget_s` seconds."""
        begin = time.monotonic()
        if self.steps == 0:
            self.cloning.train(self.config.bc.steps)
        while self.steps < total_steps and not self.ended:
            row = self._round()
            self.ended = self.on_row(row) or (budget_s is not None and time.monotonic() - begin >= budget_s)
            if log is not None:
                log.log(self.steps, **row)
                log.progress(self.steps, return_mean=row["train_return"])

    def _round(self) -> dict[str, float]:
        """One round: act, ask, clone."""
        first = seeds.ROUND + 1000 * self.seed + self.steps * self.config.episodes
        acted = demos.record(self.policy(), self.env_id, self.config.episodes, first, self.config.episodes)
        self.trajectories += [relabelled(one, self.expert, envs.spec(self.env_id).start) for one in acted]
        shown = Shown.of(self.env_id, Demonstrations(tuple(self.trajectories), self.meta))
        self.cloning = Cloning(self.env_id, shown, self.config.bc, self.seed)
        self.cloning.train(self.config.bc.steps)
        self.steps += 1
        return {"train_return": float(np.mean(acted.returns)), "pairs": float(len(shown.expert))}

    def policy(self) -> LearnedPolicy:
        """The latest clone."""
        clone = self.cloning.policy()
        return LearnedPolicy(clone.tensors, {**clone.meta, "algo": "dagger", "rounds": self.steps})

    def load(self, saved: Saved) -> None:
        """Nothing to go on from, as with BC."""
        raise ValueError("a run of DAgger has no checkpoints: train it again, in another folder")


class DAgger(Imitator[DAggerConfig]):
    """DAgger from `demonstrations` on `env_id`, asking `expert`; its steps are rounds, `config.rounds` by default."""

    algo = "dagger"

    def __init__(
        self,
        env_id: Task,
        demonstrations: Demonstrations | Shown,
        config: DAggerConfig | None = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
        device: str = "cpu",
        env_kwargs: Json | None = None,
        *,
        expert: Policy,
    ) -> None:
        self.expert = expert
        super().__init__(env_id, demonstrations, config, seed, run_dir, device, env_kwargs)

    @classmethod
    @override
    def defaults(cls) -> DAggerConfig:
        return DAggerConfig()

    @override
    def _build(self) -> Aggregation:
        self.total_steps = self.config.rounds
        return Aggregation(self.env_id, self.shown, self.expert, self.config, self.seed)
