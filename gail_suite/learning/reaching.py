"""Actions that lead through demonstrated states, found by trying: for demonstrations that were shown without actions,
where the simulator can be put into a state.

The simulation is put into a shown state, and damped least squares (Levenberg, 1944; Marquardt, 1963) with finite
differences brings it as near to the next one as one action can. Contacts make this a problem with several minima, so
a good first guess matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import numpy as np

from gail_suite import envs
from gail_suite.envs.common import Env
from gail_suite.envs.starts import clipped_entries, put, state_of
from gail_suite.learning.actions import action_bounds, from_unit
from gail_suite.learning.pairs import Shown

Miss = Callable[[np.ndarray], np.ndarray]
"""From an action (A,) in [-1, 1] to how far from the goal it leads, (F,)."""
REACHED = 1e-3
"""Largest miss of a goal that counts as reached, in standard deviations of each feature."""
EXACT = 1e-5
"""Largest miss at which a search ends."""
RANDOM_PASSES = 5
"""Searches from random actions for what the first guesses did not lead to."""
ITERATIONS = 10
"""Of a search, at most."""
DIFFERENCE = 1e-3
"""Change of an action from which slopes are taken."""
DAMPINGS = 10.0 ** np.arange(-6, 3)
"""From the boldest step to the most careful."""


class Reaching:
    """The actions (N, A) in [-1, 1] between the states of `shown`, as far as they were found.

    At most `budget` steps are simulated over the life of the search.
    """

    def __init__(self, env_id: str, shown: Shown, budget: int) -> None:
        self.env_id, self.shown, self.budget, self.bounds = env_id, shown, budget, action_bounds(env_id)
        self.actions = np.zeros(tuple(shown.expert.actions.shape), np.float32)
        self.miss = np.full(len(self.actions), np.inf)
        self.spent = 0

    @property
    def share(self) -> float:
        """Share of the rows whose action leads to the next state."""
        return float((self.miss < REACHED).mean())

    def told(self, guesses: np.ndarray) -> np.ndarray:
        """`guesses` (N, A), and what was found in their place."""
        return np.where(np.isfinite(self.miss)[:, None], self.actions, guesses)

    def search(self, guesses: np.ndarray) -> None:
        """Looks from `guesses` (N, A) for the actions that were not found yet, until the budget is spent."""
        if self.shown.states is None or self.spent >= self.budget:
            return
        with closing(envs.make(self.env_id)) as env:
            env.reset(seed=0)
            try:
                put(env, self.shown.states[0])
            except ValueError:  # no task that can be put into a state
                self.spent = self.budget
                return
            anywhere = () if self.spent else _anywhere(guesses.shape)  # again they would lead where they led
            for start in (guesses.astype(np.float64), *anywhere):
                self._pass(env, self.shown.states, start)

    def _pass(self, env: Env, states: np.ndarray, guesses: np.ndarray) -> None:
        """One search for every row that was not reached, an episode's in order."""
        if self.share == 1:
            return
        lost, times = clipped_entries(states), self.shown.times
        before: np.ndarray | None = None  # the state to which the row before led, where it led here
        for row, state in enumerate(states.astype(np.float64)):
            if times is None or times[row] == 0 or times[row] != times[row - 1] + 1:
                before = None
            if before is not None:  # what an observation cuts off is what the simulation had when it came here
                whole = np.where(lost[row], before, state)
            elif not lost[row].any():
                whole = state
            else:
                continue
            can_be = self.spent < self.budget and put(env, whole) is not None
            before = self._reach(env, row, whole, guesses[row]) if can_be else None

    def _reach(self, env: Env, row: int, state: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
        """Searches for the action of a row; the state (S,) to which it leads, None where that is not the next."""
        features, goal = self.shown.features, self.shown.expert.next_features[row].double().numpy()

        def miss(action: np.ndarray) -> np.ndarray:
            self.spent += 1
            put(env, state)
            obs = env.step(from_unit(action, *self.bounds))[0]
            return (obs[features.columns] - features.mean) / features.std - goal

        if self.miss[row] >= REACHED:
            action, far = least_squares(miss, guess)
            if far < self.miss[row]:
                self.actions[row], self.miss[row] = action, far
        if self.miss[row] >= REACHED:
            return None
        miss(self.actions[row].astype(np.float64))
        return state_of(env)

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {"actions": self.actions, "miss": self.miss, "spent": np.array(self.spent, np.int64)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.actions, self.miss, self.spent = arrays["actions"].copy(), arrays["miss"].copy(), int(arrays["spent"])


def _anywhere(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Random actions, for each of the passes after the guesses."""
    for seed in range(RANDOM_PASSES):
        yield np.random.default_rng(seed).uniform(-1, 1, shape)


def least_squares(miss: Miss, action: np.ndarray) -> tuple[np.ndarray, float]:
    """The action (A,) in [-1, 1] that misses least by the sum of squares, from `action` on, and its largest miss."""
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
