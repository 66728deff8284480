import dataclasses
from contextlib import closing

import numpy as np
import pytest

import envs
from envs.starts import clipped, state_of
from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.learning.pairs import Shown
from gail_suite.learning.whole_states import whole_states


@pytest.fixture(scope="module")
def walk():
    """Demonstrations of a Walker2d that is thrown about, and the states (N, S) that it was in, nothing cut off."""
    generator, episodes, states = np.random.default_rng(0), [], []
    with closing(envs.make("Walker2d-v5")) as env:
        for seed in range(4):
            obs, acts, ended = [env.reset(seed=seed)[0]], [], False
            while not ended:
                states.append(state_of(env))
                acts.append(generator.uniform(-1, 1, 6).astype(np.float32))
                seen, _, ended, *_ = env.step(acts[-1])
                obs.append(seen)
            episodes.append(Trajectory(np.array(obs), np.array(acts), np.zeros(len(acts)), True, False))
    return Demonstrations(tuple(episodes), {"env_id": "Walker2d-v5"}), np.array(states)


def test_velocities_that_were_cut_off_are_those_of_the_simulation(walk):
    shown, true = walk
    assert 10 < clipped(shown.transitions().obs).sum() < len(true)
    states, rows = whole_states("Walker2d-v5", shown)
    assert rows.tolist() == list(range(len(true)))
    np.testing.assert_allclose(states, true, atol=1e-4, rtol=1e-4)
    assert np.abs(states).max() > 10


@pytest.mark.parametrize("hidden", ["actions", "others", "between"])
def test_what_cannot_be_carried_on_is_left_out(walk, hidden):
    shown, _ = walk
    lost = clipped(shown.transitions().obs)
    if hidden == "actions":
        shown = shown.observations_only()
    elif hidden == "others":  # actions that do not lead to what was shown
        shown = dataclasses.replace(
            shown, trajectories=tuple(dataclasses.replace(t, acts=t.acts[::-1].copy()) for t in shown)
        )
    else:  # every third pair alone: what lies between was not shown
        shown = shown.subsample(3, seed=0)
        lost = clipped(shown.transitions().obs)
    states, rows = whole_states("Walker2d-v5", shown)
    assert rows.tolist() == np.flatnonzero(~lost).tolist()
    np.testing.assert_array_equal(states, shown.transitions().obs[rows])


def test_a_run_of_an_earlier_version_begins_where_it_did(walk):
    shown, _ = walk
    new = Shown.of("Walker2d-v5", shown)
    states, times = shown.transitions().obs, shown.times()
    old = Shown.saved({"constants": new.arrays() | {"states": states}, "features": new.features.state()}, {})
    assert old.starts is not None
    np.testing.assert_array_equal(old.starts[0], states[~clipped(states)])
    np.testing.assert_array_equal(old.starts[1], times[~clipped(states)])


def test_where_episodes_begin_is_saved_with_a_run(walk):
    shown, true = walk
    new = dataclasses.replace(Shown.of("Walker2d-v5", shown), starts=(true, shown.times()))
    again = Shown.saved({"constants": new.arrays(), "features": new.features.state()}, {})
    assert again.starts is not None
    np.testing.assert_array_equal(again.starts[0], true)
    np.testing.assert_array_equal(again.starts[1], shown.times())
