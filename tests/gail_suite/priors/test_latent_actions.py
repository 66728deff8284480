import dataclasses
import math

import numpy as np
import pytest
import torch

from demos.policy import MlpPolicy
from demos.trajectory import Demonstrations
from gail_suite.learning.networks import policy_tensors
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.sac import bc_loss
from gail_suite.priors.latent_actions import ActionDecoder, LatentActor, decoder_of
from gail_suite.priors.prior import fit_prior, load_prior


def small_actor(latent=1, act_dim=1, share=0.5, features=2):
    torch.manual_seed(0)
    layers = [(torch.randn(4, latent), torch.randn(4)), (torch.randn(act_dim, 4), torch.zeros(act_dim))]
    return LatentActor(features, act_dim, (8,), ActionDecoder(layers, share))


def test_decoded_action_by_hand():
    # dec(z) = clip(2 relu(z) - 0.5, -1, 1): z = 0.5 -> 0.5, z = 1 -> 1.5 -> 1, z = -1 -> -0.5
    decoder = ActionDecoder([(torch.ones(1, 1), torch.zeros(1)), (torch.full((1, 1), 2.0), torch.tensor([-0.5]))], 0.25)
    wide = torch.tensor([[0.5, 0.8], [1.0, 0.8], [-1.0, 0.0]])
    # a quarter of the decoded action and three quarters of the full one
    torch.testing.assert_close(decoder(wide), torch.tensor([[0.725], [0.85], [-0.125]]))


def test_log_probability_of_the_wide_vector_against_monte_carlo():
    # P(v in a box) by counting draws of the actor, and by integrating exp(log_prob) over the box on a grid
    actor, x = small_actor(), torch.tensor([[0.3, -1.0]])
    box, n, side = (-0.6, 0.4), 200_000, 60
    mean, log_std = actor(x)
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    v = torch.tanh(mean + log_std.exp() * noise)
    actions, log_prob = actor.sample(x.expand(n, -1), noise)
    torch.testing.assert_close(actions, actor.decoder(v))
    # what training uses is the density of the v that was drawn, which the integral below checks; at the edges the
    # inverse of tanh is inexact
    inner = (v.abs() < 0.99).all(1)
    torch.testing.assert_close(log_prob[inner], actor.log_prob(x.expand(n, -1), v)[inner], rtol=1e-3, atol=1e-3)
    counted = ((v > box[0]) & (v < box[1])).all(1).double().mean().item()
    centres = box[0] + (torch.arange(side) + 0.5) * (box[1] - box[0]) / side
    grid = torch.cartesian_prod(centres, centres)
    density = actor.log_prob(x.expand(len(grid), -1), grid).exp().double()
    integral = density.sum().item() * ((box[1] - box[0]) / side) ** 2
    assert 0.05 < counted < 0.95
    assert integral == pytest.approx(counted, abs=4 * math.sqrt(counted / n))


def test_the_saved_policy_acts_as_the_actor(tmp_path):
    actor = small_actor(latent=2, act_dim=3, features=4)
    obs = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    low, high = np.array([-1, -2, 0], np.float32), np.array([1, 2, 3], np.float32)
    tensors = policy_tensors(actor, np.zeros(4), np.ones(4), np.arange(4), low, high)
    policy = LearnedPolicy.load(LearnedPolicy(tensors, {"env_id": "X"}).save(tmp_path))
    expected = low + (actor.mode(torch.from_numpy(obs)).detach().numpy() + 1) / 2 * (high - low)
    np.testing.assert_allclose(policy.predict(obs, deterministic=True)[0], expected, atol=1e-5)
    policy.seed(0)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 5), np.float32))
    sampled = low + (actor.sample(torch.from_numpy(obs), noise)[0].detach().numpy() + 1) / 2 * (high - low)
    np.testing.assert_allclose(policy.predict(obs)[0], sampled, atol=1e-5)
    with pytest.raises(ValueError, match="latent actions cannot be exported"):
        policy.save_sb3(tmp_path / "x.zip")


def test_a_damaged_decoder_is_named():
    tensors = policy_tensors(small_actor(), np.zeros(2), np.ones(2), np.arange(2), -np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match=r"lacks the tensors decoder.1.bias"):
        MlpPolicy({k: v for k, v in tensors.items() if k != "decoder.1.bias"}, {"env_id": "X"})
    with pytest.raises(ValueError, match=r"decoder.0.weight has shape \(5, 1\)"):
        MlpPolicy(tensors | {"decoder.0.weight": np.ones((5, 1))}, {"env_id": "X"})


def test_cloning_reaches_the_policy_through_a_frozen_decoder():
    actor = small_actor(latent=2, act_dim=3)
    before = [b.clone() for b in actor.decoder.buffers()]
    bc_loss(actor, torch.randn(8, 2), torch.zeros(8, 3)).backward()
    head = actor.head.weight.grad
    assert (head[:5].abs().sum(1) > 0).all() and not list(actor.decoder.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, actor.decoder.buffers(), strict=True))


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_a_prior_of_actions_keeps_its_decoder_when_saved(toy_demos, tmp_path, model):
    prior = fit_prior(toy_demos, model, "latent-action", steps=60, hidden=16, layers=1)
    again = load_prior(prior.save(tmp_path / "p"))
    z = torch.rand(9, 1) * 2 - 1
    wide = torch.cat([z, torch.zeros(9, 2)], 1)
    assert torch.equal(decoder_of(prior, 1.0)(wide), decoder_of(again, 1.0)(wide))
    code = 2 * z if model == "vae" else z
    torch.testing.assert_close(
        decoder_of(prior, 1.0)(wide), prior.model.decode(code).clamp(-1, 1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_the_untrained_decoder_spreads_as_the_expert_does(toy_demos, model):
    prior = fit_prior(toy_demos, model, "latent-action", control="untrained", hidden=16, layers=1)
    decoded = decoder_of(prior, 1.0).decode(2 * torch.rand(4000, 1, generator=torch.Generator().manual_seed(1)) - 1)
    actions = torch.from_numpy(toy_demos.transitions().acts)
    torch.testing.assert_close(decoded.mean(0), actions.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(decoded.std(0), actions.std(0), atol=0.05, rtol=0.1)


def test_an_autoencoder_of_shuffled_actions_knows_less_of_them(toy_demos):
    swing = np.sin(np.arange(100) / 3)
    moved = Demonstrations(
        tuple(dataclasses.replace(t, acts=np.stack([swing, -swing], 1)[: len(t)]) for t in toy_demos), toy_demos.meta
    )  # two actions, one number
    lost = {
        c: fit_prior(moved, "ae", "latent-action", control=c, steps=300, hidden=16, layers=1).settings["unexplained"]
        for c in (None, "shuffled")
    }
    assert lost[None] < 0.2 and lost["shuffled"] > 2 * lost[None]
