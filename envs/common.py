"""What both vector engines share: checks of what goes in and out, and random generators as arrays."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

Env = gym.Env[Any, Any]
"""An environment of whatever observations and actions."""
Layer = gym.Wrapper[Any, Any, Any, Any]
"""Such an environment around another."""
Info = dict[str, Any]
"""What an environment tells beside observation and reward, of any type, as Gymnasium has it."""


def check_seed(seed: int) -> None:
    """ValueError for a seed that is no whole number from 0 up."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
            f"seed is {seed!r}; environments take whole numbers from 0 up"
        )
    if seed < 0:
        raise ValueError(f"seed is {seed}; environments take seeds of at least 0")


def check_actions(actions: np.ndarray, shape: tuple[int, ...]) -> None:
    """ValueError unless actions have the given shape (n, A) and are finite."""
    if actions.shape != shape:
        raise ValueError(f"actions have shape {actions.shape}, expected {shape}: one row for each environment")
    if actions.dtype.kind not in "biuf":
        raise ValueError(f"actions have type {actions.dtype}: they must be real numbers")
    if not np.isfinite(actions).all():
        raise ValueError(f"actions of environments {_bad_rows(actions)} are not finite: check the policy for NaN")


def broken(obs: np.ndarray, mends: bool) -> list[int]:
    """Environments whose observations (n, O) are not finite, told by a warning; ValueError instead unless an engine
    `mends` them.
    """
    rows = _bad_rows(obs)
    if rows:
        column = int(np.flatnonzero(~np.isfinite(obs[rows[0]]))[0])
        text = (
            f"observations of environments {rows} are not finite, first column {column}: the simulation became unstable"
        )
        if not mends:
            raise ValueError(f"{text}; use smaller actions")
        warnings.warn(f"{text}; their episodes end before it", stacklevel=3)
    return rows


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
