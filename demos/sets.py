"""Sets of demonstrations as data: put together, cut apart, and cleared of repetitions, each with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations

SAME = ("env_id", "env_kwargs", "physics_fingerprint")
"""What demonstrations must have in common to be one set."""


def merge(parts: Sequence[Demonstrations]) -> Demonstrations:
    """All trajectories of several sets, in order.

    What all agree on stays in `meta`; `meta["parts"]` holds the rest of each part's, with its number of episodes.

    Raises:
        ValueError: no part, other environments or physics, other widths, or every k-th pair of one and not of the
            other.
    """
    if not parts:
        raise ValueError("nothing to merge: give at least one set of demonstrations")
    for part in parts[1:]:
        _check_alike(parts[0], part)
    meta = _common([provenance for part in parts for provenance in _parts(part)])
    trajectories = tuple(t for part in parts for t in part)
    return Demonstrations(trajectories, meta, parts[0].stride, tuple(o for part in parts for o in part.offsets))


def distinct(demonstrations: Demonstrations) -> Demonstrations:
    """The same without repetitions: of trajectories with equal observations and actions the first stays."""
    first: dict[tuple[bytes, bytes], int] = {}
    for i, t in enumerate(demonstrations):
        first.setdefault((t.obs.tobytes(), b"" if t.acts is None else t.acts.tobytes()), i)
    return demonstrations.chosen(list(first.values()))


def split(demonstrations: Demonstrations, fraction: float, seed: int = 0) -> tuple[Demonstrations, Demonstrations]:
    """Two sets that share no trajectory: round(fraction n) of them drawn by a seeded permutation, and the others.

    Raises:
        ValueError: a fraction that leaves one of the two empty.
    """
    n = len(demonstrations)
    first = round(fraction * n)
    if not 0 < first < n:
        raise ValueError(
            f"a fraction of {fraction:g} of {n} trajectories leaves one part empty: choose {1 / n:.2g} to "
            f"{1 - 1 / n:.2g}"
            if n > 1
            else "one trajectory cannot be split: record at least two"
        )
    order = np.random.default_rng(seed).permutation(n)
    rows = np.sort(order[:first]), np.sort(order[first:])
    chosen, others = (demonstrations.chosen(part.tolist(), split={"fraction": fraction, "seed": seed}) for part in rows)
    return chosen, others


def _check_alike(one: Demonstrations, other: Demonstrations) -> None:
    for key in SAME:
        left, right = one.meta.get(key), other.meta.get(key)
        if (left or None) != (right or None) and not (key == "physics_fingerprint" and None in (left, right)):
            raise ValueError(
                f"demonstrations with {key} {left} and {right} do not belong together: merge those of one environment"
            )
    if one.stride != other.stride:
        raise ValueError(f"every {one.stride}th and every {other.stride}th pair: merge the whole ones, then subsample")


def _parts(d: Demonstrations) -> list[Json]:
    """The provenance of each part of a merged set, or of the set that was never merged."""
    if "parts" not in d.meta or "episodes" in d.meta:
        return [{**d.meta, "n_episodes": len(d)}]
    shared = {key: value for key, value in d.meta.items() if key != "parts"}
    return [{**shared, **part} for part in d.meta["parts"]]


EACH = ("n_episodes", "episodes", "take", "filter", "split")
"""What is said of one part, and means nothing for the whole, also where parts agree."""


def _common(parts: list[Json]) -> Json:
    """What all parts agree on, and `parts` with what remains of each."""
    if len(parts) == 1:
        return {key: value for key, value in parts[0].items() if key != "n_episodes"}
    shared = reduce(lambda a, b: {k: v for k, v in a.items() if k not in EACH and k in b and b[k] == v}, parts)
    return {**shared, "parts": [{k: v for k, v in part.items() if k not in shared} for part in parts]}
