"""A run that imitates demonstrations: a `Trainer` that is shown them, and keeps the policy most like them if asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
from typing_extensions import override

from gail_suite import envs
from gail_suite.algorithms.trainer import BEST, C_co, Callback, Loop, Trainer
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.generative.core.backend import learning
from gail_suite.learning.policies.keeping import Best, KeepConfig, Row
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.rewards.learned_reward import LearnedReward
from gail_suite.learning.shown.occupancy import Likeness
from gail_suite.learning.shown.pairs import Shown, warn_of_pieces
from gail_suite.runs import seeds
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import recorded


class Remembering(Loop, Protocol):
    """A loop with checkpoints."""

    constants: dict[str, np.ndarray]
    """Arrays that go into every checkpoint as they are."""


class Imitator(Trainer[C_co]):
    """A run that imitates demonstrations.

    Args:
        demonstrations: what to imitate; a resumed run has it from its checkpoint, in the learner's units.
        env_kwargs: arguments of the environment; those of the demonstrations where not given.

    The others are those of `Trainer`; without a config it takes the defaults.
    """

    @learning()
    def __init__(
        self,
        env_id: envs.names.Task,
        demonstrations: Demonstrations | Shown,
        config: C_co | None = None,
        seed: int = 0,
        run_dir: str | Path | None = None,
        device: str = "cpu",
        env_kwargs: Mapping[str, object] | None = None,
    ) -> None:
        if isinstance(demonstrations, Demonstrations):
            env_id = task_of(env_id, env_kwargs, demonstrations)
        super().__init__(env_id, self.defaults() if config is None else config, seed, run_dir, device)
        if not isinstance(demonstrations, Demonstrations | Shown):
            raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
                f"the demonstrations are a {type(demonstrations).__name__}: give what demos.load(folder) returns"
            )
        if isinstance(demonstrations, Demonstrations):
            warn_of_pieces(self.env_id, demonstrations)
        self.shown = demonstrations if isinstance(demonstrations, Shown) else self._show(demonstrations)
        self.loop = self._build()
        keep = getattr(self.config, "keep", KeepConfig())
        self.best = None if keep.best == "none" else self._best(keep)

    def _best(self, keep: KeepConfig) -> Best:
        """What judges the policies of this run; of a resumed run it knows what the checkpoint does."""
        shown, constants = self.shown, cast(Remembering, self.loop).constants
        if keep.best == "return":
            return Best(keep, constants, lambda policy, row: -row["return_mean"])
        if shown.times is None:
            raise ValueError("these demonstrations do not say when their pairs were shown: set keep.best to return")
        likeness = Likeness(self.env_id, shown)
        seed = seeds.KEEP + self.seed

        def measure(policy: LearnedPolicy, row: Row) -> float:
            # GAIL, which chooses its final policy by it, has measured it already
            return row["distance"] if "distance" in row else likeness.distance(policy, seed)

        return Best(keep, constants, measure)

    @override
    def _on_row(self, callbacks: Sequence[Callback], row: Row) -> bool:
        if self.best is not None and "return_mean" in row:
            policy = self.policy()
            if self.best.judge(policy, row) and self.run_dir is not None:
                policy.save(self.run_dir / BEST)
            if self.best.exhausted:
                row["ended_no_better"] = 1.0
        return super()._on_row(callbacks, row) or self._over

    @property
    @override
    def _over(self) -> bool:
        return self.best is not None and self.best.exhausted

    @override
    def best_policy(self) -> LearnedPolicy | None:
        return None if self.best is None else self.best.policy(self.policy().meta)

    @override
    def _leave(self, policy: LearnedPolicy, learned: LearnedReward | None) -> None:
        super()._leave(policy, learned)
        best = self.best_policy()
        if best is not None and self.run_dir is not None:  # again, since a killed process may have left a later one
            best.save(self.run_dir / BEST)

    def _show(self, demonstrations: Demonstrations) -> Shown:
        """The demonstrations in the learner's units."""
        return Shown.of(self.env_id, demonstrations)

    @abstractmethod
    def _build(self) -> Loop:
        """The loop of a run that imitates `self.shown`."""

    @classmethod
    def _of_record(cls, record: Json, saved: Saved, run_dir: Path, device: str) -> Self:
        shown = Shown.saved(saved.parts, record.get("demos", {}))
        return cls(record["env_id"], shown, cls._recorded(record, run_dir), record["seed"], run_dir, device)

    @classmethod
    def _recorded(cls, record: Json, run_dir: Path) -> C_co:
        """The config that a run was begun with."""
        return recorded(cls.defaults(), record["config"])

    @property
    def demo_meta(self) -> Json:
        """Provenance of the demonstrations."""
        return dict(self.shown.meta)

    @override
    def record(self) -> Json:
        return super().record() | {"demos": self.demo_meta, "n_pairs": len(self.shown.expert)}


def task_of(env_id: envs.names.Task, env_kwargs: Mapping[str, object] | None, demonstrations: Demonstrations) -> str:
    """The full name of the task to train on: the demonstrations' own variant where `env_id` names it without
    arguments.
    """
    name = envs.named(env_id, env_kwargs)
    return demonstrations.task if env_kwargs is None and name == envs.named(demonstrations.env_id) else name
