"""Pieces of episodes: trajectories that stop where no episode does, so that neither their length, nor their return, nor
the times of their steps are an episode's.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gail_suite.demos.trajectory import Trajectory


def horizon_of(env_id: str | None) -> int | None:
    """The time limit of a task, None where it is not known here."""
    from gail_suite import envs

    return envs.spec(env_id).horizon if env_id and envs.is_registered(env_id) else None


def stops(t: Trajectory, limit: int | None) -> bool:
    """Whether a trajectory neither ends nor reaches the `limit` of its task; False where that is not known."""
    return limit is not None and not t.terminated and not t.truncated and len(t) < limit


def pieces(trajectories: Iterable[Trajectory], limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Which of n trajectories are pieces of episodes (n,) bool, and how many steps came before each (n,) int, as far as
    is shown: one that stops is a piece, and so is one that goes on where the one before it stops.
    """
    found: list[tuple[bool, int]] = []
    last: np.ndarray | None = None  # where the one before stops
    steps = 0
    for t in trajectories:
        goes_on = last is not None and np.array_equal(last, t.obs[0])
        stopped, before = stops(t, limit), steps if goes_on else 0
        found.append((stopped or goes_on, before))
        last, steps = (t.obs[-1], before + len(t)) if stopped else (None, 0)
    piece, before_each = zip(*found, strict=True) if found else ((), ())
    return np.array(piece, bool), np.array(before_each, int)


def said_pieces(trajectories: Iterable[Trajectory], limit: int | None) -> str | None:
    """How many of some trajectories are pieces, why, and the remedy; None where none is."""
    each = list(trajectories)
    stopped, found = sum(stops(t, limit) for t in each), int(pieces(each, limit)[0].sum())
    if not stopped:
        return None
    more = f", and {found - stopped} go on where such a one stops" if found > stopped else ""
    return (
        f"{stopped} of {len(each)} episodes neither end nor reach the limit of {limit}{more}: taken for pieces, whose "
        "returns are no episode's; set terminated/truncated where they are whole"
    )
