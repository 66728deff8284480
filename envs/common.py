"""What both vector engines share: checks of what goes in and out, and random generators as arrays."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_seed(seed: int) -> None:
    """ValueError for a seed below 0."""
    if seed < 0:
        raise ValueError(f"seed is {seed}; environments take seeds of at least 0")


def check_actions(actions: np.ndarray, shape: tuple[int, ...]) -> None:
    """ValueError unless actions have the given shape (n, A) and are finite."""
    if actions.shape != shape:
        raise ValueError(f"actions have shape {actions.shape}, expected {shape}: one row for each environment")
    if not np.isfinite(actions).all():
        raise ValueError(f"actions of environments {_bad_rows(actions)} are not finite: check the policy for NaN")


def check_observations(obs: np.ndarray) -> None:
    """ValueError unless observations (n, O) are finite."""
    if not np.isfinite(obs).all():
        raise ValueError(
            f"observations of environments {_bad_rows(obs)} are not finite: the simulation became unstable; use smaller actions"
        )


def _bad_rows(values: np.ndarray) -> list[int]:
    return np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()


def pack_host(generators: Sequence[np.random.Generator | None], seeds: Sequence[int | None]) -> np.ndarray:
    """Random generators and pending seeds as UTF-8 JSON in a uint8 array (an array travels in any checkpoint)."""
    states = [None if g is None else g.bit_generator.state for g in generators]
    return np.frombuffer(json.dumps({"generators": states, "seeds": list(seeds)}).encode(), np.uint8).copy()


def unpack_host(packed: np.ndarray) -> tuple[list[np.random.Generator | None], list[int | None]]:
    """The inverse of `pack_host`."""
    host = json.loads(packed.tobytes().decode())
    return [None if state is None else _generator(state) for state in host["generators"]], host["seeds"]


def _generator(state: Any) -> np.random.Generator:
    bits = np.random.PCG64()  # the kind that gymnasium.utils.seeding makes
    bits.state = state
    return np.random.Generator(bits)
