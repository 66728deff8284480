import math

import numpy as np
import pytest
import torch

from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.algorithms.gail_onpolicy import DiscriminatorConfig, PairDiscriminator
from gail_suite.learning.replay import Window
from gail_suite.learning.rewards.discriminators import BottleneckDiscriminator, make_discriminator
from gail_suite.learning.rewards.dual import Dual, gaussian_kl
from gail_suite.learning.rewards.learned_reward import LearnedReward, load_reward, save_reward
from gail_suite.learning.rewards.losses import gail_loss
from gail_suite.learning.shown.features import Features
from gail_suite.learning.shown.pairs import Pairs
from gail_suite.priors.bottleneck import bottlenecked, discriminator_from_vae
from gail_suite.priors.prior import fit_prior
from generative.latent.vae import VAE


def test_kl_of_gaussians_by_hand():
    # 1/2 (1^2 + 4 - 1 - log 4) + 1/2 (0 + 1 - 1 - 0) = 2 - log 2
    kl = gaussian_kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[math.log(4.0), 0.0]]))
    assert kl.item() == pytest.approx(2 - math.log(2))


def test_dual_moves_by_the_clipped_relative_violation_and_stays_positive():
    dual = Dual(target=0.5, rate=0.1)
    dual.step(0.6)  # 20 % too much
    assert dual.beta == pytest.approx(0.02)
    dual.step(50.0)  # a hundred times too much moves by one rate
    assert dual.beta == pytest.approx(0.12)
    dual.step(0.0), dual.step(0.0)
    assert dual.beta == 0.0


def test_dual_ascent_holds_the_information_at_its_limit():
    # two overlapping classes of 10 inputs: without the limit the encoder would tell several nats
    limit, generator = 0.3, torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net, dual = BottleneckDiscriminator(10, 4, 32, 1), Dual(limit, 1e-2)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3, fused=True)
    shift = torch.zeros(10).index_fill_(0, torch.tensor([0]), 1.0)
    held = []
    for _ in range(800):
        x = torch.cat([shift + torch.randn(64, 10, generator=generator), torch.randn(64, 10, generator=generator)])
        logits, kl = net.training_logits(x, generator)
        loss, _ = gail_loss(*logits.chunk(2))
        optimiser.zero_grad()
        (loss + dual.penalty(kl.mean())).backward()
        optimiser.step()
        held.append(kl.mean().item())
    assert sum(held[-300:]) / 300 == pytest.approx(limit, rel=0.1)


class Drawn:
    """A replay of agent pairs from a normal that overlaps with the expert's."""

    ends = ()

    def sample(self, n, steps, generator, recent=None):
        x = torch.randn(n, 1, 12, generator=generator)
        zeros = torch.zeros(n, 1)
        return Window(x[..., :10], x[..., 10:], x[..., :10], zeros, zeros, zeros + 1)


def test_both_trainers_hold_the_information_at_its_limit():
    shift, generator = torch.zeros(2000, 10).index_fill_(1, torch.tensor([0]), 1.0), torch.Generator().manual_seed(0)
    features, actions, limit = (
        shift + torch.randn(2000, 10, generator=generator),
        torch.randn(2000, 2, generator=generator),
        0.3,
    )
    expert = Pairs(features, actions, features, torch.zeros(2000))
    torch.manual_seed(0)
    off_policy = Adversary(
        expert,
        AdversaryConfig(
            hidden=(32,), latent=4, lr=3e-3, batch_size=64, every=1, bottleneck=limit, gradient_penalty=0.0
        ),
        64,
        0.9,
    )
    config = DiscriminatorConfig(
        hidden=(32,), latent=4, lr=3e-3, batch_size=64, updates=1, bottleneck=limit, gradient_penalty=0.0
    )
    on_policy = PairDiscriminator(expert, config, seed=0)
    agent = Pairs(
        torch.randn(2000, 10, generator=generator),
        torch.randn(2000, 2, generator=generator),
        features,
        torch.zeros(2000),
    )
    for update in (lambda: off_policy.update(Drawn(), generator), lambda: on_policy.update(agent, None)):
        nats = [float(update()["disc_nats"]) for _ in range(800)]
        assert np.mean(nats[-300:]) == pytest.approx(limit, rel=0.1)


@pytest.mark.parametrize("control", ["untrained", "shuffled"])
def test_a_controls_vae_is_not_the_priors(toy_demos, control):
    sizes = {"latent": 3, "hidden": 16, "layers": 1, "steps": 200}
    prior, other = (fit_prior(toy_demos, "vae", "bottleneck", control=c, **sizes) for c in (None, control))
    pairs = torch.randn(50, 5)
    means = [p.model.net.posterior(pairs, None)[0] for p in (prior, other)]
    assert (means[0] - means[1]).abs().max() > 0.1
    if (
        control == "untrained"
    ):  # nothing moved: it does not tell one pair from another by more than its weights as drawn do
        again = fit_prior(toy_demos, "vae", "bottleneck", control=control, **sizes | {"steps": 20})
        assert torch.equal(again.model.net.posterior(pairs, None)[0], means[1])


def test_every_parameter_of_the_bottleneck_gets_a_gradient():
    net = BottleneckDiscriminator(5, 3, 16, 2)
    logits, kl = net.training_logits(torch.randn(32, 5), torch.Generator().manual_seed(0))
    (gail_loss(*logits.chunk(2))[0] + kl.mean()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_reward_reads_the_mean_and_learning_reads_samples():
    net, x = BottleneckDiscriminator(5, 3, 16, 2), torch.randn(4, 5)
    expected = net.head(net.posterior(x)[0]).squeeze(-1)
    torch.testing.assert_close(net(x), expected)
    samples = torch.stack([net.training_logits(x, torch.Generator().manual_seed(k))[0] for k in range(500)])
    # w.z + b is normal about the logit of the mean; 5 standard errors of 500 draws
    assert ((samples.mean(0) - expected).abs() < 5 * samples.std(0) / math.sqrt(500)).all()
    assert (samples.std(0) > 0.01).all()


def test_an_encoder_from_a_vae_is_its_posterior():
    x = torch.randn(200, 6) * torch.tensor([1.0, 5.0, 0.2, 1.0, 1.0, 1.0]) + 3
    vae = VAE(latent=3, hidden=16, layers=2).fit(x, steps=20, seed=0, progress=False)
    # the run sees the same columns in another order and other units: x = y @ matrix + shift
    matrix, shift = torch.eye(6)[[5, 0, 1, 2, 3, 4]] * 2, torch.arange(6.0)
    net = discriminator_from_vae(vae, matrix, shift)
    for ours, theirs in zip(
        net.posterior((x - shift) @ torch.linalg.inv(matrix)), vae.net.posterior(x, None), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_dropout_hides_a_share_while_learning_and_nothing_when_asked_for_rewards():
    net, x = make_discriminator(5, (64, 64), dropout=0.5), torch.randn(4, 5)
    assert torch.equal(net(x), net(x))
    draw = [net.training_logits(x, torch.Generator().manual_seed(k))[0] for k in (0, 0, 1)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])


def test_switches_that_contradict_each_other_are_refused():
    for config in (AdversaryConfig, DiscriminatorConfig):  # the same settings, checked in the same place
        with pytest.raises(ValueError, match="both limit the discriminator"):
            config(bottleneck=0.5, dropout=0.1)
        with pytest.raises(ValueError, match=r"dropout must be below 1, got 1.0"):
            config(dropout=1.0)
        for name in ("entropy", "gradient_penalty", "penalty_target", "bottleneck", "lr"):
            with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
                config(**{name: -1})
        for clip in (0, -1):  # a reward that is clipped at 0 says nothing, and its file would not be read
            with pytest.raises(ValueError, match=f"reward_clip must be above 0, got {clip}"):
                config(reward_clip=clip)
        with pytest.raises(ValueError, match="unknown reward 'gial'"):
            config(reward="gial")
    with pytest.raises(ValueError, match=r"a rate above 0, got target=0\.0 nats"):
        Dual(0.0, 0.01)
    with pytest.raises(ValueError, match=r"one width, got hidden=\(8, 4\)"):
        make_discriminator(5, (8, 4), bottleneck=0.5)


def test_a_bottleneck_prior_gives_the_limit_and_refuses_another_beside_it():
    assert bottlenecked(AdversaryConfig(), 0.5).bottleneck == 0.5
    for other in ({"dropout": 0.5}, {"bottleneck": 0.3}):
        with pytest.raises(ValueError, match=r"priors\.bottleneck\.nats=0.5 limits the discriminator"):
            bottlenecked(AdversaryConfig(**other), 0.5)


def pairs(n, seed):
    g = torch.Generator().manual_seed(seed)
    return Pairs(
        torch.randn(n, 3, generator=g) + seed, torch.rand(n, 2, generator=g), torch.zeros(n, 3), torch.zeros(n)
    )


def on_policy(**settings):
    torch.manual_seed(0)
    return PairDiscriminator(
        pairs(50, 0), DiscriminatorConfig(hidden=(16, 16), updates=20, latent=3, **settings), seed=0
    )


@pytest.mark.parametrize("settings", [{"bottleneck": 0.5}, {"dropout": 0.3}])
def test_an_on_policy_discriminator_goes_on_bit_for_bit(settings):
    whole, half = on_policy(**settings), on_policy(**settings)
    agent = pairs(60, 1)
    half.update(agent, None)
    resumed = on_policy(**settings)
    resumed.load_state(half.state())
    for _ in range(2):
        info = whole.update(agent, None)
    resumed.update(agent, None)
    assert ("disc_nats" in info) == ("bottleneck" in settings)
    ours, theirs = resumed.state(), whole.state()
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def test_a_reward_behind_a_bottleneck_is_saved_and_loaded(tmp_path):
    features = Features(np.arange(3), np.zeros(3, np.float32), np.ones(3, np.float32))
    net = make_discriminator(5, (16, 16), 0.5, 4)
    meta = {
        "env_id": "Pendulum-v1",
        "form": "gail",
        "clip": 5.0,
        "hidden": [16, 16],
        "activation": "tanh",
        "state_only": False,
        "bottleneck": 0.5,
        "latent": 4,
    }
    reward = LearnedReward(net, features, -np.ones(2, np.float32), np.ones(2, np.float32), meta)
    x, a = np.random.default_rng(0).standard_normal((7, 3)), np.zeros((7, 2), np.float32)
    again = load_reward(save_reward(reward, tmp_path / "reward"))
    np.testing.assert_array_equal(again(x, a, x, np.zeros(7)), reward(x, a, x, np.zeros(7)))
