"""`gail-suite train bc | dagger`: the expert's actions, fitted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.parameters import Trust
from gail_suite.commands.train.shared import (
    TRAINING,
    Recipe,
    Training,
    finish,
    fresh,
    logger_of,
    shown_to,
)

if TYPE_CHECKING:
    from gail_suite.algorithms.imitator import Imitator
    from gail_suite.runs.config import Settings


def bc(*, training: Training = TRAINING, output: Output = DEFAULT) -> None:
    """Behaviour cloning: fit the demonstrated actions."""
    from gail_suite.algorithms.bc import BC, BCConfig

    trainer = fresh(Recipe("bc", BC, BCConfig()), training, output)
    if trainer is not None:
        loggers = [logger_of(name) for name in training.logger]
        # too short to be stopped and resumed
        run = trainer.train(training.steps, eval_episodes=0, quiet=output.quiet, loggers=loggers)
        finish(trainer, run, training, output)


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

    _, env_id = shown_to(training)
    asked, _ = find_policy(expert, replace(training.task, env=env_id), trust)
    kind: type[Imitator[Settings]] = partial(DAgger, expert=asked)  # type: ignore[assignment]
    trainer = fresh(Recipe("dagger", kind, DAggerConfig()), training, output)
    if trainer is not None:
        finish(trainer, trainer.train(training.steps, eval_episodes=0, quiet=output.quiet), training, output)
