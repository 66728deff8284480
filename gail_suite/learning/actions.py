"""Actions in the environment's units and in [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np

from gail_suite import envs


def action_bounds(env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest action, (A,) each."""
    env: Any = envs.make(env_id)
    low, high = env.action_space.low, env.action_space.high
    env.close()
    return low, high


def to_unit(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions (..., A) between the bounds (A,) as numbers in [-1, 1]."""
    return 2 * (actions - low) / (high - low) - 1


def from_unit(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Inverse of `to_unit`."""
    return low + (actions + 1) / 2 * (high - low)
