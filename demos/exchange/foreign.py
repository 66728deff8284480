"""Demonstrations of any foreign format by what the source holds, and observations of older tasks in today's columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.sealed import Json

if TYPE_CHECKING:
    from gail_suite.demos.trajectory import Demonstrations

MINARI_ID = re.compile(r"([\w-]+/)*[\w-]+-v\d+")
NUMBERED = re.compile(r"(observations|actions|rewards|terminals|terminated|terminations)_(\d+)")
"""Arrays an episode, as d3rlpy (version 2) and the course CS 285 write them."""
ALIASES = {"terminated": "terminals", "terminations": "terminals", "truncated": "timeouts", "truncations": "timeouts"}
"""What Gymnasium, Minari and others call D4RL's arrays."""
DROPPED = {
    # v2 to v4 also told the world's own entries, which are always 0: its inertia, velocity and contact force, and the
    # free joint's motors
    ("Ant-v5", 111): ((27, 33),),
    ("Humanoid-v5", 376): ((45, 55), (185, 191), (269, 275), (292, 298)),
}
"""Task and width of older data -> columns that today's task leaves out."""
VARIANTS = {("Ant-v5", 27): {"include_cfrc_ext_in_observation": False}}
"""Task and width -> arguments with which today's task shows the same columns."""


def import_any(source: str | Path, env_id: str | None = None, columns: Sequence[int] | None = None) -> Demonstrations:
    """Demonstrations from a file, a folder or a local Minari dataset, whichever format it has.

    Raises:
        ValueError: nothing of that name is here, or as for the format's own reader.
    """
    from gail_suite import demos

    return getattr(demos, f"from_{guess(source)}")(source, env_id=env_id, columns=columns)


def guess(source: str | Path) -> str:
    """The format of a source: npz, d4rl, imitation or minari.

    Raises:
        ValueError: no file or folder of that name, and no id of a Minari dataset either.
    """
    from gail_suite.demos.store import META

    path = Path(source)
    if path.is_dir():
        if (path / META).is_file():
            raise ValueError(f"{path} is a folder of this suite's demonstrations already: use it as it is")
        return "imitation"
    if path.is_file():
        return _by_keys(path) if path.suffix == ".npz" else "d4rl"
    if not MINARI_ID.fullmatch(str(source)):
        raise ValueError(f"{source} does not exist: give a file, a folder, or the id of a local Minari dataset")
    return "minari"


def _by_keys(path: Path) -> str:
    from gail_suite.demos.exchange.arrays import read_npz

    keys = set(read_npz(path))
    if {"acts", "indices", "terminal"} <= keys:
        return "imitation"
    return "npz" if "obs" in keys else "d4rl"


def numbered(arrays: Mapping[str, np.ndarray]) -> dict[int, dict[str, np.ndarray]]:
    """The arrays `observations_N`, `actions_N`, ... by episode, in order; empty where there are none."""
    episodes: dict[int, dict[str, np.ndarray]] = {}
    for key, value in arrays.items():
        if match := NUMBERED.fullmatch(key):
            episodes.setdefault(int(match[2]), {})[ALIASES.get(match[1], match[1])] = value
    return dict(sorted(episodes.items()))


def cuts(obs: np.ndarray, following: np.ndarray | None, ended: np.ndarray, horizon: int | None) -> np.ndarray:
    """(N,) bool: whether an episode ends after a step, of data that may not say where it was cut off.

    Where the next observation is told (`following`), an episode ends where it is not the one that comes next;
    elsewhere, where `horizon` is given, after so many steps without an end.
    """
    found = np.array(ended, bool)
    if following is not None:
        gap = np.abs(obs[1:].astype(np.float64) - following[:-1]) > 1e-5 * (1 + np.abs(following[:-1]))
        found[:-1] |= gap.reshape(len(obs) - 1, -1).any(axis=1)
    elif horizon is not None:
        since = 0
        for i in range(len(found)):
            since += 1
            found[i] |= since == horizon
            since = 0 if found[i] else since
    return found


def fitted(
    obs: Sequence[np.ndarray], task: str, columns: Sequence[int] | None
) -> tuple[Callable[[np.ndarray], np.ndarray], Json, str | None]:
    """How the observations (T + 1, O) of some episodes are brought to a task's columns, the task's arguments for it,
    and what was done.

    `columns` chooses them; else older widths of Ant and Humanoid are told by their number, if what is left out is all
    0.

    Raises:
        ValueError: a chosen column that is not there, or an old column that is to be left out and is not 0.
    """
    width = obs[0].shape[1]
    if columns is not None:
        if not all(0 <= c < width for c in columns):
            raise ValueError(
                f"--columns reaches to {max(columns)}, but observations have {width} entries, 0 to {width - 1}"
            )
        chosen = list(columns)
        return (lambda o: o[:, chosen]), {}, f"{len(chosen)} of {width} observation columns"
    if arguments := VARIANTS.get((task, width)):
        return (lambda o: o), arguments, f"{width} observation columns, as {task} has without contact forces"
    spans = DROPPED.get((task, width))
    if spans is None:
        return (lambda o: o), {}, None
    dropped = [c for low, high in spans for c in range(low, high)]
    if any(np.abs(o[:, dropped]).max() > 0 for o in obs):
        raise ValueError(
            f"{width} observation columns of an older {task} hold {len(dropped)} that today's lacks (the world's own "
            "inertia, velocity and force), and here they are not all 0: choose columns with --columns, or record in "
            "today's task"
        )
    kept = [c for c in range(width) if c not in dropped]
    return (
        (lambda o: o[:, kept]),
        {},
        f"{width} observation columns of an older {task} without {len(dropped)} that are always 0",
    )


def column_numbers(text: str) -> list[int]:
    """The numbers in a text such as 0-26,33-110; ValueError for any other text."""
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not re.fullmatch(r"\d+(-\d+)?", part.strip()):
            raise ValueError(f"--columns takes numbers and ranges such as 0-26,33-110, got {text!r}")
        found += range(int(low), int(high or low) + 1)
    return found
