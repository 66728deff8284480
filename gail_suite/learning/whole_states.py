"""States of demonstrations in which episodes can begin, also where observations cut some of a state off.

Hopper and Walker2d show velocities up to 10, and in nearly nine tenths of its steps a fast walk has a larger one. Where
one state is known whole, the simulation is put into it and takes the action that was shown: it then has what the next
observation cuts off.
"""

from __future__ import annotations

from contextlib import closing

import numpy as np

from gail_suite import envs
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.envs.starts import clipped_entries, put, state_of
from gail_suite.learning.features import fit_features, state_columns, state_entries

SAME = 1e-3
"""Largest miss of the next observation at which a simulation counts as going on as shown, in standard deviations of
each feature.
"""


def whole_states(env_id: str, shown: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    """The states (M, S) of the shown pairs that are known whole, as `put` takes them, and which of the N they are."""
    states = shown.transitions().obs[:, state_entries(env_id)]
    lost = clipped_entries(states)
    known = np.asarray(~lost.any(1))
    if not known.all() and known.any() and shown.has_actions:
        states, known = _carried(env_id, shown, states, lost)
    return states[known], np.flatnonzero(known)


def _carried(env_id: str, shown: Demonstrations, states: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states (N, S) with their lost entries filled in as far as the simulation goes on as shown, and which are
    whole.
    """
    t, follows = shown.transitions(), shown.follows()
    features = fit_features(t.obs, state_columns(env_id))
    goals, states, known = features(t.next_obs), states.astype(np.float64), np.asarray(~lost.any(1))
    with closing(envs.make(env_id)) as env:
        env.reset(seed=0)
        for row in np.flatnonzero(follows & ~known):
            before = row - 1
            try:
                if not known[before] or put(env, states[before]) is None:
                    continue
            except ValueError:  # not a task that can be put into a state
                break
            obs = env.step(t.actions[before])[0]
            if np.abs(features(np.asarray(obs)[None]) - goals[before]).max() < SAME:
                states[row, lost[row]] = state_of(env)[lost[row]]
                known[row] = True
    return states, known
