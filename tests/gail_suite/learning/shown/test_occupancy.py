import dataclasses
import math

import numpy as np
import pytest
import torch

import envs
from demos.trajectory import Trajectory
from gail_suite.learning.shown import occupancy
from gail_suite.learning.shown.features import Features
from gail_suite.learning.shown.occupancy import (
    Likeness,
    demonstrated,
    energy_distance,
    halves,
    mean_distance,
    numbered,
    thinned,
    uncertainty,
    visited,
)
from gail_suite.learning.shown.pairs import Pairs, Shown

UNIT = Features(np.arange(2), np.zeros(2, np.float32), np.ones(2, np.float32))


def test_energy_distance_by_hand():
    # X is 0 or 1, Y always 3: E|X-Y| = 2.5, E|X-X'| = 0.5, E|Y-Y'| = 0, so 2 * 2.5 - 0.5 = 4.5
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert energy_distance(x, y) == pytest.approx(4.5)
    assert energy_distance(x, x) == pytest.approx(0.0)


def test_only_ends_of_the_task_take_time():
    def episode(steps, terminated, worst=1.0):
        obs = np.ones((steps + 1, 2))
        obs[1] = worst
        return Trajectory(obs, np.zeros((steps, 1)), np.zeros(steps), terminated, not terminated)

    # horizon 5: the fall after 2 steps takes 3, the one cut by time after 4 none
    states, ended = visited([episode(2, True, worst=-500), episode(4, False)], UNIT, 5)
    # no state is farther than ten standard deviations
    assert states.tolist() == [[1, 1], [-10, -10], *[[1, 1]] * 4] and ended == pytest.approx(3 / 9)


@pytest.mark.parametrize(("stride", "share"), [(1, 8 / 10), (2, 3.5 / 5.5)])
def test_a_demonstrated_end_counts_as_one(stride, share):
    # of a run that knows pairs only, at 0 and k, horizon 10: by hand (9 - 1) / 1 = 8 more pairs, (9 - 2) / 2 = 3.5
    pairs = Pairs(torch.zeros(2, 2), torch.zeros(2, 1), torch.zeros(2, 2), torch.tensor([0.0, 1.0]))
    assert demonstrated(Shown(UNIT, pairs, {}, times=np.arange(2) * stride), 10)[1] == pytest.approx(share)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_ends_that_are_not_among_the_shown_pairs_are_known(toy_demos, stride):
    whole = toy_demos[0]
    cut = dataclasses.replace(
        whole, obs=whole.obs[:31], acts=whole.acts[:30], rews=whole.rews[:30], terminated=True, truncated=False
    )
    part = dataclasses.replace(toy_demos[:2], trajectories=(cut, whole)).subsample(stride, seed=3)
    shown = Shown.of(envs.TOY_ID, part)
    # by hand, horizon 100: one end after 30 steps takes 70 of the demonstrator's 30 + 100 + 70
    assert demonstrated(shown, 100)[1] == pytest.approx(0.35) and shown.ends
    again = Shown.saved({"constants": shown.arrays(), "features": shown.features.state()}, {})
    assert demonstrated(again, 100)[1] == pytest.approx(0.35) and again.ends
    likeness = Likeness(envs.TOY_ID, shown)
    assert likeness.ended == pytest.approx(0.35) and likeness.falls([cut]) == 0


class Still(Likeness):
    """Judges states instead of a policy's."""

    def __init__(self, states, ended, episode=None):
        episode = torch.zeros(len(states), dtype=torch.long) if episode is None else episode
        self.states, self.ended, self.n_shown = thinned(states), ended, int(episode[-1]) + 1
        self.uncertainty, self.spread = uncertainty(states, episode), mean_distance(self.states, self.states)


def test_a_rare_fall_counts_in_proportion(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    judge = Still(torch.randn(1000, 5, generator=generator), 0.0)
    seen = {"states": torch.randn(1000, 5, generator=generator), "ended": 0.0}
    judge.env_id, judge.features, judge.horizon = "", UNIT, 1000
    monkeypatch.setattr(occupancy.demos, "record", lambda *a, **k: [])
    monkeypatch.setattr(occupancy, "visited", lambda *a: (seen["states"], seen["ended"]))
    whole = judge.distance(None, 0)
    assert judge.excess(whole, 5) == 0  # another sample of the same behaviour cannot be told from it
    seen["ended"] = 0.02
    assert judge.distance(None, 0) - whole == pytest.approx(0.02 * judge.spread)
    seen["ended"] = 0.04
    assert judge.distance(None, 0) - whole == pytest.approx(0.04 * judge.spread)
    seen |= {"ended": 0.0, "states": seen["states"] + 1}
    assert judge.excess(judge.distance(None, 0), 5) > 0.5


def test_the_demonstrator_is_near_itself_and_another_is_not():
    generator = torch.Generator().manual_seed(0)
    itself = another = 0
    for _ in range(12):
        judge, other = Still(torch.randn(1000, 5, generator=generator), 0.0), torch.randn(3000, 5, generator=generator)
        itself += judge.near(energy_distance(other, judge.states), 3)
        another += judge.near(energy_distance(other + 0.2, judge.states), 3)
        assert not judge.near(judge.uncertainty, 3)
    assert itself >= 8 and another == 0


def gait(episodes, generator, faster=1.0):
    """Episodes of 50 steps that go somewhere, (N, 3), each from a place of its own."""
    along = torch.linspace(0, 5 * faster, 50).repeat(episodes)
    place = 0.2 * torch.randn(episodes, 1, generator=generator).expand(-1, 50).reshape(-1)
    return torch.stack([along, place, torch.randn(50 * episodes, generator=generator)], 1)


@pytest.mark.parametrize("shown", [2, 4, 5, 8, 10, 11, 20, 100, 400])
def test_of_any_number_of_demonstrations_the_demonstrator_is_near_itself_and_another_is_not(shown):
    generator = torch.Generator().manual_seed(0)
    itself = another = 0
    for _ in range(5):
        judge = Still(gait(shown, generator), 0.0, torch.arange(shown).repeat_interleave(50))
        seen, other = thinned(gait(100, generator)), thinned(gait(100, generator, 1.5))
        itself += judge.near(energy_distance(seen, judge.states), 100)
        another += judge.near(energy_distance(other, judge.states), 100)
        assert judge.excess(energy_distance(other, judge.states), 100) > 0
    assert itself >= 3 and another == 0


def test_the_episodes_of_pairs_are_told_by_their_times():
    assert numbered(torch.tensor([3, 23, 43, 7, 27, 1])).tolist() == [0, 0, 0, 1, 1, 2]
    assert numbered(torch.tensor([5])).tolist() == [0]


def test_a_few_episodes_of_many_demonstrations_are_no_surer_than_they_are():
    judge = Still(torch.randn(100, 2), 0.0, torch.arange(20).repeat_interleave(5))
    judge.uncertainty = 0.3  # by hand: of 20 shown, 5 episodes are a quarter, of 40 nothing is lacking
    assert judge.noise(5) == pytest.approx(1.2) and judge.noise(20) == judge.noise(40) == pytest.approx(0.3)
    assert judge.near(0.59, 5) and not judge.near(0.61, 5) and not judge.near(0.16, 40)
    assert judge.excess(1.5, 5) == pytest.approx(0.3) and judge.excess(0.35, 40) == pytest.approx(0.05)


def test_uncertainty_by_hand():
    one = torch.zeros(40, dtype=torch.long)
    # twenty blocks of one state each: the even ones at 0, the odd at 1: 2 * 1 - 0 - 0
    assert uncertainty(torch.arange(20.0)[:, None] % 2, one[:20]) == pytest.approx(2.0)
    # forty states, blocks of two: 0 and 1 in each
    states = torch.arange(40.0)[:, None] % 2
    assert uncertainty(states, one) == pytest.approx(0.0, abs=1e-6)
    # of two episodes one holds 0 alone, the other 1
    assert uncertainty(torch.arange(40.0)[:, None] // 20, torch.arange(40) // 20) == pytest.approx(2.0)


def test_halves_are_of_episodes_where_there_are_several():
    episode = torch.arange(5).repeat_interleave(7)
    for half in halves(episode):
        assert half.sum() == 14 and half.reshape(5, 7).float().var(1).sum() == 0
    assert len({tuple(half.tolist()) for half in halves(episode)}) > 5
    (half,) = halves(torch.zeros(40, dtype=torch.long))
    assert half.tolist() == 10 * [False, False, True, True]


def test_thinning_keeps_both_ends_and_at_most_so_many():
    rows = thinned(torch.arange(10_000.0)[:, None])
    assert len(rows) == 3000 and rows[0] == 0 and rows[-1] == 9999 and math.isclose(rows.mean(), 4999.5, abs_tol=1)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 19, 39])
def test_few_states_are_two_samples_where_there_are_two(n):
    states = torch.arange(float(n)).unsqueeze(1)
    found = uncertainty(states, torch.zeros(n, dtype=torch.long))
    assert math.isfinite(found) and (found > 0) == (n > 1)


def test_of_few_episodes_one_early_end_is_forgiven(toy_demos):
    likeness = Likeness(envs.TOY_ID, Shown.of(envs.TOY_ID, toy_demos))
    whole = toy_demos[0]

    def cut(n):
        return dataclasses.replace(
            whole, obs=whole.obs[: n + 1], acts=whole.acts[:n], rews=whole.rews[:n], terminated=True, truncated=False
        )

    episodes = [whole, cut(30), cut(10), whole]
    assert [len(t) for t in likeness.but_one_fall(episodes)] == [100, 30, 100]
    assert likeness.but_one_fall([whole, whole]) == [whole, whole]
    likeness.ended = 0.1  # the demonstrator's own episodes end early
    assert likeness.but_one_fall(episodes) == episodes
