import dataclasses

import numpy as np
import pytest
import torch

import demos
import envs
from gail_suite.learning.pairs import Shown, demo_pairs
from gail_suite.learning.reaching import RANDOM_PASSES, REACHED, Reaching, least_squares


class Uniform:
    """Actions at random, a quarter of the entries at a bound."""

    def __init__(self, env_id):
        self.env_id, self.act_dim, self.rng = env_id, envs.spec(env_id).act_dim, np.random.default_rng(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.rng.uniform(-1.33, 1.33, (len(observation), self.act_dim)).clip(-1, 1).astype(np.float32), None


def shown(env_id, demonstrations):
    return Shown.of(env_id, demonstrations.observations_only(), True), demo_pairs(env_id, demonstrations)[1].actions


def test_least_squares_stops_at_the_bounds():
    # by hand: (a - 3)^2 + (a + b - 0.5)^2 over [-1, 1]^2: a = 1 and b = -0.5, which misses the first by 2
    action, far = least_squares(lambda u: np.array([u[0] - 3, u.sum() - 0.5]), np.zeros(2))
    np.testing.assert_allclose(action, [1, -0.5], atol=1e-6)
    assert far == pytest.approx(2)


def test_actions_of_the_toy_are_found_and_lead_on(toy_demos):
    s, true = shown(envs.TOY_ID, toy_demos)
    search = Reaching(envs.TOY_ID, s, 100_000)
    search.search(np.zeros(true.shape, np.float32))
    assert search.share == 1 and np.abs(search.told(np.zeros(true.shape)) - true.numpy().clip(-1, 1)).max() < 1e-3
    spent = search.spent
    search.search(np.zeros(true.shape, np.float32))  # nothing is left to find
    assert search.spent == spent


@pytest.mark.parametrize(("env_id", "episodes"), [("Hopper-v5", 12), ("Swimmer-v5", 1)])
def test_actions_of_a_simulation_are_found_from_observations(env_id, episodes):
    recorded = demos.record(Uniform(env_id), env_id, episodes, 5, 1)
    s, true = shown(env_id, recorded)
    search = Reaching(env_id, s, 20_000)
    search.search(np.zeros(true.shape, np.float32))
    found = search.miss < REACHED
    assert search.share > 0.8
    assert (torch.from_numpy(search.actions)[found] - true[found].clip(-1, 1)).abs().mean() < 0.01


def test_velocities_that_an_observation_cuts_off_are_carried_on():
    # Hopper shows velocities up to 10; cut off at 1, most rows hold one, and the simulation has to remember it
    recorded = demos.record(Uniform("Hopper-v5"), "Hopper-v5", 12, 5, 4)
    s, true = shown("Hopper-v5", recorded)
    assert s.states is not None
    states = s.states.copy()
    states[:, 5:] = states[:, 5:].clip(-1, 1)
    lost = np.abs(states[:, 5:]).max(1) >= 1
    assert lost.mean() > 0.5
    search = Reaching("Hopper-v5", dataclasses.replace(s, states=states), 20_000)
    search.search(np.zeros(true.shape, np.float32))
    found = search.miss < REACHED
    assert found[lost].mean() > 0.5
    assert (torch.from_numpy(search.actions)[found] - true[found].clip(-1, 1)).abs().mean() < 0.01


def test_the_budget_is_kept_and_what_was_not_searched_is_the_guess(toy_demos):
    s, true = shown(envs.TOY_ID, toy_demos)
    guesses = np.full(true.shape, 0.25, np.float32)
    for budget in (0, 50):
        search = Reaching(envs.TOY_ID, s, budget)
        search.search(guesses)
        assert search.spent <= budget + 20  # a search that has begun is finished
        assert (search.told(guesses)[-1] == 0.25).all() and (search.share > 0) == (budget > 0)


def test_a_task_that_cannot_be_put_into_a_state_keeps_the_guesses():
    pendulum = demos.record(Uniform("Pendulum-v1"), "Pendulum-v1", 1, 5, 1)
    s, true = shown("Pendulum-v1", pendulum)
    search, guesses = Reaching("Pendulum-v1", s, 1000), np.full(true.shape, 0.25, np.float32)
    search.search(guesses)
    assert (search.told(guesses) == 0.25).all() and search.share == 0


def test_a_search_from_a_checkpoint_goes_on_as_if_nothing_had_happened(toy_demos):
    s, true = shown(envs.TOY_ID, toy_demos)
    whole, guesses = Reaching(envs.TOY_ID, s, 200), np.zeros(true.shape, np.float32)
    whole.search(guesses)
    again = Reaching(envs.TOY_ID, s, 400)
    again.load_state(whole.state())
    whole.budget = 400
    for one in (whole, again):
        one.search(guesses)
    assert all(np.array_equal(a, again.state()[name]) for name, a in whole.state().items())


def test_random_starts_are_tried_once_and_new_guesses_again(toy_demos, monkeypatch):
    s, true = shown(envs.TOY_ID, toy_demos)
    search, tried = Reaching(envs.TOY_ID, s, 1000), []

    def one_pass(self, env, states, guesses):
        tried.append(guesses)
        self.spent += 1

    monkeypatch.setattr(Reaching, "_pass", one_pass)
    for value in (0.0, 0.5):
        search.search(np.full(true.shape, value, np.float32))
    assert len(tried) == 1 + RANDOM_PASSES + 1 and (tried[-1] == 0.5).all()
