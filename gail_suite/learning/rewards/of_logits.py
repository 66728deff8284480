"""Rewards as pure functions of the discriminator's logit (expert is high): D = sigmoid(logit).

The sign teaches where episodes can end early: `gail` is positive (staying alive pays), `logd` negative (ending pays),
`airl` and `fairl` take both signs. All work on logits, so they stay finite in float32 for any logit that is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def gail(logits_expert_is_high: Tensor) -> Tensor:
    """-log(1 - D) = softplus(logit) >= 0 (Ho and Ermon, 2016, for tasks that end in failure)."""
    return F.softplus(logits_expert_is_high)


def logd(logits_expert_is_high: Tensor) -> Tensor:
    """log D = -softplus(-logit) <= 0 (Ho and Ermon, 2016, for tasks that end in success)."""
    return -F.softplus(-logits_expert_is_high)


def airl(logits_expert_is_high: Tensor) -> Tensor:
    """log D - log(1 - D) = logit (Fu et al., 2018)."""
    return logits_expert_is_high


def fairl(logits_expert_is_high: Tensor) -> Tensor:
    """-logit * exp(logit), forward KL (Ghasemipour et al., 2019); the exponent is capped at 10."""
    return -logits_expert_is_high * logits_expert_is_high.clamp(max=10.0).exp()


REWARDS: dict[str, Callable[[Tensor], Tensor]] = {"gail": gail, "logd": logd, "airl": airl, "fairl": fairl}


def reward_fn(name: str, clip: float = float("inf")) -> Callable[[Tensor], Tensor]:
    """The named reward, clipped to [-clip, clip].

    Raises:
        ValueError: unknown name.

    >>> logits = torch.tensor([-2.0, 0.0, 2.0])  # high where the discriminator takes a pair for the expert's
    >>> reward_fn("airl", clip=1.0)(logits)
    tensor([-1.,  0.,  1.])
    """
    if name not in REWARDS:
        raise ValueError(f"unknown reward {name!r}: choose one of {', '.join(REWARDS)}")
    form = REWARDS[name]
    return lambda logits: torch.clamp(form(logits), -clip, clip)
