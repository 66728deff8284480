"""What a task of one's own answers in another form than Gymnasium's, said of the task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from gail_suite.envs.common import Env

FORM = (
    "reset(seed=, options=) gives (obs, info), step(action) gives (obs, reward, terminated, truncated, info), with obs "
    "as its observation_space says, one number as reward, and a dictionary as info"
)
BETWEEN = ("gail_suite.", "stable_baselines3.", "gymnasium.", "numpy.")
"""Modules that carry answers from a task to here."""
TASKS = ("gymnasium.envs.", "gail_suite.envs.recorded", "gail_suite.envs.sparse", "gail_suite.envs.toy")
"""Those among them that hold tasks, whose own errors are what they say."""
KINDS = (AssertionError, AttributeError, LookupError, TypeError, ValueError)


@contextmanager
def understood(env: Env) -> Iterator[None]:
    """Within the block, what of a task's answers cannot be read is a ValueError that names its class and the form;
    what the task raises itself stays as it is.
    """
    try:
        yield
    except KINDS as error:
        modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
        if not all(name.startswith(BETWEEN) and not name.startswith(TASKS) for name in modules):
            raise
        raise ValueError(
            f"{type(env.unwrapped).__name__} does not answer as Gymnasium asks ({type(error).__name__}: "
            f"{' '.join(str(error).split())}): {FORM}"
        ) from error
