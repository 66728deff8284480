"""Muon: momentum made orthogonal for weight matrices and convolution kernels, AdamW for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: they bring singular values of (0, 1] near 1 in five iterations, to within about 0.3."""


def orthogonalised(x: Tensor) -> Tensor:
    """About U V^T of ``x`` = U S V^T, shape (m, n), by Newton-Schulz iteration in ``x``'s precision."""
    y = (x.T if len(x) > x.shape[1] else x) / x.norm().clamp_min(1e-7)
    a, b, c = QUINTIC
    for _ in range(5):
        gram = y @ y.T
        y = a * y + (b * gram + c * gram @ gram) @ y
    return y.T if len(x) > x.shape[1] else y


class Muon(torch.optim.AdamW):
    """AdamW in which matrices (out, in) and kernels (out, in, ...) move by their orthogonalised Nesterov momentum
    instead.

    A kernel counts as the matrix (out, in * taps). The move has the root mean square of AdamW's, 0.2 of the learning
    rate, so that one rate serves both; a gradient's scale does not matter to it. Embeddings, and weights with a single
    row or column, stay with AdamW. Sources: Jordan (2024), "Muon: an optimizer for hidden layers"; the 0.2 is of Liu et
    al. (2025). torch's own refuses kernels.
    """

    def __init__(self, net: nn.Module, momentum: float = 0.95, **adamw: Any) -> None:
        embedded = {id(p) for module in net.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
        matrices = [p for p in net.parameters() if p.ndim > 1 and min(p.flatten(1).shape) > 1 and id(p) not in embedded]
        self.momentum, chosen = momentum, {id(p) for p in matrices}
        others = [p for p in net.parameters() if id(p) not in chosen]
        super().__init__([{"params": others}, {"params": matrices}], **adamw)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step on the gradients; those of the matrices are consumed (AdamW leaves weights without one alone)."""
        group = self.param_groups[1]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state, gradient = self.state[weight], weight.grad
            if not state:
                state.update(
                    step=torch.zeros(()), momentum=torch.zeros_like(gradient)
                )  # AdamW asks every state for its step
            state["step"] += 1
            state["momentum"].lerp_(gradient, 1.0 - self.momentum)
            move = orthogonalised(gradient.lerp(state["momentum"], self.momentum).flatten(1))
            weight.mul_(1.0 - group["lr"] * group["weight_decay"])
            weight.add_(move.view_as(weight), alpha=-0.2 * group["lr"] * math.sqrt(max(move.shape)))
            weight.grad = None
        return super().step(closure)
