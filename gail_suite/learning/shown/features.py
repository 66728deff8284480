"""Standardised features: which observation columns the networks see, and in which units."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gail_suite import envs
from gail_suite.envs.structure import state_parts, state_width
from gail_suite.learning.shown.actions import action_bounds

if TYPE_CHECKING:
    from gail_suite.demos.trajectory import Demonstrations
    from gail_suite.runs.checkpoint import Parts

STD_FLOOR = 0.1
"""Smallest standard deviation divided by, in the observation's own units (rad, m, rad/s): a joint that hardly moves in
the demonstrations must not become the largest input once the learner moves it."""

UNSEEN = STD_FLOOR / 1000
"""Deviations below which a column that varies is called unseen; the smallest of recorded MuJoCo experts is 0.017, and a
few hundred steps of a joint at its limit have a thousandth."""


@dataclass(frozen=True)
class Features:
    """x = (obs[columns] - mean) / std, an affine map, so that every policy on features is also one on observations."""

    columns: np.ndarray
    """(F,) indices of the visible observation entries."""
    mean: np.ndarray
    """(F,)."""
    std: np.ndarray
    """(F,) at least `STD_FLOOR`."""

    def __post_init__(self) -> None:
        columns, mean, std = self.columns, self.mean, self.std
        fit = columns.ndim == 1 and columns.dtype.kind in "iu" and columns.shape == mean.shape == std.shape
        if not fit or (columns < 0).any() or len(np.unique(columns)) < len(columns):
            raise ValueError(
                f"features have columns of shape {columns.shape} and type {columns.dtype}, means {mean.shape} and "
                f"deviations {std.shape}: columns are different whole numbers from 0, each with a mean and a deviation"
            )
        if not (np.isfinite(mean).all() and (std > 0).all() and np.isfinite(std).all()):
            raise ValueError("features have a mean that is not finite, or a deviation that is not above 0")

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Features (B, F) float32 of observations (B, O), in C order: matrix products round differently in another."""
        return np.ascontiguousarray((obs[:, self.columns] - self.mean) / self.std, np.float32)

    def policy_inputs(self, obs_dim: int) -> tuple[np.ndarray, np.ndarray]:
        """obs_mean and obs_scale (O,) of the same map on full observations; hidden columns have scale 0."""
        mean, scale = np.zeros(obs_dim, np.float32), np.zeros(obs_dim, np.float32)
        mean[self.columns], scale[self.columns] = self.mean, 1 / self.std
        return mean, scale

    def into(self, other: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, scale and shift (F',) with other(obs) = self(obs)[:, columns] * scale + shift.

        Raises:
            ValueError: `other` reads a column that these features leave out.
        """
        hidden = sorted(set(other.columns.tolist()) - set(self.columns.tolist()))
        if hidden:
            raise ValueError(
                f"observation columns {hidden} did not vary in these demonstrations but did where the prior was "
                "fitted: fit it to the demonstrations of this run"
            )
        place = {column: i for i, column in enumerate(self.columns.tolist())}
        columns = np.array([place[column] for column in other.columns.tolist()])
        shift = (self.mean[columns] - other.mean) / other.std
        return columns, (self.std[columns] / other.std).astype(np.float32), shift.astype(np.float32)

    @classmethod
    def saved(cls, parts: Parts) -> Features:
        """Inverse of `state`, from the parts of a checkpoint."""
        return cls(*(np.array(parts["features"][name]) for name in ("columns", "mean", "std")))

    def state(self) -> dict[str, np.ndarray]:
        """The map as arrays, for a checkpoint."""
        return {"columns": self.columns, "mean": self.mean, "std": self.std}


def check_demonstrations(demonstrations: Demonstrations, env_id: str) -> None:
    """ValueError, with the numbers, for demonstrations whose observations or actions are not as wide as the
    environment's.

    Warns where they were recorded in another variant of the task, or hold actions that the task does not take.
    """
    first = demonstrations[0]
    if not envs.is_registered(env_id):
        _register(env_id, demonstrations)
    spec = envs.spec(env_id)
    widths = first.widths
    if widths not in ((spec.obs_dim, spec.act_dim), (spec.obs_dim, None)):
        raise ValueError(
            f"the demonstrations have {widths[0]} observation and {widths[1]} action entries, "
            f"{spec.id} has {spec.obs_dim} and {spec.act_dim}: record them on {spec.id}"
        )
    if spec.horizon is None:
        raise ValueError(
            f"{spec.id} has no time limit, so an episode may never end: "
            "give --max-episode-steps N (max_episode_steps=N), or register it with one"
        )
    if demonstrations.task != spec.id:
        warnings.warn(
            f"the demonstrations were recorded on {demonstrations.task}; training and evaluation use {spec.id}",
            stacklevel=2,
        )
    if outside := demonstrations.outside(*action_bounds(env_id)):
        entries = spec.act_dim * int(demonstrations.lengths.sum())
        warnings.warn(
            f"{outside} of {entries} demonstrated action entries are outside the bounds of {spec.id}, where a policy "
            "cannot follow: import them with gail-suite data import --clip",
            stacklevel=2,
        )


def _register(env_id: str, demonstrations: Demonstrations) -> None:
    """Makes an unknown task known by its demonstrations; actions are taken to be in [-1, 1], or as far as they
    reach.
    """
    if not demonstrations.has_actions:
        raise ValueError(
            f"{env_id} is not registered here, and without actions the demonstrations do not say what it takes: give "
            "--import MODULE, which registers it"
        )
    acts = np.concatenate([t.acts for t in demonstrations if t.acts is not None])
    low, high = np.minimum(acts.min(0), -1), np.maximum(acts.max(0), 1)
    warnings.warn(
        f"{env_id} is not registered here: its sizes and bounds are those of the demonstrations, and it can only be "
        "cloned",
        stacklevel=3,
    )
    envs.register_recorded(env_id, demonstrations[0].widths[0], low, high, int(demonstrations.lengths.max()))


def state_columns(env_id: str) -> np.ndarray:
    """Columns that hold positions and velocities where Gymnasium's own task says so, else all.

    Positions and velocities are the whole Markov state; the rest (contact forces, inertias) are functions of it and of
    the past that cost capacity and help nobody here. What a task of one's own adds to an observation stays visible.
    """
    with closing(envs.make(env_id)) as env:
        return np.arange(state_width(env) or envs.spec(env_id).obs_dim)


def state_entries(env_id: str) -> np.ndarray:
    """Columns from which a simulation can be put back into the state it was in; all where the task does not say."""
    with closing(envs.make(env_id)) as env:
        return np.arange(sum(state_parts(env) or ()) or envs.spec(env_id).obs_dim)


def fit_features(obs: np.ndarray, columns: np.ndarray) -> Features:
    """Mean and standard deviation of the given columns over observations (N, O); columns that vary by no more than
    rounding are dropped.

    Raises:
        ValueError: no column varies.
    """
    std, rounding = obs.std(0), 8 * np.finfo(np.float32).eps * np.abs(obs).max(0)
    # the computed deviation of a constant such as 9.81 is not 0 but its rounding errors
    kept = columns[(std > 1e-6)[columns] & (np.ptp(obs, axis=0) > rounding)[columns]]
    if len(kept) == 0:
        raise ValueError(
            f"none of the {len(columns)} observation columns varies over {len(obs)} observations: "
            "record demonstrations that move"
        )
    return Features(kept, obs[:, kept].mean(0).astype(np.float32), np.maximum(std[kept], STD_FLOOR).astype(np.float32))


def warn_of_unseen(obs: np.ndarray, features: Features) -> None:
    """Warns of columns of observations (N, O) that vary so little, next to `STD_FLOOR`, that no network sees them: what
    is shown in kilometres or in volts may matter all the same.
    """
    std = obs[:, features.columns].std(0)
    if hidden := features.columns[std < UNSEEN].tolist():
        numbers = ", ".join(map(str, hidden[:10])) + ", ..." * (len(hidden) > 10)
        warnings.warn(
            f"{len(hidden)} of {obs.shape[1]} observation columns vary, but with a standard deviation of at most "
            f"{std[std < UNSEEN].max():.2g} in the demonstrations: {numbers}. Inputs are divided by {STD_FLOOR} at "
            "least, so they are hardly seen: where they matter, show them in units in which they vary by about 1",
            stacklevel=3,
        )
