"""`gail-suite train sqil`: a reward that says no more than whose step it was."""

from __future__ import annotations

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.train.shared import LONG_RUN, TRAINING, LongRun, Recipe, Training, train_long


def sqil(
    *,
    device: str = "cpu",
    long: LongRun = LONG_RUN,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Soft Q imitation learning: soft actor-critic with reward 1 for the expert's steps and 0 for one's own.

    Parameters
    ----------
    device
        cpu, cuda, or auto for cuda where there is one.
    """
    from gail_suite.algorithms.sqil import SQIL, SQILConfig

    recipe = Recipe("sqil", SQIL, SQILConfig(), "loop.n_envs", device=device)
    train_long(recipe, long, training, output)
