import dataclasses

import numpy as np
import pytest

from gail_suite.priors.sight import SIZE, Sight, fit_sight, toy_frames


def test_a_frame_shows_place_and_motion():
    frames = toy_frames(np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.9, 0.0, 0.0], [0.0, 2.0, 1.0]]))
    assert frames.shape == (4, 1, *SIZE) and 0 <= frames.min() and frames.max() <= 1
    still, fast, high, rising = frames[:, 0]
    assert fast.sum() > 2 * still.sum()  # a streak
    assert still.max(1).argmax() > high.max(1).argmax()  # up is y
    assert rising[SIZE[0] // 2 + 1 :].sum() > fast[SIZE[0] // 2 + 1 :].sum()  # it comes from below


def test_sight_knows_the_expert_from_a_point_that_dawdles_or_drifts(toy_demos):
    sight = Sight(fit_sight(toy_demos, steps=150))
    t = toy_demos.transitions()
    expert = sight(t)
    assert np.median(expert) >= 0.9 and expert.max() <= 1
    slow = dataclasses.replace(t, next_obs=t.next_obs * np.array([1, 0, 1]))
    aside = dataclasses.replace(t, next_obs=t.next_obs + np.array([0.6, 0, 0]))
    # the expert starts slowly itself, so dawdling is rare, not foreign
    assert sight(slow).mean() < 0.9 * expert.mean() and sight(aside).mean() < 0.5 * expert.mean()


def test_mistakes(toy_demos):
    with pytest.raises(ValueError, match="give at least 2"):
        fit_sight(toy_demos[:1])
    with pytest.raises(ValueError, match="unknown model 'vea': did you mean 'vae'"):
        fit_sight(toy_demos, model="vea")
