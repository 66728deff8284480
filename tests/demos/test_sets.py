"""Demonstrations as data: sums, slices, parts; nothing is lost or invented, and every set says where it comes from."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import demos
from demos import Demonstrations, Trajectory
from demos.sets import distinct, merge, split


def toy(*values: float, **meta: object) -> Demonstrations:
    """One trajectory of two steps a value, which is its return."""
    trajectories = [
        Trajectory(np.full((3, 2), v), np.zeros((2, 1)), np.full(2, v / 2), True, False, seed=i)
        for i, v in enumerate(values)
    ]
    return Demonstrations(tuple(trajectories), {"env_id": "Toy-v0", **meta})


def test_a_sum_keeps_trajectories_and_provenance() -> None:
    a, b = toy(1, 2, seed=0, expert="x", source="f"), toy(3, seed=5, expert="x")
    both = a + b
    assert both.returns.tolist() == [1, 2, 3] and [*both] == [*a, *b]
    assert both.meta == {
        "env_id": "Toy-v0",
        "expert": "x",
        "parts": [{"seed": 0, "source": "f", "n_episodes": 2}, {"seed": 5, "n_episodes": 1}],
    }
    assert merge([a]).meta == a.meta
    assert merge([a, b, a]).meta == ((a + b) + a).meta == (a + (b + a)).meta


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="env_id Toy-v0 and Other-v0 do not belong together"):
        toy(1) + toy(1, env_id="Other-v0")
    with pytest.raises(ValueError, match="physics_fingerprint aa and bb do not"):
        toy(1, physics_fingerprint="aa") + toy(1, physics_fingerprint="bb")
    assert len(toy(1, physics_fingerprint="aa", env_kwargs={}) + toy(1)) == 2  # imported data know no fingerprint
    with pytest.raises(ValueError, match="env_kwargs"):
        toy(1, env_kwargs={"a": 1}) + toy(1)
    with pytest.raises(ValueError, match="every 1th and every 2th pair"):
        toy(1) + toy(1).subsample(2)
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])
    with pytest.raises(TypeError):
        operator.add(toy(1), [1])


def test_slices_say_which_episodes_they_are() -> None:
    whole = toy(*range(6))
    part = whole[1:5][1:]
    assert part.returns.tolist() == [2, 3, 4] and part.meta["episodes"] == [2, 3, 4]
    assert whole[:].meta == whole.meta and whole[::-1].meta["episodes"] == [5, 4, 3, 2, 1, 0]
    assert whole.take(2, seed=1)[1:].meta["episodes"] == whole.take(2, seed=1).meta["take"]["episodes"][1:]
    again = part + toy(9)
    assert [p.get("episodes") for p in again.meta["parts"]] == [[2, 3, 4], None]
    assert [p["n_episodes"] for p in (again[1:] + toy(9)).meta["parts"]] == [3, 1]


def test_where_and_distinct() -> None:
    whole = toy(1, 5, 2, 5, 4)
    kept = whole.where(whole.returns >= 4, min_return=4)
    assert kept.returns.tolist() == [5, 5, 4] and kept.meta["filter"] == {"min_return": 4}
    assert kept.meta["episodes"] == [1, 3, 4]
    assert distinct(kept).meta["episodes"] == [1, 4] and distinct(whole[:2]).meta == whole[:2].meta
    with pytest.raises(ValueError, match="none of the 5 trajectories is kept"):
        whole.where(whole.returns > 9)
    with pytest.raises(ValueError, match=r"\(2,\) answers for 5 trajectories"):
        whole.where([True, False])


@settings(deadline=None)
@given(st.integers(2, 30), st.floats(0.0, 1.0), st.integers(0, 2**31))
def test_split_laws(n: int, fraction: float, seed: int) -> None:
    whole = toy(*range(n))
    if not 0 < round(fraction * n) < n:
        with pytest.raises(ValueError, match="leaves one part empty"):
            split(whole, fraction, seed)
        return
    first, rest = whole.split(fraction, seed)
    assert len(first) == round(fraction * n)
    assert sorted([*first.returns, *rest.returns]) == list(range(n))
    assert first.returns.tolist() == sorted(first.returns)  # in the order they were recorded
    assert first.meta["split"] == {"fraction": fraction, "seed": seed}
    assert whole.split(fraction, seed)[0].returns.tolist() == first.returns.tolist()


def test_a_merged_set_is_stored_and_read(tmp_path) -> None:
    both = toy(1, 2, seed=0) + toy(3, seed=1)
    found = demos.load(both.save(tmp_path / "both"))
    assert found.meta == both.meta and found.returns.tolist() == both.returns.tolist()
    with pytest.raises(ValueError, match="one trajectory cannot be split"):
        found[:1].split(0.5)


def test_numbers_of_a_part_are_not_those_of_the_whole() -> None:
    a, b = toy(1, 2, 3)[:2], toy(4, 5, 6)[:2]
    both = a + b
    assert "episodes" not in both.meta and [part["episodes"] for part in both.meta["parts"]] == [[0, 1], [0, 1]]
    assert both[1:].returns.tolist() == [2, 4, 5] and both[1:].meta["episodes"] == [1, 2, 3]
    old = Demonstrations(tuple(both), {**both.meta, "episodes": [0, 1]})  # as it was written until 2026-11-30
    assert old[2:].returns.tolist() == [4, 5] and old[2:].meta["episodes"] == [2, 3]
    assert sum(len(part) for part in split(old, 0.5)) == 4
