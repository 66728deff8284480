"""The best policy of a run, kept beside the final one, and the end of a run that finds no better.

By distance, the policy is best whose episodes visit states nearest to the demonstrated ones (`occupancy`): no reward
of the task is read. By return, it is the one that the task's own reward likes most, which the run then no longer
ignores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.runs.config import Count, Settings

WAYS = ("none", "distance", "return")
Row = dict[str, float]
"""Numbers of a run at one step, by the names of metrics.jsonl."""
OnRow = Callable[[Row], bool]
"""Told of each row of metrics before it is logged; says whether training is to end there."""


def silent(row: Row) -> bool:
    """Lets training go on."""
    return False


@dataclass(frozen=True)
class KeepConfig(Settings):
    """Which policy is kept as the best, and how long a run goes on without a better one."""

    best: str = "none"
    """What RUN/best is chosen by at each evaluation: distance (from the demonstrated states, no reward), return, or
    none.
    """
    patience: Count = 0
    """Evaluations in a row without a better policy after which the run ends; 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.best not in WAYS:
            raise ValueError(f"setting best is {self.best!r}: choose one of {', '.join(WAYS)}")
        if self.patience and self.best == "none":
            raise ValueError(
                f"patience={self.patience} waits for a better policy, but best=none chooses none: set best to "
                "distance or return"
            )


@dataclass(frozen=True)
class Candidate:
    """A policy of a run, as it was."""

    value: float
    """How bad it is."""
    steps: int
    """Environment steps after which it was so."""
    updates: int
    tensors: dict[str, np.ndarray]


class Shortlist:
    """The best policies of a run's evaluations; they lie among a loop's constants, and so in every checkpoint.

    What a run leaves should not hang on where it happened to stop: between two evaluations a gait can be lost and
    found again.

    Args:
        constants: those of the loop, which this fills in.
        name: what its entries there begin with.
        keep: policies that it holds.
        latest: of policies as good as can be, of value 0, take the later ones instead of the earlier.
    """

    def __init__(self, constants: dict[str, np.ndarray], name: str, keep: int, latest: bool = False) -> None:
        self.constants, self.name, self.keep, self.latest = constants, name, keep, latest

    def offer(self, value: float, policy: LearnedPolicy) -> bool:
        """Takes a policy that is better than one of those here, or finds room; whether it does."""
        found = self.found
        better = len(found) < self.keep or value < found[-1].value or (self.latest and value == 0)
        waited = 0 if better else self.waited + 1
        if better:
            tensors = {name: np.array(tensor) for name, tensor in policy.tensors.items()}
            new = Candidate(value, int(policy.meta.get("env_steps", 0)), int(policy.meta.get("updates", 0)), tensors)
            found = sorted([*found, new], key=self._rank)[: self.keep]
        self._write(found, waited)
        return better

    def _rank(self, one: Candidate) -> tuple[float, int]:
        return one.value, -one.steps if self.latest and one.value == 0 else one.steps

    @property
    def found(self) -> list[Candidate]:
        """The best first."""
        facts = self.constants.get(f"{self.name}.facts", np.zeros((0, 3)))
        tensors: list[dict[str, np.ndarray]] = [{} for _ in facts]
        for key, value in self.constants.items():
            if key.startswith(f"{self.name}.policy."):
                index, name = key.removeprefix(f"{self.name}.policy.").split(".", 1)
                tensors[int(index)][name] = value.copy()
        rows = zip(facts.tolist(), tensors, strict=True)
        return [Candidate(value, int(steps), int(updates), t) for (value, steps, updates), t in rows]

    @property
    def waited(self) -> int:
        """Evaluations since the last policy that was taken."""
        return int(self.constants.get(f"{self.name}.waited", 0))

    def _write(self, found: list[Candidate], waited: int) -> None:
        for key in [key for key in self.constants if key.startswith(f"{self.name}.")]:
            del self.constants[key]
        for i, one in enumerate(found):
            self.constants |= {f"{self.name}.policy.{i}.{name}": tensor for name, tensor in one.tensors.items()}
        facts = [(one.value, one.steps, one.updates) for one in found]
        self.constants |= {
            f"{self.name}.facts": np.array(facts, np.float64).reshape(-1, 3),
            f"{self.name}.waited": np.array(waited, np.int64),
        }


class Best:
    """Judges the policy of each evaluation and keeps the best.

    Args:
        config: what is better, and for how long a better one is waited for.
        constants: those of the loop.
        measure: how bad a policy is, given what its evaluation found.
    """

    def __init__(
        self, config: KeepConfig, constants: dict[str, np.ndarray], measure: Callable[[LearnedPolicy, Row], float]
    ) -> None:
        self.config, self.measure = config, measure
        self.shortlist = Shortlist(constants, "best", 1)

    def judge(self, policy: LearnedPolicy, row: Row) -> bool:
        """Adds the policy's distance to the row, and keeps the policy where it is the best so far; whether it is."""
        value = self.measure(policy, row)
        if self.config.best == "distance":
            row["distance"] = value
        return self.shortlist.offer(value, policy)

    @property
    def exhausted(self) -> bool:
        """Whether a better policy has been waited for in vain."""
        return 0 < self.config.patience <= self.shortlist.waited

    def policy(self, meta: Mapping[str, object]) -> LearnedPolicy | None:
        """The best policy so far, described as `meta` but for its step; None before the first evaluation."""
        for one in self.shortlist.found:
            return LearnedPolicy(one.tensors, {**meta, "env_steps": one.steps, "chosen_by": self.config.best})
        return None
