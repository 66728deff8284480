from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from gail_suite.learning.policies.keeping import Shortlist
from gail_suite.learning.policies.policy import LearnedPolicy


def offered(constants: dict[str, np.ndarray], values: list[float]) -> list[bool]:
    shortlist = Shortlist(constants, "nearest", 2)
    return [shortlist.offer(value, policy(i)) for i, value in enumerate(values, 1)]


def policy(i: int) -> LearnedPolicy:
    held = SimpleNamespace(tensors={"w": np.full(2, i, np.float32)}, meta={"env_steps": 10 * i, "updates": i})
    return cast(LearnedPolicy, held)


def test_the_best_policies_lie_among_the_constants() -> None:
    constants = {"clone.w": np.ones(1)}
    assert offered(constants, [0.5, 0.1, 0.3, 0.4, 0.3]) == [True, True, True, False, False]
    again = Shortlist({name: value.copy() for name, value in constants.items()}, "nearest", 2)
    assert [(one.value, one.steps, one.updates) for one in again.found] == [(0.1, 20, 2), (0.3, 30, 3)]
    assert [one.tensors["w"].tolist() for one in again.found] == [[2, 2], [3, 3]]
    assert again.waited == 2 and constants["clone.w"] == 1


def test_nothing_kept_is_nothing() -> None:
    empty = Shortlist({}, "nearest", 2)
    assert empty.found == [] and empty.waited == 0


def test_of_policies_as_good_as_can_be_the_latest_are_kept_when_asked() -> None:
    shortlist = Shortlist({}, "nearest", 2, latest=True)
    assert [shortlist.offer(value, policy(i)) for i, value in enumerate((0.0, 0.0, 0.0, 0.1))] == [True] * 3 + [False]
    assert [one.steps for one in shortlist.found] == [20, 10] and shortlist.waited == 1
    still = Shortlist({}, "nearest", 2, latest=True)
    assert [still.offer(0.1, policy(i)) for i in range(3)] == [True, True, False]
