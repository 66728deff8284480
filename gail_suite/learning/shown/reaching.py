"""Actions of demonstrations that were shown without any, found by trying, where the simulator can be put into a state.

The simulation is put into a shown state, and damped least squares (Levenberg, 1944; Marquardt, 1963) with finite
differences brings it as near to the next one as one action can. Contacts make this a problem with several minima, so
a good first guess matters: what was found for similar pairs of states. What an observation cuts off of a state (Hopper
and Walker2d show velocities up to 10) is what the simulation has after the pair before, else it is looked for beside
the action.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from gail_suite import envs
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.envs.common import Env
from gail_suite.envs.starts import clipped_entries, put, state_of
from gail_suite.learning.shown.actions import action_bounds, from_unit
from gail_suite.learning.shown.features import check_demonstrations, fit_features, state_columns, state_entries

Miss = Callable[[np.ndarray], np.ndarray]
"""From an action (A,) in [-1, 1], and what else is looked for, to how far from the goal it leads, (F,)."""
REACHED = 1e-3
"""Largest miss of a goal that counts as reached, in standard deviations of each feature."""
EXACT = 1e-5
"""Largest miss at which a search ends."""
PASSES = 10
"""Searches for a row at most, each from another guess."""
ITERATIONS = 10
"""Of a search, at most."""
DIFFERENCE = 1e-3
"""Change of an action from which slopes are taken."""
DAMPINGS = 10.0 ** np.arange(-6, 3)
"""From the boldest step to the most careful."""
ENOUGH = 0.5
"""Share of the pairs from which on the actions that were found are taken for the expert's."""
COMPARED = 2000
"""Pairs with known actions among which the most similar are looked for, at most."""
BEYOND = 10.0
"""Standard deviations of what is shown, up to which beyond the bound an entry that was cut off is looked for."""


class Unreachable(ValueError):
    """The actions of demonstrations cannot be found by trying."""


def with_actions(env_id: str, shown: Demonstrations, tries: int) -> Demonstrations:
    """`shown` with the actions that lead from each shown state to the next, found in `tries` simulated steps a pair at
    most. Where none leads there it is the one that misses least, and where none could be tried that of the most
    similar pair.

    The share of the pairs whose action leads on is in meta["actions_found"]. Pairs that do not count as shown have
    actions 0.

    Raises:
        ValueError: sizes that are not the environment's.
        Unreachable: a task that cannot be put into a state, or one where less than half of the pairs lead on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever trains on these demonstrations is told
        check_demonstrations(shown, env_id)
    low, high = action_bounds(env_id)
    search = Search(env_id, shown, tries * shown.n_pairs)
    search.run()
    if search.share < ENOUGH <= search.share + search.left:
        raise Unreachable(
            f"{search.spent} simulated steps were enough for {search.tried.sum()} of {len(search.miss)} demonstrated "
            f"pairs of states, and for {(search.miss < REACHED).sum()} an action was found: give more tries than "
            f"{tries} a pair"
        )
    if search.share < ENOUGH:
        raise Unreachable(
            f"of {len(search.miss)} demonstrated pairs of states {search.tried.sum()} could be tried in {env_id}, and "
            f"for {(search.miss < REACHED).sum()} an action was found: these demonstrations are of another physics, or "
            "their observations hide too much of the state"
        )
    acts = from_unit(search.found_actions(), low, high).clip(np.float32(low), np.float32(high)).astype(np.float32)
    told, rows = [], iter(acts)
    for one, steps in zip(shown, shown.steps(), strict=True):
        whole = np.zeros((len(one), acts.shape[1]), np.float32)
        whole[steps] = [next(rows) for _ in steps]
        told.append(replace(one, acts=whole))
    meta = {name: value for name, value in shown.meta.items() if name != "observations_only"}
    return replace(shown, trajectories=tuple(told), meta={**meta, "actions_found": round(search.share, 4)})


class Search:
    """The actions (N, A) in [-1, 1] between the N pairs of states that demonstrations show, as far as they are found
    in `budget` simulated steps.
    """

    def __init__(self, env_id: str, shown: Demonstrations, budget: int) -> None:
        t = shown.transitions()
        self.env_id, self.budget, self.bounds, self.spent = env_id, budget, action_bounds(env_id), 0
        self.features = fit_features(t.obs, state_columns(env_id))
        self.states, self.goals = t.obs[:, state_entries(env_id)], self.features(t.next_obs).astype(np.float64)
        self.follows = shown.follows()
        before = self.features(t.obs)
        change = self.goals - before
        self.looks = np.concatenate([before, change / np.maximum(change.std(0), 1e-6)], 1).astype(np.float32)
        """(N, 2F) by which pairs are compared: where they begin, and how far each feature goes."""
        self.actions = np.zeros((len(t), len(self.bounds[0])))
        self.lost, self.whole = clipped_entries(self.states), self.states.astype(np.float64)
        """(N, S) which entries of the states their observations cut off, and the states with what was found of them."""
        self.beyond = BEYOND * self.whole.std(0) * np.sign(self.whole - self.whole.mean(0))
        self.miss = np.full(len(t), np.inf)
        self.tried = np.zeros(len(t), bool)

    @property
    def share(self) -> float:
        """Share of the pairs whose action leads to the second state."""
        return float((self.miss < REACHED).mean())

    @property
    def left(self) -> float:
        """Share of the pairs that were not tried for want of steps."""
        return float((~self.tried).mean()) if self.spent >= self.budget else 0.0

    def found_actions(self) -> np.ndarray:
        """(N, A) what was found or misses least, and where none could be tried that of the most similar pair."""
        actions = self.actions.copy()
        for row in np.flatnonzero(~self.tried).tolist():
            if (similar := self._similar(row, 0)) is not None:
                actions[row] = self.actions[similar]
        return actions

    def run(self) -> None:
        """Looks for the actions of all pairs, from other guesses for those that were not found.

        Raises:
            Unreachable: a task that cannot be put into a state.
        """
        with closing(envs.make(self.env_id)) as env:
            env.reset(seed=0)
            try:
                put(env, self.states[0])
            except ValueError as error:
                raise Unreachable(
                    f"{self.env_id} cannot be put into a demonstrated state to try actions: train gail does without, "
                    "by a model of the dynamics"
                ) from error
            for rank in range(PASSES):
                self._pass(env, rank)

    def _similar(self, row: int, rank: int) -> int | None:
        """The pair that is `rank`-th most similar to a row's, of those whose actions were found."""
        known = np.flatnonzero(self.miss < REACHED)
        if len(known) <= rank:
            return None
        known = known[:: -(-len(known) // COMPARED)]
        far = np.square(self.looks[known] - self.looks[row]).sum(1)
        return int(known[np.argpartition(far, rank)[rank]])

    def _pass(self, env: Env, rank: int) -> None:
        """One search for every row that was not reached, an episode's in order."""
        wanted = np.r_[self.lost[1:].any(1) & self.follows[1:], False]  # the next pair may need where this one led
        led: np.ndarray | None = None
        for row in range(len(self.states)):
            if self.spent >= self.budget:
                return
            reached, before = self.miss[row] < REACHED, led if self.follows[row] else None
            led = None
            if reached and not wanted[row]:
                continue
            lost = np.zeros(0, int) if reached else np.flatnonzero(self.lost[row])
            if before is not None:  # the simulation has what the observation cuts off
                self.whole[row, lost], lost = before[lost], lost[:0]
            if put(env, self.whole[row]) is not None:
                led = self._reach(env, row, lost, rank)

    def _reach(self, env: Env, row: int, sought: np.ndarray, rank: int) -> np.ndarray | None:
        """Searches for the action of a row, and for the `sought` entries of its state beside it; the state (S,) to
        which they lead, None where that is not the next.
        """
        acts, f = self.actions.shape[1], self.features
        bound, beyond = self.states[row, sought], self.beyond[row, sought]

        def state(z: np.ndarray) -> np.ndarray:
            whole = self.whole[row].copy()
            whole[sought] = bound + beyond * (z[acts:] + 1) / 2
            return whole

        def miss(z: np.ndarray) -> np.ndarray:
            self.spent += 1
            put(env, state(z))
            obs = env.step(from_unit(z[:acts], *self.bounds))[0]
            return (obs[f.columns] - f.mean) / f.std - self.goals[row]

        found = np.concatenate((self.actions[row], np.full(len(sought), -1.0)))
        if self.miss[row] >= REACHED:
            self.tried[row], similar = True, self._similar(row, rank)
            guess = np.zeros_like(found)
            if similar is not None:
                excess = (self.whole[similar, sought] - bound) / beyond
                guess = np.concatenate((self.actions[similar], 2 * excess - 1))
            z, far = least_squares(miss, guess)
            if far < self.miss[row]:
                self.actions[row], self.miss[row], self.whole[row], found = z[:acts], far, state(z), z
        if self.miss[row] >= REACHED:
            return None
        miss(found)
        return state_of(env)


def least_squares(miss: Miss, action: np.ndarray) -> tuple[np.ndarray, float]:
    """The action (A,) in [-1, 1], and what else is looked for in [-1, 1], that misses least by the sum of squares, from
    `action` on, and its largest miss."""
    action, damping = action.clip(-1, 1), 2
    missed = miss(action)
    for _ in range(ITERATIONS):
        if np.abs(missed).max() < EXACT:
            break
        slopes = _slopes(miss, action, missed)
        down = slopes.T @ missed
        free = ~((action <= -1) & (down > 0) | (action >= 1) & (down < 0))
        curvature = slopes[:, free].T @ slopes[:, free]
        while damping < len(DAMPINGS):
            new = action.copy()
            new[free] -= np.linalg.solve(curvature + DAMPINGS[damping] * np.eye(free.sum()), down[free])
            new = new.clip(-1, 1)
            found = miss(new)
            if found @ found < missed @ missed:
                break
            damping += 2
        else:  # no step helps
            break
        action, missed, damping = new, found, max(damping - 3, 0)
    return action, float(np.abs(missed).max())


def _slopes(miss: Miss, action: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """(F, A) slopes of `miss` at an action, where it is `missed`; by differences towards the middle."""
    changes = np.where(action > 0, -DIFFERENCE, DIFFERENCE)
    shifted = action + np.diag(changes)
    return np.stack([(miss(one) - missed) / change for one, change in zip(shifted, changes, strict=True)], axis=1)
