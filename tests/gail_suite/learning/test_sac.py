import copy
import math

import pytest
import torch

from gail_suite.learning.replay import Window
from gail_suite.learning.sac import SAC, SACConfig, bc_loss


def random_window(n=1, batch=32, features=3, actions=2, terminated=0.0):
    g = torch.Generator().manual_seed(0)
    return Window(
        torch.randn(batch, n, features, generator=g),
        torch.rand(batch, n, actions, generator=g) * 2 - 1,
        torch.randn(batch, n, features, generator=g),
        torch.ones(batch, n),
        torch.full((batch, n), terminated),
        torch.ones(batch, n),
    )


def small(**kwargs):
    torch.manual_seed(0)
    return SAC(3, 2, SACConfig(hidden=(32, 32), batch_size=32, n_step=1, **kwargs))


def test_the_critic_learns_the_return_of_terminal_steps():
    # every step pays 1 and terminates, so Q = 1 whatever the target network says
    sac, window, generator = small(critic_lr=1e-2), random_window(terminated=1.0), torch.Generator().manual_seed(0)
    for _ in range(100):
        sac.update(window, window.rewards, generator)
    q = sac.critic(window.features[:, 0], window.actions[:, 0])
    assert (q - 1).abs().max() < 0.1


def test_targets_are_clipped_to_the_bounds():
    sac, window, generator = small(), random_window(), torch.Generator().manual_seed(0)
    info = sac.update(window, 1000 * window.rewards, generator, target_bounds=(0.0, 7.0))
    assert info["target_mean"].item() == 7.0


def test_burn_in_and_delay_decide_when_the_actor_moves():
    sac, window, generator = small(burn_in=4, actor_delay=2), random_window(), torch.Generator().manual_seed(0)
    before = copy.deepcopy(sac.actor.state_dict())
    moved = []
    for _ in range(7):
        sac.update(window, window.rewards, generator)
        moved.append(any((v != before[k]).any().item() for k, v in sac.actor.state_dict().items()))
        before = copy.deepcopy(sac.actor.state_dict())
    # updates 1..7: the actor moves on even ones after the 4th
    assert moved == [False, False, False, False, False, True, False]


def test_target_network_moves_by_tau():
    sac, window = small(tau=0.25), random_window()
    old = [p.clone() for p in sac.target.parameters()]
    sac.update(window, window.rewards, torch.Generator().manual_seed(0))
    for before, target, online in zip(old, sac.target.parameters(), sac.critic.parameters(), strict=True):
        torch.testing.assert_close(target, before + 0.25 * (online - before))


def test_temperature_falls_while_the_entropy_is_above_its_target():
    sac, window, generator = (
        small(tune_alpha=True, target_entropy=-20.0),
        random_window(),
        torch.Generator().manual_seed(0),
    )
    for _ in range(10):
        info = sac.update(window, window.rewards, generator)
    assert info.get("alpha", sac.log_alpha.exp()).item() < 0.02


def test_learning_rates_decay_linearly_from_decay_start():
    sac = small(lr_final=0.1, decay_start=0.5, critic_lr=1.0)
    rates = []
    for fraction in (0.0, 0.5, 0.75, 1.0):
        sac.set_progress(fraction)
        rates.append(sac.optimisers["critic"].param_groups[0]["lr"])
    # 1, 1, halfway between 1 and 0.1, 0.1
    assert rates == pytest.approx([1.0, 1.0, 0.55, 0.1])


def test_averaging_rate_falls_with_the_learning_rates_and_follows_by_hand():
    sac = small(average_rate=0.5, average_rate_final=0.1, decay_start=0.5, actor_delay=1, burn_in=0)
    window, generator = random_window(), torch.Generator().manual_seed(0)
    rates = []
    for fraction in (0.0, 0.75, 1.0):
        sac.set_progress(fraction)
        rates.append(sac.average_rate)
    assert rates == pytest.approx([0.5, 0.3, 0.1])
    before = [p.clone() for p in sac.averaged.parameters()]
    sac.update(window, window.rewards, generator)
    assert not all(torch.equal(b, raw) for b, raw in zip(before, sac.actor.parameters(), strict=True))
    for was, raw, now in zip(before, sac.actor.parameters(), sac.averaged.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.1 * (raw - was))


def test_the_temperature_follows_the_target_entropy():
    def temperature(offset):
        sac = small(tune_alpha=True, target_entropy=0.0, actor_delay=1)
        window = random_window()
        sac.update(window, window.rewards, torch.Generator().manual_seed(0), entropy_offset=offset)
        return sac.log_alpha.item()

    # the entropy of the fresh actor is near 0
    assert temperature(100.0) > math.log(small().config.alpha) > temperature(-100.0)


def test_actor_penalty_pulls_towards_the_expert():
    sac, window, generator = small(actor_lr=1e-2), random_window(), torch.Generator().manual_seed(0)
    x, a = window.features[:, 0], torch.full((32, 2), 0.5)
    before = bc_loss(sac.actor, x, a).item()
    for _ in range(100):
        sac.update(
            window, 0 * window.rewards, generator, actor_penalty=lambda actor, sample: (10 * bc_loss(actor, x, a), {})
        )
    assert bc_loss(sac.actor, x, a).item() < 0.1 * before


def test_state_round_trip_goes_on_bit_for_bit():
    window, config = random_window(), {"tune_alpha": True}
    first = small(**config)
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        first.update(window, window.rewards, generator)
    second = small(**config)
    second.load_state(first.state())
    clone = torch.Generator()
    clone.set_state(generator.get_state())
    for _ in range(5):
        first.update(window, window.rewards, generator)
        second.update(window, window.rewards, clone)
    assert all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b))
        for a, b in zip(first.state().values(), second.state().values(), strict=True)
    )
