"""What the expert showed: trajectories, and sets of them with their provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from gail_suite.demos.figures import said_return
from gail_suite.demos.sealed import Json


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode: T + 1 observations, T actions and rewards, and how it ended; without actions, what a camera would
    see.

    Arrays are kept as read-only float32. `terminated` (the task ended: value 0 beyond) and `truncated` (cut by a limit:
    the value goes on) stay apart; both are False for a fragment that simply stops.

    Raises:
        ValueError: wrong shapes, no step at all, a type that is not a real number, NaN or Inf.
    """

    obs: np.ndarray
    """(T+1, O), with the true final observation."""
    acts: np.ndarray | None
    """(T, A), as given to the environment; None where only observations were recorded."""
    rews: np.ndarray | None
    """(T,), the environment's own reward, which is never used in training; None where it was not recorded."""
    terminated: bool
    """The last step ended the task."""
    truncated: bool
    """The last step was cut off by a limit."""
    seed: int | None = None
    """Seed of the environment's reset, if known."""

    def __post_init__(self) -> None:
        for name, ndim in (("obs", 2), ("acts", 2), ("rews", 1)):
            if name == "obs" or getattr(self, name) is not None:
                object.__setattr__(self, name, _checked(name, getattr(self, name), ndim))
        for name in ("terminated", "truncated"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        acts, rews = (None if value is None else len(value) for value in (self.acts, self.rews))
        steps = len(self.obs) - 1
        if steps < 1 or acts not in (steps, None) or rews not in (steps, None):
            raise ValueError(
                f"trajectory has {len(self.obs)} observations, {'no' if acts is None else acts} actions, "
                f"{'no' if rews is None else rews} rewards: T >= 1 steps need T + 1 observations (the final one "
                "included), T rewards or none, and T actions or none"
            )

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.obs) - 1

    @property
    def widths(self) -> tuple[int, int | None]:
        """Entries of an observation and of an action (None without actions)."""
        return self.obs.shape[1], None if self.acts is None else self.acts.shape[1]

    @property
    def episode_return(self) -> float:
        """Sum of the rewards, NaN where none were recorded."""
        return float("nan") if self.rews is None else float(self.rews.sum(dtype=np.float64))


def _checked(name: str, value: ArrayLike, ndim: int) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors with gradients
        raise ValueError(f"trajectory {name} cannot be read as an array: {' '.join(str(error).split())}") from None
    if array.ndim != ndim:
        wanted = "a row a step, (T, 1) for one number" if ndim == 2 else "one number a step, (T,)"
        remedy = f"; {name}.reshape(-1{', 1' * (ndim == 2)}) gives it" if max((0, *array.shape)) == array.size else ""
        raise ValueError(f"trajectory {name} has shape {array.shape}, and it must have {wanted}{remedy}")
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"trajectory {name} has type {array.dtype}: it must hold real numbers; convert them with .astype(float)"
        )
    given = array
    with np.errstate(over="ignore"):  # what overflows float32 is reported below
        array = array.astype(np.float32, order="C", copy=False).view()
    bad = ~np.isfinite(array)
    if bad.any():
        step = int(np.argwhere(bad)[0][0])
        kind = "numbers too large for float32" if np.isfinite(given).all() else "NaN or Inf"
        raise ValueError(
            f"trajectory {name} holds {int(bad.sum())} {kind}, the first at step {step}: "
            "leave this episode out or record it again"
        )
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Transitions:
    """State-action pairs, flat: obs (N, O), acts (N, A) or None, next_obs (N, O), terminated (N,) bool."""

    obs: np.ndarray
    acts: np.ndarray | None
    next_obs: np.ndarray
    terminated: np.ndarray

    def __len__(self) -> int:
        return len(self.obs)

    def rows(self, chosen: np.ndarray) -> Transitions:
        """Those of these numbers, in this order."""
        acts = None if self.acts is None else self.acts[chosen]
        return Transitions(self.obs[chosen], acts, self.next_obs[chosen], self.terminated[chosen])

    @property
    def actions(self) -> np.ndarray:
        """acts (N, A), for those who cannot do without; ValueError where only observations were recorded."""
        if self.acts is None:
            raise ValueError(
                f"these {len(self)} pairs hold observations only, without actions: behaviour cloning, and whatever "
                "compares state-action pairs, learns from the expert's actions; find them with gail-suite data "
                "actions, or learn from observations"
            )
        return self.acts


@dataclass(frozen=True, eq=False)
class Demonstrations(Sequence[Trajectory]):
    """Trajectories of one environment and where they come from.

    With `stride` k > 1 only the pairs offset, offset + k, ... of each trajectory count as shown (Ho and Ermon 2016 use
    k = 20): `transitions()` and `n_pairs` speak of those, the trajectories themselves stay whole.

    Raises:
        ValueError: no trajectory, unequal widths, no environment id.
    """

    trajectories: tuple[Trajectory, ...]
    meta: Json = field(default_factory=dict)
    stride: int = 1
    offsets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "trajectories", tuple(self.trajectories))
        object.__setattr__(self, "offsets", tuple(self.offsets) or (0,) * len(self.trajectories))
        if not self.trajectories:
            raise ValueError("demonstrations hold no trajectory: record at least one episode")
        if "env_id" not in self.meta:
            raise ValueError("demonstrations need meta['env_id'], the environment they were recorded in")
        if len(self.offsets) != len(self) or self.stride < 1 or self.stride != int(self.stride):
            raise ValueError(
                f"stride {self.stride} with {len(self.offsets)} offsets for {len(self)} trajectories: "
                "the stride is at least 1 and each trajectory has one offset"
            )
        for offset, t in zip(self.offsets, self.trajectories, strict=True):
            if not 0 <= offset < min(self.stride, len(t)) or offset != int(offset):
                raise ValueError(
                    f"offset {offset} with stride {self.stride} in a trajectory of {len(t)} steps: an offset is a "
                    "whole number from 0 to below both"
                )
        widths = {t.widths for t in self.trajectories}
        if len(widths) > 1:
            raise ValueError(
                f"trajectories have different (observation, action) widths {sorted(widths, key=str)}: "
                "keep those of one environment, all with actions or all without"
            )

    def __len__(self) -> int:
        return len(self.trajectories)

    def __iter__(self) -> Iterator[Trajectory]:
        return iter(self.trajectories)

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Demonstrations: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Demonstrations:
        return self.chosen(range(len(self))[index]) if isinstance(index, slice) else self.trajectories[index]

    def __repr__(self) -> str:
        return (
            f"Demonstrations({self.env_id}: {len(self)} trajectories, {self.n_pairs} pairs"
            f"{f' (every {self.stride}th)' if self.stride > 1 else ''}, "
            f"return {said_return(float(self.returns.mean()), float(self.returns.std()))})"
        )

    @property
    def env_id(self) -> str:
        """The environment they were recorded in."""
        return str(self.meta["env_id"])

    @property
    def has_actions(self) -> bool:
        """Actions were recorded; False for observations only."""
        return self.trajectories[0].acts is not None

    @property
    def has_rewards(self) -> bool:
        """Rewards were recorded in every trajectory."""
        return all(t.rews is not None for t in self)

    @property
    def task(self) -> str:
        """The full name of that environment, with its arguments (see `envs.names`)."""
        from gail_suite.envs.names import named

        return named(self.env_id, self.meta.get("env_kwargs"))

    @property
    def returns(self) -> np.ndarray:
        """(n,) float64: sum of the rewards of each trajectory, NaN where none were recorded."""
        return np.array([t.episode_return for t in self])

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int: steps of each trajectory."""
        return np.array([len(t) for t in self])

    @property
    def n_pairs(self) -> int:
        """How many state-action pairs `transitions()` gives."""
        return sum(len(range(offset, len(t), self.stride)) for offset, t in zip(self.offsets, self, strict=True))

    def times(self) -> np.ndarray:
        """(N,) int: the step of its episode at which each pair of `transitions()` was shown."""
        return np.concatenate(self.steps())

    def steps(self) -> list[np.ndarray]:
        """Of each trajectory, the steps (T',) whose pairs count as shown."""
        return [np.arange(offset, len(t), self.stride) for offset, t in zip(self.offsets, self, strict=True)]

    def follows(self) -> np.ndarray:
        """(N,) bool: whether each pair of `transitions()` begins where the one before it ended."""
        return np.concatenate([np.diff(steps, prepend=-2) == 1 for steps in self.steps()])

    def take(self, n: int, seed: int = 0) -> Demonstrations:
        """n trajectories chosen by a seeded permutation, without replacement; take(n) is the start of take(n + 1).

        Raises:
            ValueError: n is not between 1 and the number of trajectories.
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"cannot take {n} of {len(self)} trajectories: choose 1 to {len(self)}, or record more")
        chosen = np.random.default_rng(seed).permutation(len(self))[:n].tolist()
        return self.chosen(chosen, take={"n": n, "seed": seed, "episodes": chosen})

    def subsample(self, k: int, seed: int = 0) -> Demonstrations:
        """Every k-th pair from a random offset in each trajectory (Ho and Ermon 2016), with its true next observation.

        Raises:
            ValueError: k < 1, or already subsampled.

        >>> from gail_suite import demos, envs
        >>> shown = demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0)
        >>> few = shown.take(2, seed=0).subsample(20, seed=0)
        >>> few.transitions().obs.shape
        (10, 3)
        """
        if k < 1:
            raise ValueError(f"cannot keep every {k}th pair: choose k = 1 (all) or more")
        if self.stride > 1:
            raise ValueError(f"already subsampled to every {self.stride}th pair: subsample the whole demonstrations")
        rng = np.random.default_rng(seed)
        offsets = tuple(int(rng.integers(min(k, len(t)))) for t in self)
        meta = {**self.meta, "subsample": {"k": k, "seed": seed}}
        return replace(self, meta=meta, stride=k, offsets=offsets)

    def observations_only(self) -> Demonstrations:
        """The same without their actions, as if only the states had been seen (Torabi et al., 2018)."""
        meta = {name: value for name, value in self.meta.items() if name != "actions_found"}
        return replace(self, trajectories=tuple(replace(t, acts=None) for t in self), meta=meta)

    def transitions(self) -> Transitions:
        """The shown pairs of all trajectories, in order; `terminated` is True only where the task ended."""
        pairs = list(zip(self, self.steps(), strict=True))
        return Transitions(
            obs=np.concatenate([t.obs[i] for t, i in pairs]),
            acts=np.concatenate([t.acts[i] for t, i in pairs if t.acts is not None]) if self.has_actions else None,
            next_obs=np.concatenate([t.obs[i + 1] for t, i in pairs]),
            terminated=np.concatenate([(i == len(t) - 1) & t.terminated for t, i in pairs]),
        )

    def outside(self, low: np.ndarray, high: np.ndarray) -> int:
        """How many action entries are below `low` (A,) or above `high` (A,), compared as the float32 that is stored."""
        least, most = np.float32(low), np.float32(high)
        return sum(int(((t.acts < least) | (t.acts > most)).sum()) for t in self if t.acts is not None)

    def clipped(self, low: np.ndarray, high: np.ndarray) -> Demonstrations:
        """The same with actions brought between `low` (A,) and `high` (A,), as a simulator does that clamps them."""
        least, most = np.float32(low), np.float32(high)
        inside = tuple(t if t.acts is None else replace(t, acts=np.clip(t.acts, least, most)) for t in self)
        return replace(self, trajectories=inside, meta={**self.meta, "clipped_entries": self.outside(low, high)})

    def save(self, path: str | Path) -> Path:
        """Writes them as a demonstrations folder (see demos.store); ValueError if one is there already."""
        from gail_suite.demos.store import save

        return save(self, path)

    def where(self, keep: Sequence[bool] | np.ndarray, **why: object) -> Demonstrations:
        """The trajectories for which `keep` (n,) is true; `why` goes to meta["filter"].

        Raises:
            ValueError: another number of answers than of trajectories, or none is kept.
        """
        answers = np.asarray(keep, bool)
        if answers.shape != (len(self),):
            raise ValueError(f"{answers.shape} answers for {len(self)} trajectories: give one for each")
        if not answers.any():
            unknown = "" if self.has_rewards else "; they hold no rewards, so their returns are unknown"
            raise ValueError(f"none of the {len(self)} trajectories is kept{unknown}: ask for less")
        return self.chosen(np.flatnonzero(answers).tolist(), **({"filter": why} if why else {}))

    def split(self, fraction: float, seed: int = 0) -> tuple[Demonstrations, Demonstrations]:
        """A seeded draw of a fraction of the trajectories, and the others (see demos.sets)."""
        from gail_suite.demos.sets import split

        return split(self, fraction, seed)

    def __add__(self, other: Demonstrations) -> Demonstrations:
        """The trajectories of both; ValueError for other environments or physics (see demos.sets.merge)."""
        from gail_suite.demos.sets import merge

        return merge([self, other]) if isinstance(other, Demonstrations) else NotImplemented

    def chosen(self, indices: Sequence[int], **meta: object) -> Demonstrations:
        """The trajectories of these numbers, in this order, subsampled as they are; `meta` is added to theirs.

        meta["episodes"] are their numbers in the data that was recorded or loaded first.
        """
        numbers = self.meta.get("episodes", [])
        if len(numbers) != len(self):  # merged sets of earlier versions may have those of one part
            numbers = range(len(self))
        if list(indices) != list(range(len(self))):
            meta["episodes"] = [numbers[i] for i in indices]
        return Demonstrations(
            tuple(self.trajectories[i] for i in indices),
            {**self.meta, **meta},
            self.stride,
            tuple(self.offsets[i] for i in indices),
        )
