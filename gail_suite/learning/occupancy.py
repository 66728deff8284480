"""How far a policy's behaviour is from what was demonstrated, without the task's reward.

Two policies are told apart by the states they visit: the energy distance (Szekely and Rizzo, 2013) between the states
of some episodes and the demonstrated ones. Time that is left after an episode ended early counts as spent in one
absorbing state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gail_suite import demos, envs
from gail_suite.demos.policy import Policy
from gail_suite.demos.trajectory import Trajectory
from gail_suite.learning.features import Features
from gail_suite.learning.pairs import Pairs

EPISODES = 5
"""Episodes that a policy is judged by on the way."""
MOST = 3000
"""States that are compared at most, of each of the two."""


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| >= 0 over rows (N, D) and (M, D); 0 only for equal distributions."""

    def mean_distance(a: Tensor, b: Tensor) -> float:
        return float(torch.cdist(a, b).double().mean())

    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


def with_absorbing(features: Tensor, ended: float) -> Tensor:
    """Rows (N, F + 1): states with a last entry 0, and for `ended` steps after early ends as many absorbing ones.

    An absorbing row is as far from the mean state as standardised states are from each other, sqrt(2 F).
    """
    n, width = features.shape
    absorbing = torch.zeros(round(ended), width + 1)
    absorbing[:, -1] = (2 * width) ** 0.5
    return torch.cat([torch.cat([features, torch.zeros(n, 1)], 1), absorbing])


def thinned(rows: Tensor) -> Tensor:
    """At most `MOST` of the rows, evenly spaced."""
    return rows if len(rows) <= MOST else rows[torch.linspace(0, len(rows) - 1, MOST).long()]


def visited(trajectories: Sequence[Trajectory], features: Features, horizon: int) -> Tensor:
    """What episodes of at most `horizon` steps visited, as rows of `with_absorbing`."""
    states = np.concatenate([features(np.asarray(t.obs[:-1])) for t in trajectories])
    ended = sum(max(0, horizon - len(t)) for t in trajectories if t.terminated)
    return with_absorbing(torch.from_numpy(states), ended)


def demonstrated(expert: Pairs, times: Tensor, horizon: int) -> Tensor:
    """What the expert visited, as rows of `with_absorbing`; a demonstrated end counts as an end."""
    gaps = times.diff()
    stride = float(gaps[gaps > 0].median()) if (gaps > 0).any() else 1.0
    ended = ((horizon - 1 - times).clamp(min=0) * expert.terminated).sum() / stride
    return with_absorbing(expert.features, float(ended))


class Likeness:
    """How far policies are from the demonstrations on a task, by the states that their deterministic episodes visit."""

    def __init__(self, env_id: str, features: Features, expert: Pairs, times: Tensor) -> None:
        """`times` (N,): the step of its episode at which each of the expert's pairs was shown."""
        self.env_id, self.features = env_id, features
        self.horizon = envs.spec(env_id).horizon or int(times.max()) + 1
        self.shown = thinned(demonstrated(expert, times, self.horizon))

    def distance(self, policy: Policy, seed: int, episodes: int = EPISODES) -> float:
        """The energy distance of that many episodes, the first seeded `seed`, from the demonstrations."""
        shown = demos.record(policy, self.env_id, episodes, seed, episodes, deterministic=True)
        return energy_distance(thinned(visited(list(shown), self.features, self.horizon)), self.shown)
