"""The life of a run, the same for every algorithm: begun or resumed, trained in its directory, left with its final
policy.

    RUN/config.json     what the run is made of              RUN/checkpoints/   what it resumes from
    RUN/policy          the final policy, of a run that is neither stopped nor under way      RUN/reward   its learned
    reward

An algorithm is a `Trainer` that builds a `Loop` from its config and what it was shown, whether that comes from files or
from a checkpoint.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from gail_suite import envs
from gail_suite.demos.sealed import Json, one_warning
from gail_suite.envs.common import check_seed
from gail_suite.generative.core.backend import learning
from gail_suite.learning.policies.keeping import OnRow, Row
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.rewards.learned_reward import LearnedReward, save_reward
from gail_suite.runs.checkpoint import Saved, load_parts
from gail_suite.runs.config import Settings, length
from gail_suite.runs.runlog import (
    Logger,
    RunLog,
    forget_results,
    read_run,
    refuse_used,
    stop_requested,
    write_run_files,
)

HOMES = {
    "bc": ("bc", "BC"),
    "gail": ("gail", "GAIL"),
    "gail on-policy": ("gail_onpolicy", "OnPolicyGAIL"),
    "airl": ("airl", "AIRL"),
    "sqil": ("sqil", "SQIL"),
    "dagger": ("dagger", "DAgger"),
    "expert": ("expert", "ExpertTrainer"),
}
"""Kind of run -> module and class of its trainer."""
NO_END = 10**12
"""Steps of a run that only the clock ends; earlier versions noted them in config.json."""
BEST = "best"
"""Folder of a run with the best policy of its evaluations."""
C_co = TypeVar("C_co", bound=Settings, covariant=True)
Callback = Callable[["Trainer[Settings]", Row], object]
"""Told of each row of metrics as it is made; False ends the training, anything else lets it go on."""


@dataclass(frozen=True)
class Run:
    """What training returns."""

    policy: LearnedPolicy
    """The learned policy."""
    score: float | None
    """Normalised score of the final policy, None without an evaluation or a reference."""
    dir: Path | None
    """The run directory."""
    learned: LearnedReward | None = None
    """The reward that was learned, of an algorithm that learns one."""
    best: LearnedPolicy | None = None
    """The best policy of its evaluations, of a run that was told to keep it (`keep.best`)."""

    def reward(self) -> LearnedReward:
        """The learned reward, to be saved with `save_reward` and used by any learner.

        Raises:
            ValueError: the algorithm learns none.
        """
        if self.learned is None:
            raise ValueError("this run learned no reward: train GAIL or AIRL for one")
        return self.learned


class Loop(Protocol):
    """What trains a policy step by step."""

    on_row: OnRow
    """Told of each row of metrics before it is logged; says whether to end there."""

    @property
    def steps(self) -> int:
        """Steps taken."""

    def train(self, total_steps: int, log: RunLog | None, budget_s: float | None) -> None:
        """Until `total_steps`, a signal, or `budget_s` seconds of wall clock."""

    def policy(self) -> LearnedPolicy:
        """The policy as it is."""

    def load(self, saved: Saved) -> None:
        """Continue from a checkpoint."""


class Trainer(ABC, Generic[C_co]):
    """A run of an algorithm.

    Args:
        env_id: environment.
        config: constants of the algorithm.
        seed: of everything random.
        run_dir: where metrics, checkpoints and the final policy go; nothing is written without one.
        device: cpu or cuda.
    """

    algo: ClassVar[str]
    default_steps: ClassVar[int] = 1_000_000
    loop: Loop

    def __init__(
        self, env_id: envs.names.Task, config: C_co, seed: int, run_dir: str | Path | None, device: str
    ) -> None:
        check_seed(seed)
        if not isinstance(config, type(self.defaults())):
            raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
                f"{type(self).__name__} is configured by a {type(self.defaults()).__name__}, not by a "
                f"{type(config).__name__}"
            )
        self.env_id, self.config, self.seed, self.device = envs.named(env_id), config, seed, device
        self.run_dir = None if run_dir is None else Path(run_dir)
        self.total_steps, self.fresh = self.default_steps, True

    @classmethod
    @abstractmethod
    def defaults(cls) -> C_co:
        """The config of a run that is told none."""

    @classmethod
    @abstractmethod
    def _of_record(cls, record: Json, saved: Saved, run_dir: Path, device: str) -> Self:
        """The trainer as it was begun, from config.json and a checkpoint."""

    @classmethod
    @one_warning()
    @learning()
    def resume(cls, run_dir: str | Path, device: str = "cpu", at: int | None = None) -> Trainer[Settings]:
        """The run in `run_dir` at its newest checkpoint, or that of step `at`, by the trainer that it was begun with;
        needs nothing else.

        Raises:
            ValueError: no run, one of another algorithm than this class's, or no checkpoint.
        """
        run_dir = Path(run_dir)
        record = read_run(run_dir)
        kind = kind_of(record)
        if getattr(cls, "algo", kind.algo) != kind.algo:
            raise ValueError(f"{run_dir} is a run of {kind.algo}, not of {cls.algo}: resume it with gs.resume")
        saved = load_parts(run_dir / "checkpoints", at)
        trainer = kind._of_record(record, saved, run_dir, device)
        noted = record.get("total_steps", NO_END)
        trainer.total_steps = noted if noted < NO_END else kind.default_steps
        trainer.fresh = False
        trainer.loop.load(saved)
        return trainer

    @learning()
    def train(
        self,
        total_steps: int | None = None,
        eval_episodes: int = 20,
        quiet: bool = True,
        budget_s: float | None = None,
        callbacks: Sequence[Callback] = (),
        loggers: Sequence[Logger] = (),
    ) -> Run:
        """Train to `total_steps`, those of the run so far or the default where not given, and evaluate the final
        policy.

        Args:
            total_steps: environment steps in all (gradient steps of BC).
            eval_episodes: episodes of that evaluation; 0 for none.
            quiet: show no progress.
            budget_s: seconds of wall clock after which training ends all the same.
            callbacks: called with this trainer and each row of metrics; one that returns False ends the training.
            loggers: called with each row of the log and its step, as wandb.log and mlflow.log_metrics are.
        """
        if loggers and self.run_dir is None:
            raise ValueError("loggers are told what a run's log holds, and this run has no directory: give run_dir")
        self.loop.on_row = partial(self._on_row, tuple(callbacks))
        self.total_steps = length(total_steps, self.total_steps)
        end = self._end(total_steps, budget_s)
        with self.session(end, quiet, loggers) as log:
            self._begin(log)
            self.fresh = False
            if not self._over:
                self.loop.train(end, log, budget_s)
            policy, learned = self._final(log), copy.deepcopy(self.reward())
            self._leave(policy, learned)
            score = self._score(policy, eval_episodes)
            self._scored(score, log)
        return Run(policy, score, self.run_dir, learned, self.best_policy())

    @property
    def _over(self) -> bool:
        """Whether a resumed run had come to its end before its steps were done."""
        return False

    def _on_row(self, callbacks: Sequence[Callback], row: Row) -> bool:
        """What a row of metrics leads to; whether training ends there."""
        return False in [callback(self, row) for callback in callbacks]

    def best_policy(self) -> LearnedPolicy | None:
        """The best policy so far, None where none is kept."""
        return None

    @contextmanager
    def session(self, end: int, quiet: bool, loggers: Sequence[Logger] = ()) -> Iterator[RunLog | None]:
        """The run's directory while training works there, locked and described; None for a run without one.

        Raises:
            ValueError: a new run in the directory of another.
            RunLocked: another process is training there.
        """
        if self.run_dir is None:
            yield None
            return
        if self.fresh:
            refuse_used(self.run_dir)
        with RunLog(self.run_dir, end if end < NO_END else None, quiet, loggers) as log:
            write_run_files(self.run_dir, self.record())
            forget_results(self.run_dir)
            if self.fresh:
                self._keep(self.run_dir)
                shutil.rmtree(self.run_dir / BEST, ignore_errors=True)  # of a run that left nothing else
                log.truncate_to(-1)
            else:
                log.resumed(self.loop.steps)
            yield log

    def policy(self) -> LearnedPolicy:
        """The policy as it is."""
        return self.loop.policy()

    def reward(self) -> LearnedReward | None:
        """The learned reward as it is, None where the algorithm learns none."""
        return None

    def record(self) -> Json:
        """What config.json holds."""
        facts = {"algo": self.algo, "env_id": self.env_id, "seed": self.seed, "total_steps": self.total_steps}
        return facts | {"config": dataclasses.asdict(self.config)}

    def provenance(self) -> Json:
        """What a reward says of where it comes from."""
        return {"env_id": self.env_id, "algo": self.algo, "seed": self.seed, "env_steps": self.loop.steps}

    def _end(self, total_steps: int | None, budget_s: float | None) -> int:
        """The step at which training ends, `NO_END` where only the clock ends it."""
        return self.total_steps

    def _keep(self, run_dir: Path) -> None:
        """Copies into the directory of a new run what resuming needs beside config and checkpoints."""

    def _begin(self, log: RunLog | None) -> None:
        """What comes before the loop, in a new run and when it is resumed."""

    def _final(self, log: RunLog | None) -> LearnedPolicy:
        """What a run leaves when its training is over."""
        return self.policy()

    def _leave(self, policy: LearnedPolicy, learned: LearnedReward | None) -> None:
        """Writes the policy and the reward of a run that was not stopped; those of a stopped one are in its
        checkpoint.
        """
        if self.run_dir is None or stop_requested():
            return
        if learned is not None:
            save_reward(learned, self.run_dir / "reward")
        policy.save(self.run_dir / "policy")

    def _score(self, policy: LearnedPolicy, episodes: int) -> float | None:
        from gail_suite.showing.evaluation import evaluate

        runnable = episodes and envs.is_runnable(self.env_id)
        return evaluate(policy, self.env_id, n_episodes=episodes).score if runnable else None

    def _scored(self, score: float | None, log: RunLog | None) -> None:
        """What follows the evaluation of the final policy."""


def kind_of(record: Json) -> type[Trainer[Settings]]:
    """The trainer of a run, from what config.json says; ValueError for an algorithm of another version."""
    algo = record["algo"]
    name = f"{algo} on-policy" if algo == "gail" and "learner" in record["config"] else algo
    if name not in HOMES:
        raise ValueError(f"the run was begun by another version of gail-suite: it trains {algo!r}")
    return trainer_of(name)


def trainer_of(name: str) -> type[Trainer[Settings]]:
    """The trainer of a kind of run in HOMES."""
    module, kind = HOMES[name]
    return getattr(importlib.import_module(f"gail_suite.algorithms.{module}"), kind)


def resume(run_dir: str | Path, device: str = "cpu", at: int | None = None) -> Trainer[Settings]:
    """The run in `run_dir`, whatever it trains, at its newest checkpoint, or that of step `at`; errors as for
    `Trainer.resume`.
    """
    return Trainer.resume(run_dir, device, at)
