"""The episodes that judge policies: no two uses share one."""

import itertools

from gail_suite.runs import seeds

RUNS, EPISODES = 1000, 500
ENDS = {name: first + EPISODES for name, first in vars(seeds).items() if name.isupper()}
ENDS |= {name: ENDS[name] + RUNS for name in ("WAY", "KEEP", "FINAL")}  # of a run's own seed
ENDS["ROUND"] += 1000 * 89  # seeds from 90 on reach what random actions are tried on


def test_no_two_uses_share_an_episode() -> None:
    ranges = sorted((getattr(seeds, name), end) for name, end in ENDS.items())
    assert len(ranges) == 7 and all(one[1] <= other[0] for one, other in itertools.pairwise(ranges))


def test_a_search_by_distance_does_not_measure_on_what_gail_chose_by() -> None:
    assert seeds.DISTANCE not in range(seeds.FINAL, ENDS["FINAL"])
