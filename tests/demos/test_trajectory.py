import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos import Demonstrations, Trajectory


def counting(steps, start=0, terminated=True):
    """obs = start, start + 1, ...; acts = obs + 0.5; reward 2 a step."""
    obs = np.arange(start, start + steps + 1, dtype=float)[:, None]
    return Trajectory(obs, obs[:-1] + 0.5, np.full(steps, 2.0), terminated, not terminated)


def toy(*lengths, terminated=True):
    return Demonstrations(tuple(counting(t, 100 * i, terminated) for i, t in enumerate(lengths)), {"env_id": "Toy-v0"})


def test_arrays_are_float32_and_read_only():
    obs = np.zeros((3, 2))
    trajectory = Trajectory(obs, np.zeros((2, 1), int), [1, 2], np.True_, False)
    assert {a.dtype for a in (trajectory.obs, trajectory.acts, trajectory.rews)} == {np.dtype(np.float32)}
    assert trajectory.terminated is True and len(trajectory) == 2 and trajectory.episode_return == 3.0
    with pytest.raises(ValueError, match="read-only"):
        trajectory.obs[0, 0] = 1
    obs[0, 0] = 1  # the caller's own array stays writable


@pytest.mark.parametrize(
    "change, message",
    [
        ({"obs": np.zeros((2, 3))}, "has 2 observations, 2 actions, 2 rewards: T >= 1 steps need T + 1 observations"),
        ({"rews": np.zeros(3)}, "has 3 observations, 2 actions, 3 rewards"),
        ({"obs": np.zeros((1, 3)), "acts": np.zeros((0, 1)), "rews": []}, "has 1 observations, 0 actions, 0 rewards"),
        (
            {"acts": np.zeros(2)},
            "acts has shape (2,), and it must have a row a step, (T, 1) for one number; acts.reshape(-1, 1) gives it",
        ),
        (
            {"rews": np.zeros((2, 1))},
            "rews has shape (2, 1), and it must have one number a step, (T,); rews.reshape(-1) gives it",
        ),
        ({"rews": np.zeros((2, 2))}, "rews has shape (2, 2), and it must have one number a step, (T,)"),
        ({"rews": np.array([0, np.nan])}, "trajectory rews holds 1 NaN or Inf, the first at step 1"),
        ({"obs": np.full((3, 3), 1e300)}, "trajectory obs holds 9 numbers too large for float32, the first at step 0"),
        ({"acts": np.array([["a"], ["b"]])}, "trajectory acts has type <U1: it must hold real numbers"),
        ({"acts": np.zeros((2, 1), object)}, "trajectory acts has type object"),
    ],
)
def test_bad_trajectories_are_refused(change, message):
    good = {"obs": np.zeros((3, 3)), "acts": np.zeros((2, 1)), "rews": np.zeros(2)}
    with pytest.raises(ValueError, match=re.escape(message)):
        Trajectory(**{**good, **change}, terminated=False, truncated=True)


def test_a_sequence_with_numbers():
    demonstrations = toy(3, 5)
    assert len(demonstrations) == 2 and demonstrations[1] is list(demonstrations)[1]
    assert demonstrations.env_id == "Toy-v0" and demonstrations.n_pairs == 8
    np.testing.assert_array_equal(demonstrations.returns, [6.0, 10.0])
    np.testing.assert_array_equal(demonstrations.lengths, [3, 5])
    assert len(demonstrations[:1]) == 1 and demonstrations[-1] is demonstrations[1]
    assert repr(demonstrations) == "Demonstrations(Toy-v0: 2 trajectories, 8 pairs, return 8.00 +- 2.00)"


def test_bad_demonstrations_are_refused():
    with pytest.raises(ValueError, match="hold no trajectory: record at least one"):
        Demonstrations((), {"env_id": "Toy-v0"})
    with pytest.raises(ValueError, match=r"need meta\['env_id'\]"):
        Demonstrations((counting(2),))
    wide = Trajectory(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros(2), True, False)
    with pytest.raises(ValueError, match=r"different \(observation, action\) widths \[\(1, 1\), \(2, 1\)\]"):
        Demonstrations((counting(2), wide), {"env_id": "Toy-v0"})
    with pytest.raises(ValueError, match="stride 0"):
        Demonstrations((counting(2),), {"env_id": "Toy-v0"}, stride=0)


def test_transitions_by_hand():
    pairs = toy(2, 3).transitions()
    np.testing.assert_array_equal(pairs.obs[:, 0], [0, 1, 100, 101, 102])
    np.testing.assert_array_equal(pairs.acts[:, 0], [0.5, 1.5, 100.5, 101.5, 102.5])
    np.testing.assert_array_equal(pairs.next_obs[:, 0], [1, 2, 101, 102, 103])
    np.testing.assert_array_equal(pairs.terminated, [False, True, False, False, True])
    assert not toy(2, 3, terminated=False).transitions().terminated.any()  # truncation is no termination
    assert len(pairs) == 5


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(2, 25), st.integers(0, 2**31))
def test_subsample_laws(lengths, k, seed):
    whole = toy(*lengths)
    part = whole.subsample(k, seed)
    pairs = part.transitions()
    assert len(pairs) == part.n_pairs and len(part) == len(whole) and part.stride == k
    np.testing.assert_array_equal(pairs.next_obs, pairs.obs + 1)  # the true next observation, not the next kept one
    episode = pairs.obs[:, 0] // 100
    for i, length in enumerate(lengths):
        kept = pairs.obs[episode == i, 0] - 100 * i
        assert kept[0] < k and (np.diff(kept) == k).all() and kept[-1] + k >= length  # none left out, at least one kept
        assert pairs.terminated[episode == i].any() == (kept[-1] == length - 1)
    np.testing.assert_array_equal(part.transitions().obs, whole.subsample(k, seed).transitions().obs)


def test_which_pairs_follow_one_another():
    whole = Demonstrations((counting(3), counting(2)), {"env_id": "Toy-v0"})
    assert whole.follows().tolist() == [False, True, True, False, True]
    assert not whole.subsample(2, seed=0).follows().any()


def test_subsample_offsets_differ_and_the_paper_protocol_counts():
    part = toy(*[1000] * 4).subsample(20, seed=0)
    assert part.n_pairs == 200 and len(set(part.offsets)) > 1  # 4 trajectories, every 20th pair: 200 pairs (GAIL paper)
    assert "200 pairs (every 20th)" in repr(part)
    assert part.meta["subsample"] == {"k": 20, "seed": 0}
    assert part.take(2, seed=1).n_pairs == 100 and part[1:].offsets == part.offsets[1:]
    assert toy(7).subsample(1).n_pairs == 7
    with pytest.raises(ValueError, match="already subsampled to every 20th pair"):
        part.subsample(2)
    with pytest.raises(ValueError, match="cannot keep every 0th pair"):
        toy(3).subsample(0)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**31))
def test_take_laws(n, seed):
    whole = toy(*range(1, 9))
    chosen = whole.take(n, seed)
    lengths = chosen.lengths.tolist()
    assert len(set(lengths)) == n and set(lengths) <= set(range(1, 9))  # without replacement
    assert lengths == whole.take(8, seed).lengths.tolist()[:n]  # nested: more demonstrations contain the fewer
    assert chosen.meta["take"]["n"] == n and [whole[i] for i in chosen.meta["take"]["episodes"]] == list(chosen)


def test_observations_only():
    whole = toy(2, 3)
    seen = whole.observations_only()
    pairs, full = seen.transitions(), whole.transitions()
    assert (whole.has_actions, seen.has_actions) == (True, False)
    assert pairs.acts is None and len(pairs) == 5 and seen.lengths.tolist() == [2, 3] and seen[0].widths == (1, None)
    for name in ("obs", "next_obs", "terminated"):
        np.testing.assert_array_equal(getattr(pairs, name), getattr(full, name))
    np.testing.assert_array_equal(seen.returns, whole.returns)
    assert seen.take(1).subsample(2, seed=0).transitions().acts is None
    with pytest.raises(ValueError, match="5 pairs hold observations only, without actions: behaviour cloning"):
        _ = pairs.actions
    np.testing.assert_array_equal(full.actions, full.acts)
    with pytest.raises(
        ValueError, match=r"widths \[\(1, 1\), \(1, None\)\]: keep those of one environment, all with actions"
    ):
        Demonstrations((whole[0], seen[1]), whole.meta)
    with pytest.raises(ValueError, match="3 observations, no actions, 1 rewards"):
        Trajectory(np.zeros((3, 1)), None, np.zeros(1), True, False)


def test_rows_of_transitions():
    pairs = toy(2, 3).transitions().rows(np.array([4, 0]))
    assert pairs.obs[:, 0].tolist() == [102, 0] and pairs.actions[:, 0].tolist() == [102.5, 0.5]
    assert pairs.terminated.tolist() == [True, False]
    assert toy(2).observations_only().transitions().rows(np.array([1])).acts is None


def test_take_refuses():
    with pytest.raises(ValueError, match="cannot take 3 of 2 trajectories: choose 1 to 2, or record more"):
        toy(3, 4).take(3)
    with pytest.raises(ValueError, match="cannot take 0 of 2"):
        toy(3, 4).take(0)
