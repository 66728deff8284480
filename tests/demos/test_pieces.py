import math

import numpy as np
import pytest

import demos
import envs
from demos.pieces import pieces, said_pieces
from demos.trajectory import Trajectory


def steps(n, terminated=False, truncated=False, begin=0.0):
    return Trajectory(begin + np.arange(n + 1.0)[:, None], np.zeros((n, 1)), np.ones(n), terminated, truncated)


def test_what_stops_is_a_piece_and_so_is_what_goes_on_from_it():
    # limit 10: a whole fall, two pieces of a run that falls 3 steps later, a stop, another episode, one at the limit
    run = [steps(4), steps(4, begin=4.0), steps(3, terminated=True, begin=8.0)]
    shown = [steps(3, terminated=True), *run, steps(2, begin=50.0), steps(5, truncated=True, begin=9.0), steps(10)]
    piece, before = pieces(shown, 10)
    assert piece.tolist() == [False, True, True, True, True, False, False]
    assert before.tolist() == [0, 0, 4, 8, 0, 0, 0]
    assert said_pieces(shown, 10) == (
        "3 of 7 episodes neither end nor reach the limit of 10, and 1 go on where such a one stops: taken for pieces, "
        "whose returns are no episode's; set terminated/truncated where they are whole"
    )
    assert not pieces(shown, None)[0].any() and said_pieces(shown, None) is None  # nobody knows what is whole


def as_file(path, trajectories, **more):
    np.savez(
        path,
        obs=np.concatenate([t.obs for t in trajectories]),
        acts=np.concatenate([t.acts for t in trajectories]),
        rews=np.concatenate([t.rews for t in trajectories]),
        lengths=[len(t) for t in trajectories],
        env_id=envs.TOY_ID,
        **more,
    )
    return path


def test_pieces_are_told_on_import_and_noted_by_verify(tmp_path, toy_demos, cut):
    file = as_file(tmp_path / "x.npz", cut(toy_demos[0], 10))
    with pytest.warns(UserWarning, match="10 of 10 episodes neither end nor reach the limit of 100: taken for pieces"):
        d = demos.from_npz(file)
    d.save(tmp_path / "d")
    report = demos.verify(tmp_path / "d")
    assert report.ok and any("10 of 10 episodes neither end nor reach" in note for note in report.notes)


def test_whole_episodes_without_flags_stay_what_they_are(tmp_path, toy_demos):
    d = demos.from_npz(as_file(tmp_path / "x.npz", toy_demos))  # a warning would be an error
    assert d.lengths.tolist() == [100] * 4 and not any(t.truncated for t in d)
    assert not demos.verify(d.save(tmp_path / "d")).notes
    assert math.isfinite(d.returns.mean())
