import math

import pytest
import torch

from gail_suite.learning.rewards.losses import bernoulli_entropy, gail_loss, gradient_penalty


def test_cross_entropy_by_hand():
    # zero logits: -log(1/2) - log(1/2) = 2 log 2, whatever the batch sizes
    loss, info = gail_loss(torch.zeros(7, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    assert loss.item() == pytest.approx(2 * math.log(2))
    # expert logit 2, agent logit -1: log(1 + e^-2) + log(1 + e^-1)
    loss, info = gail_loss(torch.tensor([2.0]), torch.tensor([-1.0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)))
    assert info["disc_acc_expert"].item() == 1.0 and info["disc_acc_agent"].item() == 1.0


def test_the_gradient_raises_expert_logits_and_lowers_the_agents():
    expert, agent = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    gail_loss(expert, agent)[0].backward()
    # d/dl softplus(-l) = -1/2 at 0, averaged over two rows
    assert torch.allclose(expert.grad, torch.full((2,), -0.25)) and torch.allclose(agent.grad, torch.full((2,), 0.25))


def test_entropy():
    assert bernoulli_entropy(torch.zeros(4)).mean().item() == pytest.approx(math.log(2))
    assert bernoulli_entropy(torch.tensor([50.0, -50.0])).mean().item() == pytest.approx(0.0, abs=1e-6)


def test_gradient_penalty_of_a_known_gradient():
    # logit = 3 x_0 + 4 x_1 has gradient norm 5 everywhere: (5 - 1)^2 = 16 and, for target 0, 25
    weight = torch.tensor([3.0, 4.0])
    expert, agent, mix = torch.randn(6, 2), torch.randn(6, 2), torch.rand(6, 1)
    assert gradient_penalty(lambda x: x @ weight, expert, agent, mix).item() == pytest.approx(16.0)
    assert gradient_penalty(lambda x: x @ weight, expert, agent, mix, target=0.0).item() == pytest.approx(25.0)


def test_gradient_penalty_is_taken_between_expert_and_agent():
    seen = []

    def logits(x):
        seen.append(x.detach())
        return x.sum(-1)

    gradient_penalty(logits, torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([[0.25]]))
    assert torch.equal(seen[0], torch.full((1, 2), 0.25))
