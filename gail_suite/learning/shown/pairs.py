"""Demonstrations as pairs of features and scaled actions: what cloning, discriminators and priors are fitted to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gail_suite.demos.pieces import horizon_of, pieces, said_pieces
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.learning.shown.features import (
    Features,
    check_demonstrations,
    fit_features,
    state_columns,
    state_entries,
    warn_of_unseen,
)
from gail_suite.runs.checkpoint import Parts

FIELDS = ("features", "actions", "next_features", "terminated")


@dataclass(frozen=True)
class Pairs:
    """Transitions in learner's units: features (N, F), actions (N, A) in [-1, 1], next features (N, F), terminated
    (N,).
    """

    features: Tensor
    actions: Tensor
    next_features: Tensor
    terminated: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Tensor) -> Pairs:
        return Pairs(*(getattr(self, name)[rows] for name in FIELDS))

    def with_actions(self, actions: Tensor) -> Pairs:
        """The same with other actions (N, A)."""
        return Pairs(self.features, actions, self.next_features, self.terminated)

    def together(self) -> Tensor:
        """(s, a) as rows (N, F + A)."""
        return torch.cat([self.features, self.actions], -1)


def demo_pairs(env_id: str, demonstrations: Demonstrations, observations_only: bool = False) -> tuple[Features, Pairs]:
    """The map fitted on demonstrations, and their transitions under it; with `observations_only` the actions are 0.

    Raises:
        ValueError: sizes that are not the environment's, or no actions where they are needed.
    """
    check_demonstrations(demonstrations, env_id)
    t = demonstrations.transitions()
    features = fit_features(t.obs, state_columns(env_id))
    warn_of_unseen(t.obs, features)
    low, high = action_bounds(env_id)
    actions = np.zeros((len(t), len(low))) if observations_only else to_unit(t.actions, low, high)
    arrays = (features(t.obs), actions, features(t.next_obs), t.terminated)
    return features, Pairs(*(torch.as_tensor(np.asarray(array), dtype=torch.float32) for array in arrays))


def limit_of(env_id: str, demonstrations: Demonstrations) -> int | None:
    """The time limit of the task that was demonstrated, None where it is not known."""
    return horizon_of(demonstrations.task) or horizon_of(env_id)


def warn_of_pieces(env_id: str, demonstrations: Demonstrations) -> None:
    """Warns where some demonstrations are pieces of episodes."""
    if said := said_pieces(demonstrations, limit_of(env_id, demonstrations)):
        warnings.warn(said, stacklevel=3)


@dataclass(frozen=True)
class Shown:
    """What a run imitates: demonstrations in the learner's units, from their files or from the run's own checkpoint."""

    features: Features
    expert: Pairs
    meta: Json
    """Provenance of the demonstrations."""
    demonstrations: Demonstrations | None = None
    """The demonstrations themselves; None in a resumed run, which needs no file but its own."""
    bonus: np.ndarray | None = None
    """(N,) what a prior gave the pairs, of a resumed run that has one."""
    times: np.ndarray | None = None
    """(N,) step of its episode at which each pair was shown; None in runs of earlier versions."""
    states: np.ndarray | None = None
    """(N, S) the entries of each pair's observation that say what state the task was in; None in runs of earlier
    versions.
    """
    episodes: np.ndarray | None = None
    """(K, 5) int, of each demonstrated trajectory: its length, whether its pairs were all shown or not; 1 where the
    task ended it; how many of its pairs were shown; 1 where it is a piece of an episode; steps of that episode known
    to come before it. Runs of earlier versions have the first two columns, or None.
    """

    @property
    def ends(self) -> bool:
        """Whether the task ended an episode of the demonstrator, as far as is known."""
        return bool(self.expert.terminated.any()) or (self.episodes is not None and bool(self.episodes[:, 1].any()))

    @property
    def pieces(self) -> np.ndarray:
        """(K,) bool: which of the demonstrated trajectories are pieces of episodes, as far as is known."""
        told = self.episodes is not None and self.episodes.shape[1] > 2
        return self.episodes[:, 3].astype(bool) if told and self.episodes is not None else np.zeros(0, bool)

    @property
    def moments(self) -> np.ndarray | None:
        """`times`, or None where pieces were shown, of which nobody knows at what step of an episode they begin."""
        return None if self.pieces.any() else self.times

    @classmethod
    def of(cls, env_id: str, demonstrations: Demonstrations, observations_only: bool = False) -> Shown:
        """Demonstrations as they were recorded; errors as for `demo_pairs`."""
        features, expert = demo_pairs(env_id, demonstrations, observations_only)
        piece, before = pieces(demonstrations, limit_of(env_id, demonstrations))
        returns = demonstrations.returns[~piece]
        shown = {
            "n_episodes": len(demonstrations),
            "pieces": int(piece.sum()),
            "return_mean": float(returns.mean()) if len(returns) and np.isfinite(returns).all() else None,
            "actions": not observations_only,
        }
        return cls(
            features,
            expert,
            {**demonstrations.meta, "shown": shown},
            demonstrations,
            times=demonstrations.times(),
            states=demonstrations.transitions().obs[:, state_entries(env_id)],
            episodes=np.stack(
                [
                    demonstrations.lengths,
                    [t.terminated for t in demonstrations],
                    [len(shown) for shown in demonstrations.steps()],
                    piece,
                    before,
                ],
                axis=1,
            ),
        )

    @classmethod
    def saved(cls, parts: Parts, meta: Json) -> Shown:
        """Inverse of `arrays`, from the parts of a checkpoint."""
        kept = {
            **parts.get("objective", {}),
            **parts.get("constants", {}),
        }  # earlier versions kept them with the objective
        expert = Pairs(*(torch.from_numpy(np.array(kept[f"expert.{name}"])) for name in FIELDS))
        bonus = np.array(kept["expert.bonus"]) if "expert.bonus" in kept else None
        found = {k: np.array(kept[k]) for k in ("times", "states", "episodes") if k in kept}
        return cls(Features.saved(parts), expert, meta, None, bonus, **found)

    def arrays(self) -> dict[str, np.ndarray]:
        """The pairs, for a checkpoint."""
        arrays = {f"expert.{name}": getattr(self.expert, name).numpy() for name in FIELDS}
        more = {name: getattr(self, name) for name in ("times", "states", "episodes")}
        return arrays | {name: array for name, array in more.items() if array is not None}
