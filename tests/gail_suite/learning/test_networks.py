import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from demos.policy import MlpPolicy
from gail_suite.learning.networks import Actor, Discriminator, TwinCritic, policy_tensors, squashed_log_prob


def test_squashed_log_prob_agrees_with_torch_distributions():
    mean, log_std, noise = (0.5 * torch.randn(50, 3, dtype=torch.float64) for _ in range(3))
    pre = mean + log_std.exp() * noise
    reference = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    torch.testing.assert_close(
        squashed_log_prob(pre, noise, log_std), reference.log_prob(torch.tanh(pre)).sum(-1), rtol=1e-6, atol=1e-6
    )


def test_squashed_log_prob_is_finite_where_tanh_is_one():
    assert math.isfinite(squashed_log_prob(torch.tensor([[30.0]]), torch.zeros(1, 1), torch.zeros(1, 1)).item())


def test_actor_log_prob_of_its_own_samples():
    actor = Actor(4, 2, (16,)).double()
    x = torch.randn(20, 4, dtype=torch.float64)
    actions, log_prob = actor.sample(x, 0.3 * torch.randn(20, 2, dtype=torch.float64))
    torch.testing.assert_close(actor.log_prob(x, actions), log_prob, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layer_norm", [True, False])
def test_twin_critic_equals_two_networks_by_hand(layer_norm):
    critic = TwinCritic(3, 2, (8, 8), layer_norm)
    x, a = torch.randn(5, 3), torch.randn(5, 2)
    for k in range(2):
        h = torch.cat([x, a], -1)
        for i in range(3):
            h = h @ critic.weights[i][k] + critic.biases[i][k]
            if i < 2 and layer_norm:
                h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            h = torch.relu(h) if i < 2 else h
        torch.testing.assert_close(critic(x, a)[k], h[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "net, inputs",
    [
        (TwinCritic(3, 2, (8, 8)), (torch.randn(5, 3), torch.randn(5, 2))),
        (Discriminator(5, (8, 8)), (torch.randn(5, 5),)),
    ],
)
def test_every_parameter_gets_a_gradient(net, inputs):
    net(*inputs).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_policy_tensors_act_as_the_actor_on_full_observations():
    # observations of 6 entries, of which 1, 2 and 5 are visible
    columns, mean, scale = np.array([1, 2, 5]), np.zeros(6), np.zeros(6)
    mean[columns], scale[columns] = [0.5, -1.0, 2.0], [2.0, 0.5, 1.0]
    low, high = np.array([-0.4, -1.0]), np.array([0.4, 3.0])
    actor = Actor(3, 2, (16, 16))
    policy = MlpPolicy(policy_tensors(actor, mean, scale, columns, low, high), {"env_id": "X"})
    obs = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    features = torch.from_numpy(((obs - mean) * scale)[:, columns].astype(np.float32))
    expected = low + (torch.tanh(actor(features)[0]).detach().numpy() + 1) / 2 * (high - low)
    np.testing.assert_allclose(policy.predict(obs, deterministic=True)[0], expected, atol=1e-5)
