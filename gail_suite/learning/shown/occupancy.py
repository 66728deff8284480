"""How far a policy's behaviour is from what was demonstrated, without the task's reward.

Two policies are told apart by the states they visit: the energy distance (Szekely and Rizzo, 2013) between the states
of some episodes and the demonstrated ones. Time that is left after an episode ended early counts beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gail_suite import demos, envs
from gail_suite.demos.policy import Policy
from gail_suite.demos.trajectory import Trajectory
from gail_suite.learning.shown.features import Features
from gail_suite.learning.shown.pairs import Shown

EPISODES = 5
"""Episodes that a policy is judged by on the way."""
BLOCKS = 20
"""Blocks of a single trajectory, in order, whose even and odd are two samples of one behaviour."""
HALVINGS = 20
"""Ways in which several trajectories are halved: of a few, a single way says little."""
FAR = 10.0
"""Standard deviations beyond which a state is no farther: one step of a fall can be thousands away."""
MOST = 3000
"""States that are compared at most, of each of the two."""


def pairwise(x: Tensor, y: Tensor) -> Tensor:
    """|X - Y| of rows (N, D) and (M, D), shape (N, M), without products of matrices, whose precision is the training's
    affair.
    """
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def mean_distance(x: Tensor, y: Tensor) -> float:
    """E|X - Y| over rows (N, D) and (M, D)."""
    return float(pairwise(x, y).double().mean())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| >= 0 over rows (N, D) and (M, D); 0 only for equal distributions."""
    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


def thinned(rows: Tensor) -> Tensor:
    """At most `MOST` of the rows, evenly spaced."""
    return rows if len(rows) <= MOST else rows[torch.linspace(0, len(rows) - 1, MOST).long()]


def visited(trajectories: Sequence[Trajectory], features: Features, horizon: int) -> tuple[Tensor, float]:
    """The states (N, F) of episodes of at most `horizon` steps, and the share of their time that early ends took."""
    states = np.concatenate([features(np.asarray(t.obs[:-1])) for t in trajectories])
    ended = sum(max(0, horizon - len(t)) for t in trajectories if t.terminated)
    return torch.from_numpy(states).clamp(-FAR, FAR), ended / (len(states) + ended)


def demonstrated(shown: Shown, horizon: int) -> tuple[Tensor, float]:
    """The states (N, F) that were shown, and the share of the demonstrator's time that early ends took."""
    states = shown.expert.features.clamp(-FAR, FAR)
    if shown.episodes is not None:
        lengths, ended = shown.episodes[:, :2].T
        before = shown.episodes[:, 4] if len(shown.pieces) else 0  # an episode that is shown in pieces ends once
        lost = float(((horizon - lengths - before).clip(min=0) * ended).sum())
        return states, lost / (float(lengths.sum()) + lost)
    times = torch.as_tensor(shown.times)  # a run of an earlier version knows the ends that are among its pairs
    gaps = times.diff()
    stride = float(gaps[gaps > 0].median()) if (gaps > 0).any() else 1.0
    lost = float(((horizon - 1 - times).clamp(min=0) * shown.expert.terminated).sum()) / stride
    return states, lost / (len(times) + lost)


def numbered(times: Tensor) -> Tensor:
    """In which episode, from 0 on, each of some pairs in order was shown, by its step there: (N,)."""
    return torch.cat([torch.zeros(1, dtype=torch.long), (times.diff() <= 0).long().cumsum(0)])


def shown_in(shown: Shown) -> Tensor:
    """In which of the demonstrated trajectories, from 0 on, each pair was shown: (N,)."""
    if shown.episodes is None or not len(shown.pieces):  # a run of an earlier version
        return numbered(torch.as_tensor(shown.times))
    return torch.repeat_interleave(torch.as_tensor(shown.episodes[:, 2]))


def samples_of(shown: Shown, episode: Tensor) -> Tensor:
    """Which states are of one sample of the behaviour (N,): an episode, and all pieces of episodes together, each of
    which visits other states.
    """
    if not shown.pieces.any():
        return episode
    one = np.arange(len(shown.pieces))
    one[shown.pieces] = shown.pieces.argmax()
    return torch.as_tensor(one)[episode]


def episodes_shown(shown: Shown, episode: Tensor, horizon: int) -> float:
    """How many episodes were shown, of pairs whose trajectories are `episode` (N,): pieces count by their steps."""
    if shown.episodes is None or not shown.pieces.any():
        return int(episode[-1]) + 1
    steps = int(shown.episodes[shown.pieces, 0].sum())
    return int((~shown.pieces).sum()) + steps / horizon


def halves(episode: Tensor) -> list[Tensor]:
    """Ways to make two samples of one behaviour of states in order, by their `episode` (N,): masks (N,) of one of them.

    Of several episodes, `HALVINGS` random halves of them; of a single one the odd of `BLOCKS` blocks, of fewer where
    there are fewer states. Blocks of several episodes could line up with them: all beginnings would be in one half.
    """
    found, index = episode.unique(return_inverse=True)
    if len(found) == 1:
        return [torch.arange(len(episode)) * min(BLOCKS, len(episode)) // len(episode) % 2 == 1]
    generator = torch.Generator().manual_seed(0)
    ranks = [torch.randperm(len(found), generator=generator) for _ in range(HALVINGS)]
    return [(rank < len(found) // 2)[index] for rank in ranks]


def uncertainty(states: Tensor, episode: Tensor) -> float:
    """How far two samples of one behaviour are from each other: the mean energy distance of the `halves` of states
    (N, F) in order, by their `episode` (N,); 0 for a single state, which has no second sample.
    """
    if len(states) < 2:
        return 0.0
    distances = pairwise(thinned(states), thinned(states)).double()
    weights = [
        half / half.sum() - (1 - half) / (1 - half).sum() for half in map(Tensor.double, halves(thinned(episode)))
    ]
    return float(torch.stack([-(w @ distances @ w) for w in weights]).mean())


class Likeness:
    """How far policies are from the demonstrations on a task, by what their deterministic episodes do.

    The distance is that of the visited states, and, for the share of time that a policy falls short of or is longer
    than the demonstrator, the distance of two demonstrated states. Were an end one more state, a rare fall would count
    by its square, and so for nothing.
    """

    def __init__(self, env_id: str, shown: Shown) -> None:
        """`shown` says at which step of its episode each pair was shown."""
        assert shown.times is not None
        self.env_id, self.features = env_id, shown.features
        self.horizon = envs.spec(env_id).horizon or int(shown.times.max()) + 1
        states, self.ended = demonstrated(shown, self.horizon)
        episode = shown_in(shown)
        self.n_shown = episodes_shown(shown, episode, self.horizon)
        self.states, self.uncertainty = thinned(states), uncertainty(states, samples_of(shown, episode))
        self.spread = mean_distance(self.states, self.states)

    def distance(self, policy: Policy, seed: int, episodes: int = EPISODES) -> float:
        """The distance of that many episodes, the first seeded `seed`, from the demonstrations."""
        return self.of(self.episodes(policy, seed, episodes))

    def episodes(self, policy: Policy, seed: int, n: int) -> list[Trajectory]:
        """Deterministic episodes, the first seeded `seed`."""
        return list(demos.record(policy, self.env_id, n, seed, n, deterministic=True))

    def of(self, episodes: Sequence[Trajectory]) -> float:
        """The distance of episodes from the demonstrations."""
        states, ended = visited(episodes, self.features, self.horizon)
        return energy_distance(thinned(states), self.states) + self.spread * abs(ended - self.ended)

    def of_states(self, episodes: Sequence[Trajectory]) -> float:
        """The part of the distance that the visited states make, whatever their number."""
        return energy_distance(thinned(visited(episodes, self.features, self.horizon)[0]), self.states)

    def nearer(self, one: Sequence[Trajectory], other: Sequence[Trajectory]) -> bool:
        """Whether as many episodes of one policy are nearer than another's by more than chance makes.

        Falls are rare and independent, so their numbers differ by the root of their sum; where they differ by no more,
        the states decide, by more than two samples of one behaviour differ (`noise`).
        """
        falls, theirs = self.falls(one), self.falls(other)
        if abs(theirs - falls) > math.sqrt(falls + theirs):
            return falls < theirs
        beyond, their_beyond = (self.excess(self.of_states(e), len(e)) for e in (one, other))
        return beyond + self.noise(len(one)) < their_beyond

    def falls(self, episodes: Sequence[Trajectory]) -> int:
        """How many episodes end early where the demonstrator's never do."""
        return sum(t.terminated and len(t) < self.horizon for t in episodes) if self.ended == 0 else 0

    def but_one_fall(self, episodes: Sequence[Trajectory]) -> list[Trajectory]:
        """The episodes without the earliest end, where the demonstrator has none: of a few episodes one is chance, and
        weighs more than all that is left.
        """
        ends = [i for i, t in enumerate(episodes) if self.falls([t])]
        worst = min(ends, key=lambda i: len(episodes[i]), default=None)
        return [t for i, t in enumerate(episodes) if i != worst]

    def noise(self, episodes: int) -> float:
        """How far two samples of the demonstrator's behaviour are from each other, the smaller with that many episodes
        or half of those shown: such distances fall with the number of episodes.
        """
        return self.uncertainty * max(1.0, self.n_shown / episodes)

    def near(self, distance: float, episodes: int) -> bool:
        """Whether a policy at that distance, found in so many episodes, may be the demonstrator.

        Halves of N independent states are about four times as far from each other as all N are from an endless sample
        of the same behaviour, so half of the noise is twice what the demonstrator itself would have.
        """
        return distance <= self.noise(episodes) / 2

    def excess(self, distance: float, episodes: int) -> float:
        """What of a distance found in so many episodes tells a policy from the demonstrator: 0 up to the noise."""
        return max(0.0, distance - self.noise(episodes))
