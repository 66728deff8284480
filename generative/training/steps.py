"""One step of a training loop: its minibatch, noise and arithmetic, and an optimiser that stops where a number is not
finite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gail_suite.generative.core.backend import fast_matmul, has_fast_bf16, reseed, rounding_allowed
from gail_suite.generative.training.ranks import Ranks


class TrainingDiverged(ValueError):
    """A loss, a gradient or an input stopped being finite; the message names which."""


def seed_step(seed: int, step: int) -> None:
    """Seed the thread's ``own_draws`` from (seed, step) alone, so that a resumed step draws what the first run drew."""
    reseed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & (2**63 - 1))


class Batches:
    """Minibatch indices as a function of the step: every epoch is its own seeded permutation of ``n`` samples.

    They are on ``device``, where they are put once an epoch.
    """

    def __init__(self, n: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.n, self.size, self.seed, self.device = n, min(batch_size, n), seed, device
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __call__(self, step: int) -> Tensor:
        """The rows of minibatch ``step``."""
        epoch, k = divmod(step, max(1, self.n // self.size))
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) & (2**63 - 1))
            self._epoch, self._order = epoch, torch.randperm(self.n, generator=generator).to(self.device)
        return self._order[k * self.size : (k + 1) * self.size]


@contextlib.contextmanager
def training_precision(precision: str, device: torch.device) -> Iterator[None]:
    """The arithmetic that ``Recipe.precision`` names, where this hardware gains from it."""
    if precision == "bfloat16" and has_fast_bf16(device) and rounding_allowed():
        with torch.autocast(device.type, torch.bfloat16):
            yield
    else:
        with fast_matmul(device, False if precision == "float32" else None):
            yield


@torch.no_grad()
def average_into(average: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """average <- d * average + (1 - d) * net with d = min(decay, (1 + step) / (10 + step)); counters are copied."""
    d = min(decay, (1 + step) / (10 + step))
    targets, sources = average.state_dict(), net.state_dict()
    for name, target in targets.items():
        if target.is_floating_point():
            target.lerp_(sources[name], 1.0 - d)
        else:
            target.copy_(sources[name])


class Watch:
    """Clipped optimiser steps that stop where a number is not finite, without waiting for a device at every step.

    On a processor TrainingDiverged is raised before any weight changes. A device runs ahead of the host: there a
    gradient that is not finite counts as zero, and the host looks every LOOK_EVERY steps whether there was one.
    """

    LOOK_EVERY = 25

    def __init__(self, steps: int, device: torch.device, ranks: Ranks, batch: int) -> None:
        self.steps, self.waits, self.ranks, self.batch = steps, device.type != "cpu", ranks, batch
        self._bad = torch.zeros((), dtype=torch.bool, device=device)

    def looks(self, step: int) -> bool:
        """Whether the host looks at the device's numbers after ``step``."""
        return not self.waits or (step + 1) % self.LOOK_EVERY == 0 or step + 1 == self.steps

    def descend(
        self,
        loss: Tensor,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        lr: float,
        clip: float,
        x: Tensor,
        step: int,
    ) -> Tensor:
        """One step on ``loss``, the mean over ``x``; that over the whole minibatch, which other processes may share."""

        def backward() -> Tensor:
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            return self.ranks.average(net, loss, len(x), self.batch)

        if not self.waits:
            return descend(loss, backward, net, optimiser, lr, clip, x, step)
        mean = backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), clip)
        fine = torch.isfinite(norm) & torch.isfinite(loss.detach())
        self._bad |= ~fine
        for p in net.parameters():
            if p.grad is not None:
                p.grad = torch.where(fine, p.grad, 0.0)
        _advance(optimiser, lr)
        if self.looks(step) and bool(self._bad):
            raise _diverged(f"by step {step}", "a loss or a gradient", lr)
        return mean


def _diverged(when: str, what: str, lr: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"{when}: {what} is not finite; the last good weights are kept. Lower lr (now {lr:.3g}) or check the data"
    )


def _advance(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.step()


def descend(
    loss: Tensor,
    backward: Callable[[], Tensor],
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    lr: float,
    clip: float,
    x: Tensor,
    step: int,
) -> Tensor:
    """One clipped optimiser step on the gradients that ``backward`` makes of ``loss``, and what it returns;
    TrainingDiverged, before any weight changes, where a number is not finite."""
    if not torch.isfinite(loss):
        place = "the input" if not torch.isfinite(x).all() else "the loss"
        raise _diverged(f"step {step}", place, lr)
    mean = backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), clip)
    if not torch.isfinite(norm):
        bad = [name for name, p in net.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        place = f"parameter {bad[0]}" if bad else "all parameters together (overflow of the norm)"
        raise _diverged(f"step {step}", f"the gradient of {place}", lr)
    _advance(optimiser, lr)
    return mean
