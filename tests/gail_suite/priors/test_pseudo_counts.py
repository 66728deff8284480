import math

import numpy as np
import pytest
import torch

import envs
from demos.trajectory import Transitions
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.replay import Window
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.features import Features
from gail_suite.priors.pseudo_counts import Constant, ExploringReward, PseudoCounts, coarse_picture, pseudo_count_bonus
from gail_suite.runs.checkpoint import load_parts


def at(*points):
    obs = np.array(points, float)
    return Transitions(obs, np.zeros_like(obs), obs, np.zeros(len(obs), bool))


def counts(seed=0):
    return PseudoCounts(np.zeros(2), np.ones(2), levels=6, lr=5e-3, features=8, seed=seed)


def test_pseudo_count_by_hand():
    # c n^(-1/2) PG = 0.1 / 2 * 2 = 0.1, N = 1 / (e^0.1 - 1) = 9.5, bonus = N^(-1/2)
    found = pseudo_count_bonus(np.array([-3.0, -1.0]), np.array([-1.0, -2.0]), n=4)
    np.testing.assert_allclose(found, [math.sqrt(math.exp(0.1) - 1), 0.0])


def test_coarse_picture_lights_one_cell_a_number():
    x = coarse_picture(np.array([[0.0, 1.0], [0.5, -9.0]]), np.zeros(2), np.ones(2), 4)
    assert x.shape == (2, 1, 2, 4)
    assert x[0, 0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert x[1, 0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_a_new_place_is_worth_more_than_a_familiar_one():
    bonus = counts()
    first = bonus(at([0.1, 0.1], [0.1, 0.1]))[0]
    for _ in range(40):
        familiar = bonus(at([0.1, 0.1], [0.1, 0.1]))[0]
    new = bonus(at([0.1, 0.1], [0.9, 0.9]))
    assert familiar < 0.5 * first
    assert new[1] > 3 * new[0]


def test_the_last_level_of_a_row_is_judged_by_all_the_others():
    bonus = PseudoCounts(np.zeros(2), np.ones(2), features=8)
    dark = torch.zeros(1, 1, 2, bonus.levels)
    with torch.no_grad():
        for level in range(bonus.levels - 1):
            lit = dark.clone()
            lit[0, 0, 0, level] = 1
            assert not torch.equal(bonus.net(lit, None)[0, 0, 0, -1], bonus.net(dark, None)[0, 0, 0, -1])


def test_a_picture_wider_than_the_network_sees_is_refused():
    with pytest.raises(
        ValueError, match="2 layers see 5 pixels to the left, a picture of 10 levels has 9: give more layers"
    ):
        PseudoCounts(np.zeros(2), np.ones(2), levels=10)


def test_counting_leaves_the_global_generator_alone_and_goes_on_from_its_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a, b = counts(), counts(seed=1)
    assert torch.equal(before, torch.get_rng_state())
    for _ in range(5):
        a(at([0.1, 0.7]))
    b.load_state({k: v.copy() for k, v in a.state().items()})
    np.testing.assert_array_equal(a(at([0.3, 0.7])), b(at([0.3, 0.7])))


def loop(bonus, run_dir=None):
    config = LoopConfig(
        n_envs=4, updates_per_step=0.1, warm_up=100, capacity=2000, eval_every=10_000, checkpoint_every=100
    )
    features = Features(np.arange(2), np.full(2, 0.5, np.float32), np.full(2, 0.3, np.float32))
    sac = SACConfig(hidden=(16,), batch_size=16)
    return OffPolicyLoop(envs.SPARSE_ID, features, ExploringReward(1.0, 0.5), sac, config, 0, run_dir, bonus=bonus)


def test_the_loop_pays_the_bonus_and_resumes_with_its_memory(tmp_path):
    whole = loop(counts(), tmp_path / "whole")
    whole.train(200)
    part = loop(counts(), tmp_path / "part")
    save = part.save

    def save_then_die():
        save()
        raise SystemExit

    part.save = save_then_die
    try:
        part.train(200)
    except SystemExit:
        part = loop(counts(seed=3), tmp_path / "part")
        part.load(load_parts(tmp_path / "part/checkpoints"))
    assert part.steps == 100
    part.train(200)
    n = whole.replay.written
    assert torch.equal(whole.replay.bonus[:n], part.replay.bonus[:n]) and whole.replay.bonus[:n].max() > 0
    window = whole.replay.sample(8, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(whole.objective.rewards(window), window.rewards + 0.5 * window.bonus)


def test_curiosity_fades():
    reward = ExploringReward(2.0, 0.5, 0.1)
    reward.set_progress(0.5)
    zeros = torch.zeros(1, 1, 1)
    w = Window(
        zeros, zeros, zeros, torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 1), bonus=torch.full((1, 1), 2.0)
    )
    # 2 * 1 + (0.5 + 0.1) / 2 * 2 = 2.6
    torch.testing.assert_close(reward.rewards(w), torch.full((1, 1), 2.6))


def test_constant():
    assert Constant(0.25)(at([0.1, 0.1], [0.2, 0.2])).tolist() == [0.25, 0.25]
