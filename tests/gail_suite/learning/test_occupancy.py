import math

import numpy as np
import pytest
import torch

from demos.trajectory import Trajectory
from gail_suite.learning.features import Features
from gail_suite.learning.occupancy import demonstrated, energy_distance, thinned, visited, with_absorbing
from gail_suite.learning.pairs import Pairs

UNIT = Features(np.arange(2), np.zeros(2, np.float32), np.ones(2, np.float32))


def test_energy_distance_by_hand():
    # X is 0 or 1, Y always 3: E|X-Y| = 2.5, E|X-X'| = 0.5, E|Y-Y'| = 0, so 2 * 2.5 - 0.5 = 4.5
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert energy_distance(x, y) == pytest.approx(4.5)
    assert energy_distance(x, x) == pytest.approx(0.0)


def test_time_after_an_early_end_is_spent_in_an_absorbing_state():
    # two features: absorbing rows lie at (0, 0, sqrt(4)) = (0, 0, 2)
    rows = with_absorbing(torch.ones(3, 2), 2)
    assert rows.tolist() == [[1, 1, 0]] * 3 + [[0, 0, 2]] * 2


def test_only_ends_of_the_task_are_absorbing():
    def episode(steps, terminated):
        return Trajectory(np.ones((steps + 1, 2)), np.zeros((steps, 1)), np.zeros(steps), terminated, not terminated)

    # horizon 5: the fall after 2 steps leaves 3 steps to absorb, the one cut by time after 4 none
    rows = visited([episode(2, True), episode(4, False)], UNIT, 5)
    assert len(rows) == 2 + 4 + 3 and int((rows[:, -1] > 0).sum()) == 3


@pytest.mark.parametrize(("stride", "absorbing"), [(1, 8), (2, 4)])
def test_a_demonstrated_end_counts_as_one(stride, absorbing):
    # shown at 0, k, 2k, ... up to step 1 (k = 1) or 2 (k = 2): by hand, with horizon 10, (9 - 1) / 1 = 8; (9 - 2) / 2 =
    # 3.5, 4 rounded
    times = torch.arange(2.0) * stride
    pairs = Pairs(torch.zeros(2, 2), torch.zeros(2, 1), torch.zeros(2, 2), torch.tensor([0.0, 1.0]))
    assert int((demonstrated(pairs, times, 10)[:, -1] > 0).sum()) == absorbing


def test_an_early_end_is_far_from_a_whole_episode():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(1000, 5, generator=generator)
    whole, near = with_absorbing(states, 0), with_absorbing(torch.randn(1000, 5, generator=generator), 0)
    fallen = with_absorbing(states[:500], 500)
    assert energy_distance(near, whole) < 0.01 and energy_distance(fallen, whole) > 0.1


def test_thinning_keeps_both_ends_and_at_most_so_many():
    rows = thinned(torch.arange(10_000.0)[:, None])
    assert len(rows) == 3000 and rows[0] == 0 and rows[-1] == 9999 and math.isclose(rows.mean(), 4999.5, abs_tol=1)
