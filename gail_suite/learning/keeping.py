"""The best policy of a run, kept beside the final one, and the end of a run that finds no better.

By distance, the policy is best whose episodes visit states nearest to the demonstrated ones (`occupancy`): no reward
of the task is read. By return, it is the one that the task's own reward likes most, which the run then no longer
ignores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gail_suite.learning.policy import LearnedPolicy
from gail_suite.runs.config import Count, Settings

WAYS = ("none", "distance", "return")
Row = dict[str, float]
"""Numbers of a run at one step, by the names of metrics.jsonl."""
PREFIX = "best."
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


class Best:
    """Judges the policy of each evaluation and keeps the best; what it knows lies among a loop's constants, and so in
    every checkpoint.

    Args:
        config: what is better, and for how long a better one is waited for.
        constants: those of the loop, which this fills in.
        measure: how bad a policy is, given what its evaluation found.
    """

    def __init__(
        self, config: KeepConfig, constants: dict[str, np.ndarray], measure: Callable[[LearnedPolicy, Row], float]
    ) -> None:
        self.config, self.constants, self.measure = config, constants, measure

    def judge(self, policy: LearnedPolicy, row: Row) -> bool:
        """Adds the policy's distance to the row, and keeps the policy where it is the best so far; whether it is."""
        value = self.measure(policy, row)
        if self.config.best == "distance":
            row["distance"] = value
        better = value < self._number("value", np.inf)
        if better:
            self._forget()
            tensors = {f"{PREFIX}policy.{name}": tensor.copy() for name, tensor in policy.tensors.items()}
            self.constants |= tensors | {f"{PREFIX}step": np.array(policy.meta.get("env_steps", 0), np.int64)}
        self.constants |= {
            f"{PREFIX}value": np.array(value if better else self._number("value", np.inf)),
            f"{PREFIX}waited": np.array(0 if better else self._number("waited", 0) + 1, np.int64),
        }
        return better

    @property
    def exhausted(self) -> bool:
        """Whether a better policy has been waited for in vain."""
        return 0 < self.config.patience <= self._number("waited", 0)

    def policy(self, meta: Mapping[str, object]) -> LearnedPolicy | None:
        """The best policy so far, described as `meta` but for its step; None before the first evaluation."""
        names = [name for name in self.constants if name.startswith(f"{PREFIX}policy.")]
        tensors = {name.removeprefix(f"{PREFIX}policy."): self.constants[name].copy() for name in names}
        chosen = {"env_steps": int(self._number("step", 0)), "chosen_by": self.config.best}
        return LearnedPolicy(tensors, {**meta, **chosen}) if tensors else None

    def _number(self, name: str, otherwise: float) -> float:
        return float(self.constants.get(f"{PREFIX}{name}", otherwise))

    def _forget(self) -> None:
        for name in [name for name in self.constants if name.startswith(PREFIX)]:
            del self.constants[name]
