"""Discretised mixtures of logistics: probabilities of levels, and PixelCNN with them."""

import itertools

import torch

import generative as g
from generative.autoregressive.causal_sampling import sample_cached, sample_plain
from generative.autoregressive.logistics import LogisticsNet, level_logits, log_bins, log_conditionals, mixture, numbers


def random_mixture(shape: tuple[int, ...], seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return mixture(2 * torch.randn(*shape, numbers(4, 3), generator=generator, dtype=torch.float64), 3)


def test_the_bins_of_a_logistic_sum_to_one():
    grid = torch.linspace(-1, 1, 17, dtype=torch.float64)
    for centre, log_scale in ((0.0, -1.0), (0.9, -5.0), (-3.0, 1.0)):
        p = log_bins(grid, torch.tensor(centre).double(), torch.tensor(log_scale).double(), 17).exp()
        torch.testing.assert_close(p.sum(), torch.tensor(1.0).double())
    # the bin of 0 under the standard logistic is sigma(1/16) - sigma(-1/16)
    half = torch.tensor(1 / 16).double()
    expected = torch.sigmoid(half) - torch.sigmoid(-half)
    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(log_bins(grid, zero, zero, 17)[8].exp(), expected)


def test_a_pixel_of_three_channels_sums_to_one():
    every = torch.tensor(list(itertools.product(range(5), repeat=3)))
    x = every.double() / 2 - 1
    m = random_mixture((1,))
    total = (
        log_conditionals(type(m)(*(t.expand(len(x), *t.shape[1:]) for t in vars(m).values())), x, 5).sum(1).exp().sum()
    )
    torch.testing.assert_close(total, torch.tensor(1.0).double())


def test_the_logits_of_all_levels_are_the_conditionals():
    x = torch.randint(5, (7, 3), generator=torch.Generator().manual_seed(1))
    values, m = x.double() / 2 - 1, random_mixture((7,))
    chosen = level_logits(m, values, 5).log_softmax(-1).gather(-1, x[..., None])[..., 0]
    torch.testing.assert_close(chosen, log_conditionals(m, values, 5))


def test_both_samplers_draw_the_same_and_no_pixel_sees_a_later_one():
    torch.manual_seed(0)
    net = LogisticsNet((3, 3, 4), 6, 0, 6, 1, 3, 2).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.5 * torch.randn_like(p))
        u = torch.rand(2, 3, 3, 4, dtype=torch.float64)
        x = sample_cached(net, u, None)
        assert torch.equal(x, sample_plain(net, u, None)) and len(x.unique()) > 2
        changed = x.clone()
        changed[:, 1, 1, 2] = (changed[:, 1, 1, 2] + 1) % 6
        a, b = (net(t, None).permute(0, 2, 3, 1, 4).flatten(1, 3) for t in (x, changed))
        place = (1 * 4 + 2) * 3 + 1
        assert torch.equal(a[:, : place + 1], b[:, : place + 1]) and not torch.equal(
            a[:, place + 1 :], b[:, place + 1 :]
        )
        own = net(x, None).log_softmax(-1).gather(-1, x[..., None])[..., 0]
        torch.testing.assert_close(own, net.level_log_probs(x, None))


def test_a_fit_on_colours_beats_independent_values(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shade = torch.rand(200, 1, 1, 1, generator=generator)
    x = (255 * (0.1 + 0.8 * shade + 0.02 * torch.randn(200, 3, 4, 4, generator=generator))).round().clamp(0, 255) / 255
    model = g.PixelCNN(logistics=3, features=12, layers=1, lr=1e-2).fit(x[:150], steps=60, progress=False, val=x[150:])
    bits = g.metrics.bits_per_dim(g.metrics.nats(model, x[150:]), 48)
    baseline = g.metrics.independent_nats(g.metrics.independent_values(x[:150], 256), x[150:])
    assert bits < g.metrics.bits_per_dim(baseline, 48) - 1.0
    again = g.load(model.save(tmp_path / "m.safetensors"))
    assert torch.equal(again.log_prob(x[:5]), model.log_prob(x[:5])) and model.sample(2, seed=0).shape == (2, 3, 4, 4)
