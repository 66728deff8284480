"""`gail-suite train sqil`: a reward that says no more than whose step it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, check_resume_from
from gail_suite.commands.train.shared import (
    KEEPING,
    TRAINING,
    Keeping,
    Recipe,
    Training,
    train_resumable,
)


def sqil(
    *,
    num_envs: int | None = None,
    device: str = "cpu",
    resume: Path | None = None,
    resume_from: int | None = None,
    keeping: Keeping = KEEPING,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Soft Q imitation learning: soft actor-critic with reward 1 for the expert's steps and 0 for one's own.

    Parameters
    ----------
    num_envs
        Environments stepped together.
    device
        cpu, cuda, or auto for cuda where there is one.
    resume
        Run directory to go on with; nothing else is needed.
    resume_from
        Step of the checkpoint to resume from; by default the newest that is sound.
    """
    from gail_suite.algorithms.sqil import SQIL, SQILConfig

    check_resume_from(resume, resume_from)
    training = replace(training, set=(*keeping.settings(resume), *training.set))
    recipe = Recipe("sqil", SQIL, SQILConfig(), "loop.n_envs", device=device, at=resume_from)
    train_resumable(recipe, num_envs, resume, training, output)
