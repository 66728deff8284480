"""Episodes that begin where a prior of the expert's states says."""

import numpy as np
import pytest

import envs
from gail_suite.learning.rewards.reward_env import true_next_obs
from gail_suite.priors.prior import fit_prior
from gail_suite.priors.starts import Starts, StartsConfig, sample, starts_of, whole

STATES = np.array([[0.5, 1.0, 0.0], [-0.5, 1.0, 0.0]])


def toys(n: int = 3):
    return envs.make_vec(envs.TOY_ID, n_envs=n, seed=0)


def test_a_share_of_the_environments_begins_there_and_the_others_as_ever():
    plain, some = toys().reset(), Starts(toys(), STATES, 2, 10, 0).reset()
    assert {tuple(row) for row in some[:2]} <= {tuple(row) for row in STATES}
    np.testing.assert_array_equal(some[2], plain[2])


def test_a_rollout_is_cut_as_truncated_with_its_true_last_observation():
    venv, alone = Starts(toys(), STATES[:1], 1, 4, 0), toys(1)
    venv.reset(), alone.reset()
    alone.begin_at(0, STATES[0])
    action = np.array([1.0, -1.0])
    for step in range(1, 9):
        obs, _, done, infos = venv.step(np.tile(action, (3, 1)))
        last = alone.step(action[None])[0]
        assert done.tolist() == [step % 4 == 0, False, False]
        if done[0]:
            np.testing.assert_array_equal(obs[0], STATES[0])
            seen, terminated = true_next_obs(obs, done, infos)
            np.testing.assert_array_equal(seen[0], last[0])  # where the actions led, not where the next rollout begins
            assert not terminated.any()
            alone.begin_at(0, STATES[0])


def test_where_the_task_ends_the_next_rollout_begins_in_a_drawn_state_too():
    venv = Starts(toys(), STATES[:1], 1, 1000, 0)
    venv.reset()
    ended = 0
    for _ in range(60):
        obs, _, done, infos = venv.step(np.tile([1.0, 1.0], (3, 1)))  # off the lane
        if done[0]:
            ended += 1
            np.testing.assert_array_equal(obs[0], STATES[0])
            assert not infos[0]["TimeLimit.truncated"]
    assert ended >= 3


def test_states_that_would_end_at_once_leave_the_tasks_own_start():
    obs = Starts(toys(), np.array([[2.0, 0.0, 0.0]]), 3, 10, 0).reset()
    assert (abs(obs[:, 0]) <= 0.3).all()


def test_the_same_seed_draws_the_same_and_a_saved_one_goes_on():
    def steps(venv, n):
        return np.array([venv.step(np.tile([1.0, 0.3], (3, 1)))[0] for _ in range(n)])

    first, second = (Starts(toys(), STATES, 2, 3, 7) for _ in range(2))
    np.testing.assert_array_equal(first.reset(), second.reset())
    np.testing.assert_array_equal(steps(first, 5), steps(second, 5))
    saved, expected = first.get_state(), steps(first, 20)
    other = Starts(toys(), STATES, 2, 3, 0)
    other.reset()
    other.set_state(saved)
    np.testing.assert_array_equal(steps(other, 20), expected)


@pytest.mark.parametrize(
    ("model", "settings"), [("gmm", {}), ("vae", {"steps": 300}), ("gan", {"steps": 300}), ("pixelcnn", {"steps": 60})]
)
def test_samples_are_like_the_experts_states(toy_demos, model, settings):
    shown = toy_demos.transitions().obs
    drawn = sample(fit_prior(toy_demos, model, "start", seed=0, **settings), 2000, seed=0)
    assert drawn.shape == (2000, 3)
    np.testing.assert_allclose(drawn.mean(0), shown.mean(0), atol=0.5 * shown.std(0).max())
    spread, its_spread = (np.quantile(x[:, 1], 0.9) - np.quantile(x[:, 1], 0.1) for x in (drawn, shown))
    assert 0.6 * its_spread < spread < 2.5 * its_spread  # untrained, the GAN has 0.2 times it and PixelCNN 3 times
    if (
        model != "pixelcnn"
    ):  # whose 16 greys are wider than what goes together here; without training or company it is above -0.1
        assert np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1] < -0.2 > np.corrcoef(shown[:, 0], shown[:, 2])[0, 1]


def test_a_mixture_keeps_what_goes_together_and_shuffled_columns_do_not(toy_demos):
    def correlation(states):
        return np.corrcoef(states[:, 0], states[:, 2])[0, 1]

    shown = toy_demos.transitions().obs
    kept, lost = (
        sample(fit_prior(toy_demos, "gmm", "start", control=c, n_components=1), 4000) for c in (None, "shuffled")
    )
    assert abs(correlation(kept) - correlation(shown)) < 0.15
    assert abs(correlation(lost)) < 0.15 < abs(correlation(shown))


def test_a_share_that_is_no_environment_is_refused(toy_demos):
    with pytest.raises(ValueError, match=r"share=0.1 has none of 3 environments: give it at least 0.333"):
        starts_of(fit_prior(toy_demos, "demonstrated", "start"), StartsConfig(share=0.1), 0, toys())


def test_demonstrated_starts_are_demonstrated_states_and_constant_ones_the_tasks_own(toy_demos):
    shown = {tuple(row) for row in toy_demos.transitions().obs.astype(np.float32)}
    drawn = sample(fit_prior(toy_demos, "demonstrated", "start"), 50).astype(np.float32)
    assert {tuple(row) for row in drawn} <= shown
    own = starts_of(fit_prior(toy_demos, "constant", "start"), StartsConfig(share=1.0, rollout=5), 0, toys())
    np.testing.assert_array_equal(own.reset(), toys().reset())
    assert [own.step(np.zeros((3, 2)))[2].all() for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"control": "shuffled"}, "demonstrated starts have no model"),
        ({"n_components": 2}, "demonstrated starts have no model"),
    ],
)
def test_starts_without_a_model_have_neither_control_nor_settings(toy_demos, settings, words):
    with pytest.raises(ValueError, match=words):
        fit_prior(toy_demos, "demonstrated", "start", **settings)


def test_clipped_states_are_no_starts():
    obs = np.random.default_rng(0).normal(0, 6, (200, 17)).astype(np.float32)
    obs[:, 8:] = np.clip(obs[:, 8:], -10, 10)
    kept = whole(obs, np.arange(17))
    assert 0 < len(kept) < 200 and np.abs(kept[:, 8:]).max() < 10
    assert len(whole(obs[:1], np.arange(17))) == 1
