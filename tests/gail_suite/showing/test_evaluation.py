"""Evaluation: episodes depend on their seeds alone, and statistics of them are what the formulas say."""

import re

import numpy as np
import pytest

import envs
from demos.policy import MlpPolicy
from gail_suite.showing.evaluation import Evaluation, evaluate, said
from gail_suite.showing.stats import bootstrap_interval, iqm, probability_of_improvement, t_interval


def random_policy(obs_dim: int = 3) -> MlpPolicy:
    rng = np.random.default_rng(0)
    tensors = {
        "obs_mean": np.zeros(obs_dim),
        "obs_scale": np.ones(obs_dim),
        "hidden.0.weight": rng.normal(size=(4, obs_dim)),
        "hidden.0.bias": np.zeros(4),
        "mean.weight": rng.normal(size=(2, 4)),
        "mean.bias": np.zeros(2),
        "log_std": np.zeros(2),
        "act_low": -np.ones(2),
        "act_high": np.ones(2),
    }
    return MlpPolicy(tensors, {"env_id": envs.TOY_ID})


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_number_of_environments_does_not_matter(deterministic: bool) -> None:
    runs = [
        evaluate(random_policy(), envs.TOY_ID, n_episodes=7, seed=5, n_envs=n, deterministic=deterministic)
        for n in (1, 3, 7)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.returns, runs[0].returns)
        np.testing.assert_array_equal(other.lengths, runs[0].lengths)
    assert len(set(runs[0].returns.tolist())) == 7


def test_episode_j_has_seed_plus_j() -> None:
    whole = evaluate(envs.toy_expert, envs.TOY_ID, n_episodes=4, seed=10)
    last = evaluate(envs.toy_expert, envs.TOY_ID, n_episodes=2, seed=12)
    np.testing.assert_array_equal(whole.returns[2:], last.returns)


def test_returns_are_those_of_a_plain_loop_over_the_environment() -> None:
    env = envs.make(envs.TOY_ID)
    obs, _ = env.reset(seed=3)
    total, length, done = 0.0, 0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(envs.toy_expert.predict(obs)[0])
        total, length, done = total + float(reward), length + 1, terminated or truncated
    found = evaluate(envs.toy_expert, envs.TOY_ID, n_episodes=1, seed=3)
    assert found.lengths.tolist() == [length]
    assert found.returns[0] == pytest.approx(total, rel=1e-6)  # vector environments hand rewards on in float32


def test_summary_by_hand() -> None:
    found = Evaluation(envs.TOY_ID, np.array([1.0, 3.0]), np.array([10, 30]), 0, True)
    assert (found.return_mean, found.return_sd, found.length_mean, found.n_episodes) == (2.0, 1.0, 20.0, 2)
    # resampling two values gives means 1, 2 and 3 with chances 1/4, 1/2, 1/4, so 95 % spans them all
    assert found.interval() == (1.0, 3.0)
    assert found.score == pytest.approx(envs.normalized_score(envs.TOY_ID, 2.0))
    summary = found.as_dict()
    assert summary["returns"] == [1.0, 3.0] and summary["lengths"] == [10, 30]
    assert summary["score_interval"][1] == pytest.approx(envs.normalized_score(envs.TOY_ID, 3.0))


def test_no_reference_returns_no_score() -> None:
    assert Evaluation("Pendulum-v1", np.ones(2), np.ones(2), 0, True).score is None


def test_user_errors_are_one_line() -> None:
    with pytest.raises(ValueError, match="n_episodes is 0; at least one is needed"):
        evaluate(envs.toy_expert, envs.TOY_ID, n_episodes=0)
    with pytest.raises(ValueError, match=r"observations of shape \(1, 3\) .* reads 5 numbers") as caught:
        evaluate(random_policy(obs_dim=5), envs.TOY_ID, n_episodes=1)
    assert "\n" not in str(caught.value)


def test_iqm_drops_the_outer_quarters() -> None:
    assert iqm(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5  # 4 // 4 = 1 dropped on each side
    assert iqm(np.array([1.0, 5.0, 9.0])) == 5.0  # fewer than four values: nothing is dropped


def test_bootstrap_interval_covers_and_shrinks() -> None:
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(values)
    # the standard error of the mean is sd / sqrt(n); a 95 % interval is about 2 * 1.96 of them wide
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high
    assert bootstrap_interval(np.full(5, 2.0)) == (2.0, 2.0)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval(np.array([]))


def test_bootstrap_of_a_table_resamples_within_tasks() -> None:
    table = np.array([[0.0, 10.0], [0.0, 10.0]])  # two seeds, two tasks: no spread within a task
    assert bootstrap_interval(table, iqm) == (5.0, 5.0)


def test_t_interval_by_hand():
    # sd 1, so half of it is 4.3027 / sqrt(3): the 97.5 % point of Student's t with two degrees of freedom
    assert t_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert t_interval(np.array([1.0])) == (-np.inf, np.inf)


def test_probability_of_improvement_by_hand():
    # pairs (1, 2), (1, 3), (3, 2), (3, 3): one is better, one is a tie
    assert probability_of_improvement(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == 1.5 / 4


def test_unknown_returns_are_null_under_the_same_names():
    known, unknown = (
        Evaluation("CartPole-v1", np.array(returns), np.array([3, 4]), 0, True).as_dict()
        for returns in ([1.0, 2.0], [1.0, np.nan])
    )
    assert known.keys() == unknown.keys() and unknown["return_mean"] is None and unknown["returns"] == []
    assert unknown["lengths"] == [3, 4]


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ([0.91, 0.93], r"return 0\.920 \+- 0\.010 \["),
        ([5000.0, 5100.0], r"return 5050 \+- 50 \["),
        ([0.9, np.nan], "returns unknown, since the task's rewards are not all numbers"),
    ],
)
def test_a_return_is_told_with_the_decimals_of_its_size(returns: list[float], words: str) -> None:
    found = Evaluation(envs.TOY_ID, np.array(returns), np.array([10, 10]), 0, True)
    assert re.search(words, said(found.as_dict()))
