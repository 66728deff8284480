import dataclasses

import numpy as np
import pytest
import torch

from demos.trajectory import Demonstrations, Trajectory
from gail_suite.priors.fitting import LEAST, inputs, picture, shuffled, split
from gail_suite.priors.prior import fit_prior
from gail_suite.priors.typicality import TypicalityBonus, rank, rank_among, typicality

QUICK = {
    "gmm": {"n_components": 4},
    "ae": {"steps": 80, "latent": 4},
    "vae": {"steps": 150, "latent": 4},
    "gan": {"steps": 100},
    "pixelcnn": {"steps": 40, "features": 8, "layers": 2},
}


def foreign(toy_demos, seed=0):
    """Transitions whose s' belong to other states than their s."""
    t = toy_demos.transitions()
    order = np.random.default_rng(seed).permutation(len(t))
    return dataclasses.replace(t, next_obs=t.next_obs[order], obs=t.obs + 1.0)


@pytest.mark.parametrize("model", QUICK)
def test_scores_are_calibrated_on_rows_that_were_held_out_and_low_elsewhere(toy_demos, model):
    prior = fit_prior(toy_demos, model, **QUICK[model])
    held = typicality(prior, split(toy_demos)[1])
    assert np.median(held) >= 0.99 and held.max() <= 1 and held.min() > 0
    # by definition 5 % of the held-out rows score under exp(-1)
    assert np.mean(held < np.exp(-1)) == pytest.approx(0.05, abs=0.02)
    assert typicality(prior, foreign(toy_demos)).mean() < 0.6 * held.mean()


def test_a_tail_keeps_the_order_and_tells_far_from_farther(toy_demos):
    exponential, heavy = (fit_prior(toy_demos, "gmm", n_components=4, **more) for more in ({}, {"tail": 0.25}))
    t = toy_demos.transitions()
    rows = dataclasses.replace(t, next_obs=t.next_obs + np.linspace(0, 1, len(t))[:, None])  # ever farther off
    far, found = -np.log(typicality(exponential, rows).astype(float)), typicality(heavy, rows)
    inside = far < 80  # beyond, the exponential is out of numbers
    assert 0 < inside.mean() < 1
    np.testing.assert_allclose(found[inside], (1 + far[inside]) ** -0.25, rtol=1e-3)
    assert len(np.unique(found[~inside])) > 0.9 * sum(~inside) and found[~inside].min() > 0.05
    assert np.median(typicality(heavy, split(toy_demos)[1])) >= 0.99
    with pytest.raises(ValueError, match=r"tail=-1\.0 must be a number above 0"):
        fit_prior(toy_demos, "gmm", tail=-1)


def test_held_out_rows_are_whole_trajectories_or_blocks_of_the_only_one(toy_demos):
    fitted, held = split(toy_demos)
    np.testing.assert_array_equal(held.obs, toy_demos[3:].transitions().obs)
    assert len(fitted) + len(held) == toy_demos.n_pairs
    one = toy_demos[:1]
    fitted, held = split(one)
    rows, block = one.transitions().obs, one.n_pairs // 50
    assert len(fitted) + len(held) == one.n_pairs and abs(len(held) - one.n_pairs / 5) <= 5 * block
    np.testing.assert_array_equal(fitted.obs[: 4 * block], rows[: 4 * block])  # the start is known
    np.testing.assert_array_equal(held.obs[:block], rows[4 * block : 5 * block])
    with pytest.raises(ValueError, match="5 pairs are too few"):
        split(one.subsample(20))


def test_shuffled_keeps_each_column_and_breaks_rows():
    x = torch.arange(60.0).view(20, 3)
    y = shuffled(x, 0)
    assert torch.equal(y.sort(0).values, x)
    assert (y[:, 1] - y[:, 0] != 1).any()


@pytest.mark.parametrize("control", ["untrained", "shuffled"])
def test_controls_know_the_expert_less(toy_demos, control):
    held = split(toy_demos)[1]
    off = dataclasses.replace(held, next_obs=held.next_obs + 0.15 * np.array([1, -1, 1], np.float32))
    gap = {
        c: typicality(p, held).mean() - typicality(p, off).mean()
        for c in (None, control)
        for p in [fit_prior(toy_demos, "gmm", n_components=4, control=c)]
    }
    assert gap[control] < 0.5 * gap[None]
    # the scale is the same: calibrated on the true rows
    assert np.median(typicality(fit_prior(toy_demos, "gmm", n_components=4, control=control), held)) >= 0.99


def test_a_picture_of_a_transition(toy_demos):
    prior = fit_prior(toy_demos, "pixelcnn", **QUICK["pixelcnn"])
    x = inputs(prior, toy_demos.transitions())
    # two rows, (s, a) above (s', middle): 3 + 2 columns
    assert x.shape == (toy_demos.n_pairs, 1, 2, 5)
    assert torch.equal(x[:, 0, 1, 3:], picture(np.zeros((1, 1, 2))).expand(len(x), -1, -1, -1)[:, 0, 0])
    # full thrust along x is an action of 1, the largest grey; standardised numbers beyond the reach are cut off
    assert torch.equal(x[:, 0, 0, 3], torch.ones(len(x)))
    assert picture(np.array([[[-9.0, 9.0]]])).flatten().tolist() == [0.0, 1.0]


def test_potential_by_hand(toy_demos):
    prior = fit_prior(toy_demos, "gmm", n_components=2, states=True)
    t = toy_demos.transitions()
    t = dataclasses.replace(t, terminated=np.arange(len(t)) == 0)
    phi_next = typicality(prior, t)
    phi = typicality(prior, dataclasses.replace(t, next_obs=t.obs))
    expected = 0.9 * phi_next - phi
    expected[0] = -phi[0]
    np.testing.assert_allclose(TypicalityBonus(prior, 0.9, potential=True)(t), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="fit it with --set states=true"):
        TypicalityBonus(fit_prior(toy_demos, "gmm", n_components=2), 0.9, potential=True)


def test_a_constant_scores_everything_the_same(toy_demos):
    prior = fit_prior(toy_demos, "constant", value=0.7)
    assert set(typicality(prior, toy_demos.transitions()).tolist()) == {np.float32(0.7)}


def test_rank_finds_the_foreign_trajectory(toy_demos):
    prior = fit_prior(toy_demos, "gmm", n_components=4)
    shaken = toy_demos[1]
    shaken = Trajectory(
        shaken.obs + 0.5 * np.random.default_rng(0).standard_normal(shaken.obs.shape),
        shaken.acts,
        shaken.rews,
        False,
        True,
    )
    mixed = Demonstrations((toy_demos[0], shaken, toy_demos[2]), toy_demos.meta)
    ranked = rank(prior, mixed)
    assert ranked[0].index == 1 and [r.foreign for r in ranked] == [True, False, False]
    with pytest.raises(ValueError, match="the demonstrations are of Other"):
        rank(prior, Demonstrations((shaken,), {"env_id": "Other"}))


def test_a_prior_knows_how_far_the_trajectories_that_it_held_out_differ(toy_demos):
    from gail_suite.priors import typicality as module

    twelve = Demonstrations(tuple(toy_demos) * 3, toy_demos.meta)
    prior = fit_prior(twelve, "gmm", n_components=4)
    means = np.array([float(typicality(prior, twelve[i : i + 1].transitions()).mean()) for i in (9, 10, 11)])
    assert prior.settings["held_out_least"] == pytest.approx(module._least(means))
    assert not any(r.foreign for r in rank(prior, twelve[9:]))
    lower = dataclasses.replace(prior, settings=prior.settings | {"held_out_least": 2.0})
    assert all(r.foreign for r in rank(lower, twelve[:2]))
    assert "held_out_least" not in fit_prior(toy_demos, "gmm", n_components=4).settings  # one held out says no spread


@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_odd_one_is_found_among_the_demonstrations_themselves(toy_demos, place):
    odd = dataclasses.replace(
        toy_demos[0], obs=toy_demos[0].obs + 0.2 * np.random.default_rng(0).standard_normal(toy_demos[0].obs.shape)
    )
    several = list(toy_demos)
    several.insert(place, odd)
    mixed = Demonstrations(tuple(several), toy_demos.meta)
    ranked = rank_among(mixed)
    assert [r.index for r in ranked if r.foreign] == [place] == [ranked[0].index]
    assert sorted(r.index for r in ranked) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="2 trajectories have no odd one among them"):
        rank_among(toy_demos[:2])


def test_short_episodes_of_one_expert_are_not_foreign():
    from gail_suite.priors import typicality

    # means of eight episodes of one policy on the toy task, as measured; 0.75 of the median would call three foreign
    alike = np.array([0.688, 0.258, 0.538, 0.211, 0.277, 0.737, 0.888, 0.912])
    # by hand: of 0.8, 0.82, 0.84 and 0.9 the median is 0.83, the median distance 0.02, so 0.83 - 3 * 1.4826 * 0.02
    assert typicality._least(np.array([0.8, 0.82, 0.84, 0.9])) == pytest.approx(min(0.75 * 0.83, 0.83 - 0.088956))
    assert typicality._least(np.array([0.5, 0.7, 0.9])) == pytest.approx(0.7 - 3 * 1.4826 * 0.2)
    assert not any(mean < typicality._least(np.delete(alike, i)) for i, mean in enumerate(alike))
    assert 0.03 < typicality._least(np.array([0.84, 0.9, 0.95, 1.0]))  # the spoiled Ant of docs/priors.md


def test_many_trajectories_are_scored_by_priors_of_the_other_groups(toy_demos, monkeypatch):
    from gail_suite.priors import typicality

    several = Demonstrations(tuple(toy_demos[i % 4] for i in range(10)), toy_demos.meta)
    sizes = []
    monkeypatch.setattr(typicality, "fit_prior", lambda rest, *words, **more: sizes.append((len(rest), rest.n_pairs)))
    monkeypatch.setattr(typicality, "_mean_typicality", lambda prior, one: 1.0)
    shown = several.subsample(5)
    assert len(rank_among(shown)) == 10
    assert [n for n, _ in sizes] == [8, 8, 9, 9, 9, 9, 9, 9]
    assert max(pairs for _, pairs in sizes) < shown.n_pairs  # of what is shown, not of the whole trajectories


def test_a_split_counts_the_pairs_that_are_shown(toy_demos):
    few = toy_demos.subsample(max(len(t) for t in toy_demos) // 8)
    assert LEAST <= few.n_pairs < 2 * LEAST
    assert all(len(part) >= few.n_pairs // 6 for part in split(few))
    held = split(few)[1]
    assert {tuple(row) for row in held.obs} != {
        tuple(row) for row in few[3:].transitions().obs
    }  # blocks of all, not the last trajectory


def test_a_split_that_leaves_a_side_without_rows_is_made_by_blocks(toy_demos):
    whole = toy_demos[0]
    short = Trajectory(whole.obs[:4], whole.acts[:3], whole.rews[:3], False, True)
    for several in ((short, whole), (whole, short)):
        fitted, held = split(Demonstrations(several, toy_demos.meta))
        assert len(fitted) + len(held) == len(whole) + 3 and len(held) > 15
