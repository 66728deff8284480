import pytest
import torch

from gail_suite.learning.shown.moments import Moments


def drawn(moments, time, n=4000):
    rows = moments.draw(torch.full((n,), float(time)), torch.Generator().manual_seed(0))
    return torch.bincount(rows, minlength=len(moments.times)) / n


def test_rows_in_reach_are_drawn_equally_often():
    # one episode of 6 steps, reach 1: at time 3 the rows shown at 2, 3 and 4; at time 0 those at 0 and 1
    moments = Moments(torch.arange(6.0), 1)
    assert torch.allclose(drawn(moments, 3), torch.tensor([0, 0, 1, 1, 1, 0]) / 3, atol=0.03)
    assert torch.allclose(drawn(moments, 0), torch.tensor([1, 1, 0, 0, 0, 0]) / 2, atol=0.03)


def test_every_trajectory_shown_at_that_time_counts():
    # two trajectories, of 2 and of 4 steps: at time 1, reach 0, row 1 of the first and row 1 of the second (index 3)
    moments = Moments(torch.tensor([0.0, 1, 0, 1, 2, 3]), 0)
    assert torch.allclose(drawn(moments, 1), torch.tensor([0, 1, 0, 1, 0, 0]) / 2, atol=0.03)


@pytest.mark.parametrize(("time", "row"), [(9, 0), (24, 0), (26, 0), (70, 1), (71, 2), (500, 2)])
def test_where_nothing_is_in_reach_the_nearest_moment_counts(time, row):
    # every 40th pair from the 10th: shown at 10, 50 and 90; by hand |26 - 10| = 16 < |50 - 26| = 24, and 70 lies
    # between two
    moments = Moments(torch.tensor([10.0, 50.0, 90.0]), 5)
    assert drawn(moments, time, 50)[row] == 1


def test_for_times_as_demonstrated_every_row_is_drawn_nearly_as_often():
    # an agent whose episodes last as long as the expert's: the interior rows have weight 1/100 each, to sampling error
    moments = Moments(torch.arange(100.0), 5)
    times = torch.arange(100.0).repeat(500)
    share = torch.bincount(moments.draw(times, torch.Generator().manual_seed(1)), minlength=100) / len(times)
    assert torch.allclose(share[10:90], torch.full((80,), 0.01), atol=0.002)
