import numpy as np
import pytest
import torch

from gail_suite.learning.replay import Replay, Window


def window(rewards, terminated, alive, gamma_features=0.0):
    n = len(rewards)
    next_features = torch.arange(1.0, n + 1).view(1, n, 1)
    zeros = torch.zeros(1, n, 1)
    return Window(
        zeros, zeros, next_features, torch.tensor([rewards]), torch.tensor([terminated]), torch.tensor([alive])
    )


def test_full_window_by_hand():
    # rewards 1, 2, 3 and gamma 0.5: 1 + 0.5*2 + 0.25*3 = 2.75; bootstrap from s_3 with 0.5^3 = 0.125
    w = window([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    returns, discount, bootstrap = w.returns(w.rewards, 0.5)
    assert returns.item() == 2.75 and discount.item() == 0.125 and bootstrap.item() == 3.0


def test_termination_cuts_the_bootstrap_and_truncation_does_not():
    # the episode ends with the second step: 1 + 0.5*2 = 2; the third step belongs to the next episode
    ended = window([1.0, 2.0, 100.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0])
    returns, discount, _ = ended.returns(ended.rewards, 0.5)
    assert returns.item() == 2.0 and discount.item() == 0.0
    # the same cut by a time limit: bootstrap from the true last observation s_2 with 0.5^2
    cut = window([1.0, 2.0, 100.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    returns, discount, bootstrap = cut.returns(cut.rewards, 0.5)
    assert returns.item() == 2.0 and discount.item() == 0.25 and bootstrap.item() == 2.0


def filled(rows, capacity=64, n_envs=2, episode=5):
    """Features count time per environment, so that windows can be checked for contiguity."""
    replay = Replay(capacity, n_envs, 1, 1)
    for t in range(rows):
        now = np.full((n_envs, 1), t, np.float32)
        done = np.full(n_envs, (t + 1) % episode == 0, np.float32)
        replay.add(now, now, now + 1, np.full(n_envs, t), np.zeros(n_envs), done)
    return replay


@pytest.mark.parametrize("rows", [7, 32, 50, 131])
def test_windows_are_contiguous_and_stop_at_episode_ends(rows):
    replay = filled(rows)
    w = replay.sample(500, 3, torch.Generator().manual_seed(0))
    t = w.features[:, :, 0]
    assert torch.equal(t[:, 1:] - t[:, :-1], torch.ones(500, 2))
    assert t.min() >= max(0, rows - 32) and t.max() <= rows - 1
    # by hand: step k is alive unless an earlier step of the window has (t + 1) % 5 == 0
    ends = (t + 1) % 5 == 0
    assert torch.equal(
        w.alive, torch.stack([torch.ones(500), (~ends[:, 0]).float(), (~ends[:, 0] & ~ends[:, 1]).float()], 1)
    )


def test_recent_restricts_to_the_newest():
    w = filled(30).sample(300, 1, torch.Generator().manual_seed(0), recent=10)
    assert w.features.min() == 25 and w.features.max() == 29


def test_too_few_steps_is_a_clear_error():
    with pytest.raises(ValueError, match="cannot draw 3-step windows from 2 stored steps"):
        filled(2).sample(4, 3, torch.Generator())


@pytest.mark.parametrize("rows", [10, 50])
def test_state_round_trip_draws_the_same(rows):
    old, new = filled(rows), Replay(64, 2, 1, 1)
    new.load_state(old.state())
    a, b = (r.sample(50, 3, torch.Generator().manual_seed(1)) for r in (old, new))
    assert len(old) == len(new) and torch.equal(a.features, b.features) and torch.equal(a.alive, b.alive)


def with_ends(rows, ends, n_envs=2, capacity=64):
    """Features count time; (time, environment) pairs in `ends` terminate."""
    replay = Replay(capacity, n_envs, 1, 1)
    for t in range(rows):
        now = np.full((n_envs, 1), t, np.float32)
        ended = np.array([(t, env) in ends for env in range(n_envs)], np.float32)
        replay.add(now, now + np.arange(n_envs)[:, None] / 10, now + 1, np.full(n_envs, t), ended, ended)
    return replay


def test_a_share_of_windows_leads_to_terminations():
    replay = with_ends(30, {(25, 1)})
    w = replay.sample(400, 3, torch.Generator().manual_seed(0), before_ends=300)
    t, env = w.features[:300, 0, 0], w.actions[:300, 0, 0] - w.features[:300, 0, 0]
    assert torch.allclose(env, torch.full((300,), 0.1), atol=1e-5)  # the environment that ended, alone
    # by hand: 20 starts, from 25 - 19 = 6 up to the terminating step itself
    assert sorted(set(t.int().tolist())) == list(range(6, 26))
    assert torch.equal(w.terminated[:300].sum(1) > 0, t >= 23)
    assert w.features[300:, 0, 0].min() < 6  # the rest is uniform


def test_what_leads_to_an_end_stays_inside_what_is_stored():
    replay = with_ends(40, {(9, 0), (39, 1)})  # 32 rows are kept: 8 to 39
    t = replay.sample(400, 3, torch.Generator().manual_seed(0), before_ends=400).features[:, 0, 0]
    assert t.min() == 8 and t.max() == 37  # the last window of three begins at 37


def test_ends_that_were_overwritten_are_forgotten():
    replay = with_ends(60, {(9, 0)})  # 32 rows are kept: 28 to 59
    draws = [replay.sample(50, 3, torch.Generator().manual_seed(2), before_ends=k).features for k in (0, 40)]
    assert torch.equal(*draws) and not replay.ends


def test_without_a_share_or_an_end_nothing_changes():
    for replay in (with_ends(30, {(25, 1)}), with_ends(30, set())):
        draws = [replay.sample(50, 3, torch.Generator().manual_seed(2), before_ends=k).features for k in (0, 40)]
        assert torch.equal(*draws) == (not replay.ends)


def test_terminations_survive_a_checkpoint():
    old, new = with_ends(40, {(20, 0), (33, 1)}), Replay(64, 2, 1, 1)
    new.load_state(old.state())
    a, b = (r.sample(50, 3, torch.Generator().manual_seed(1), before_ends=25) for r in (old, new))
    assert torch.equal(a.features, b.features) and list(new.ends) == [(20, 0), (33, 1)]
