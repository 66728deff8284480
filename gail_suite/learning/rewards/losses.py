"""Discriminator losses and penalties on logits; every function returns (loss, info) or a scalar tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def gail_loss(logits_expert: Tensor, logits_agent: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Binary cross-entropy with expert = 1: mean softplus(-l_E) + mean softplus(l_A) (Ho and Ermon, 2016).

    Both classes weigh the same whatever their batch sizes. Equals 2 log 2 for a constant zero logit.
    """
    loss = F.softplus(-logits_expert).mean() + F.softplus(logits_agent).mean()
    with torch.no_grad():
        info = {
            "disc_acc_expert": (logits_expert > 0).float().mean(),
            "disc_acc_agent": (logits_agent < 0).float().mean(),
            "disc_logit_expert": logits_expert.mean(),
            "disc_logit_agent": logits_agent.mean(),
        }
    return loss, info


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Entropy of Bernoulli(sigmoid(logit)) in nats: softplus(l) - l sigmoid(l), as wide as the logits; log 2 at l =
    0.
    """
    return F.softplus(logits) - logits * torch.sigmoid(logits)


def gradient_penalty(
    logits_fn: Callable[[Tensor], Tensor], expert: Tensor, agent: Tensor, mix: Tensor, target: float = 1.0
) -> Tensor:
    """mean (|grad_x logit(x)| - target)^2 on x = mix expert + (1 - mix) agent (Gulrajani et al., 2017).

    Args:
        logits_fn: inputs (B, D) -> logits (B,).
        expert, agent: (B, D).
        mix: (B, 1) in [0, 1].
    """
    inputs = (mix * expert + (1 - mix) * agent).requires_grad_(True)
    (grad,) = torch.autograd.grad(logits_fn(inputs).sum(), inputs, create_graph=True)
    return (grad.norm(dim=-1) - target).square().mean()
