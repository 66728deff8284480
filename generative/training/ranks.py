"""Processes that share one fit: each takes its part of every minibatch, and their gradients are averaged.

`torchrun --nproc-per-node N` starts them with the same command, and `fit` joins them by itself; a script may also call
`torch.distributed.init_process_group` first. All hold the same weights, so all decide alike; the first one alone
writes checkpoints and shows progress.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(seconds=20)
"""How long a process waits for the others before it ends, where one of them hangs; one that died is seen at once."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that share a fit."""

    rank: int = 0
    world: int = 1

    @classmethod
    def joined(cls, device: torch.device) -> Self:
        """The processes that torchrun, or the script, has started; this one alone where there are none."""
        if not dist.is_available():
            return cls()
        if dist.is_torchelastic_launched() and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        if not dist.is_initialized():
            return cls()
        atexit.register(_leave)  # more than once does no harm
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this process writes and tells for all."""
        return self.rank == 0

    def part(self, rows: Tensor) -> Tensor:
        """This process's rows of a minibatch, every `world`-th.

        Raises:
            ValueError: fewer rows than processes.
        """
        if len(rows) < self.world:
            raise ValueError(
                f"a minibatch of {len(rows)} cannot be shared by {self.world} processes: raise batch_size, or start "
                "fewer of them"
            )
        return rows[self.rank :: self.world]

    def average(self, net: nn.Module, loss: Tensor, rows: int, batch: int) -> Tensor:
        """Makes the gradients of `net`, and its floating-point buffers, those of the whole minibatch.

        Args:
            net: with the gradients of the mean over this process's `rows` of the `batch`.
            loss: that mean.
            rows: in this process's part.
            batch: in all parts.

        Returns:
            The mean over the whole minibatch.
        """
        if self.world == 1:
            return loss.detach()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        buffers = [b for b in net.buffers() if b.is_floating_point()]
        weighted = [loss.detach(), *gradients]
        flat = torch.cat(
            [*(t.reshape(-1) * (rows / batch) for t in weighted), *(b.reshape(-1) / self.world for b in buffers)]
        )
        dist.all_reduce(flat)
        mean, *averages = _like(flat, [*weighted, *buffers])
        for held, value in zip([*gradients, *buffers], averages, strict=True):
            held.copy_(value)
        return mean


def _leave() -> None:
    """Ends the group at the interpreter's end, whose threads would abort the process where they outlive it."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _like(flat: Tensor, tensors: Iterable[Tensor]) -> list[Tensor]:
    """The pieces of `flat` in the shapes of `tensors`."""
    tensors = list(tensors)
    return [
        piece.view_as(tensor) for piece, tensor in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)
    ]
