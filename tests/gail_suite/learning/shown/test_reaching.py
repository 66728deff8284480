import dataclasses

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.ant_v5 import AntEnv

import demos
import envs
from gail_suite.learning.shown import reaching
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.learning.shown.reaching import REACHED, Search, Unreachable, least_squares, with_actions


class Uniform:
    """Actions at random, a quarter of the entries at a bound."""

    def __init__(self, env_id):
        self.env_id, self.act_dim, self.rng = env_id, envs.spec(env_id).act_dim, np.random.default_rng(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.rng.uniform(-1.33, 1.33, (len(observation), self.act_dim)).clip(-1, 1).astype(np.float32), None


def in_unit(env_id, demonstrations):
    return to_unit(demonstrations.transitions().actions, *action_bounds(env_id)).clip(-1, 1)


def test_least_squares_stops_at_the_bounds():
    # by hand: (a - 3)^2 + (a + b - 0.5)^2 over [-1, 1]^2: a = 1 and b = -0.5, which misses the first by 2
    action, far = least_squares(lambda u: np.array([u[0] - 3, u.sum() - 0.5]), np.zeros(2))
    np.testing.assert_allclose(action, [1, -0.5], atol=1e-6)
    assert far == pytest.approx(2)


def test_actions_of_the_toy_are_found_and_lead_on(toy_demos):
    told = with_actions(envs.TOY_ID, toy_demos.observations_only(), 200)
    assert told.meta["actions_found"] == 1 and told.lengths.tolist() == toy_demos.lengths.tolist()
    assert np.abs(in_unit(envs.TOY_ID, told) - in_unit(envs.TOY_ID, toy_demos)).max() < 1e-3


@pytest.mark.parametrize(("env_id", "episodes"), [("Hopper-v5", 12), ("Swimmer-v5", 1)])
def test_actions_of_a_simulation_are_found_from_observations(env_id, episodes):
    recorded = demos.record(Uniform(env_id), env_id, episodes, 5, 1)
    search = Search(env_id, recorded.observations_only(), 20_000)
    search.run()
    found = search.miss < REACHED
    assert search.share > 0.8
    assert np.abs(search.actions - in_unit(env_id, recorded))[found].mean() < 0.01


@pytest.mark.parametrize("stride", [1, 3])
def test_velocities_that_an_observation_cuts_off_are_carried_on_or_found(stride):
    # Hopper shows velocities up to 10. Cut off at 1, most pairs hold one; it is what the simulation has after the pair
    # before, and where that was not shown, every third pair alone, what leads to the next state.
    recorded = demos.record(Uniform("Hopper-v5"), "Hopper-v5", 12, 5, 4)
    recorded = recorded if stride == 1 else recorded.subsample(stride, seed=0)
    search = Search("Hopper-v5", recorded.observations_only(), 20_000)
    true = search.whole.copy()
    search.lost[:, 5:] = np.abs(true[:, 5:]) > 1
    search.states = np.where(search.lost, np.sign(true), true)
    search.whole = search.states.copy()
    lost = search.lost.any(1)
    assert lost.mean() > 0.5
    search.run()
    found = search.miss < REACHED
    assert found[lost].mean() > 0.8
    assert np.abs(search.actions - in_unit("Hopper-v5", recorded))[found].mean() < 0.01
    assert np.median(np.abs(search.whole - true)[search.lost & found[:, None]]) < 1e-3


def test_only_what_is_shown_of_subsampled_demonstrations_is_tried(toy_demos):
    shown = toy_demos.subsample(7, seed=1)
    told = with_actions(envs.TOY_ID, shown.observations_only(), 200)
    np.testing.assert_allclose(in_unit(envs.TOY_ID, told), in_unit(envs.TOY_ID, shown), atol=1e-3)
    for one, offset in zip(told, told.offsets, strict=True):
        hidden = np.delete(one.acts, np.arange(offset, len(one), 7), 0)
        assert len(hidden) and not hidden.any()


def test_the_budget_is_kept_and_what_was_not_tried_is_what_similar_pairs_have(toy_demos):
    search = Search(envs.TOY_ID, toy_demos.observations_only(), 50)
    search.run()
    assert search.spent <= 70  # a search that has begun is finished
    assert 0 < search.tried.sum() < len(search.tried)
    found = search.actions[search.miss < REACHED]
    for action in search.found_actions()[~search.tried]:
        assert (action == found).all(1).any()


def test_too_few_tries_are_told_apart_from_another_physics(toy_demos):
    with pytest.raises(Unreachable, match=r"steps were enough for \d+ of 400 .*: give more tries than 1 a pair"):
        with_actions(envs.TOY_ID, toy_demos.observations_only(), 1)


def test_a_guess_is_what_the_most_similar_pair_has(toy_demos):
    search = Search(envs.TOY_ID, toy_demos.observations_only(), 0)
    assert search._similar(0, 0) is None  # nothing is known
    search.looks = np.array([[0.0], [5.0], [1.0], [2.0]])
    search.miss = np.array([np.inf, 0, 0, 0.1])
    assert [search._similar(0, rank) for rank in (0, 1, 2)] == [2, 1, None]


def test_a_task_that_cannot_be_put_into_a_state_is_refused():
    pendulum = demos.record(Uniform("Pendulum-v1"), "Pendulum-v1", 1, 5, 1)
    with pytest.raises(Unreachable, match="Pendulum-v1 cannot be put into a demonstrated state"):
        with_actions("Pendulum-v1", pendulum.observations_only(), 200)


def test_another_physics_is_refused(toy_demos):
    # states in another order, between which no action leads
    mixed = tuple(
        dataclasses.replace(t, obs=np.random.default_rng(0).permutation(t.obs)) for t in toy_demos.observations_only()
    )
    shown = dataclasses.replace(toy_demos, trajectories=mixed)
    with pytest.raises(Unreachable, match=r"of 400 demonstrated pairs of states 400 could be tried .* another physics"):
        with_actions(envs.TOY_ID, shown, 50)


def test_states_in_which_an_episode_would_have_ended_are_refused(toy_demos, monkeypatch):
    monkeypatch.setattr(reaching, "put", lambda env, state: None)
    with pytest.raises(Unreachable, match=r"of 400 demonstrated pairs of states 0 could be tried .* for 0 an action"):
        with_actions(envs.TOY_ID, toy_demos.observations_only(), 200)


def test_other_guesses_are_tried_only_for_what_was_not_found(toy_demos, monkeypatch):
    search, tried = Search(envs.TOY_ID, toy_demos.observations_only(), 100_000), []
    similar, solve, hard = Search._similar, reaching.least_squares, {3, 40}

    def noted(self, row, rank):
        tried.append((row, rank))
        return similar(self, row, rank)

    def solved(miss, action):  # two pairs do not come out at first
        row, rank = tried[-1]
        return (action, 1.0) if row in hard and rank == 0 else solve(miss, action)

    monkeypatch.setattr(Search, "_similar", noted)
    monkeypatch.setattr(reaching, "least_squares", solved)
    search.run()
    assert [row for row, rank in tried if rank == 0] == list(range(len(search.miss)))
    assert search.share == 1 and [(row, rank) for row, rank in tried if rank > 0] == [(3, 1), (40, 1)]


def test_a_class_of_ones_own_is_put_back_by_its_positions_and_velocities():
    # features of its own step include contact forces, cut off at 1, from which no state is put back
    told = with_actions(MY_ANT, demos.record(Uniform(MY_ANT), MY_ANT, 2, 5, 1).observations_only(), 200)
    assert told.meta["actions_found"] > 0.5


class MyAnt(AntEnv):
    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, 2 * reward, terminated, truncated, info


MY_ANT = "reaching/MyAnt-v0"
gymnasium.register(MY_ANT, MyAnt, max_episode_steps=50)
