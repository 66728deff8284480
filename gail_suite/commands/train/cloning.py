"""`gail-suite train bc | dagger`: the expert's actions, fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.parameters import Trust
from gail_suite.commands.train.shared import TRAINING, Recipe, Training, train_short

if TYPE_CHECKING:
    from gail_suite.algorithms.imitator import Imitator
    from gail_suite.runs.config import Settings


def bc(*, training: Training = TRAINING, output: Output = DEFAULT) -> None:
    """Behaviour cloning: fit the demonstrated actions."""
    from gail_suite.algorithms.bc import BC, BCConfig

    train_short(Recipe("bc", BC, BCConfig()), training, output)


def dagger(
    *,
    expert: str,
    trust: Trust = False,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Data set aggregation: clone, act, ask the expert what it would have done there, clone again; steps are rounds.

    Parameters
    ----------
    expert
        Whom to ask: "bundled", a run directory, a policy folder, or an SB3 zip (with --trust).
    """
    from gail_suite.algorithms.dagger import DAgger, DAggerConfig
    from gail_suite.commands.common import find_policy

    def asking(env_id: str, *arguments: Any) -> DAgger:
        asked, _ = find_policy(expert, replace(training.task, env=env_id), trust)
        return DAgger(env_id, *arguments, expert=asked)

    kind: type[Imitator[Settings]] = asking  # type: ignore[assignment]
    train_short(Recipe("dagger", kind, DAggerConfig()), training, output)
