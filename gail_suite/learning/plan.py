"""What an off-policy run will do with its steps: collect, train the critic alone, then let the policy learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

C = TypeVar("C")
ROWS = 8
"""Steps of every environment that the first windows of the replay are drawn from, at least."""
COLLECTING, BURN_IN = 0.1, 0.2
"""Shares of a short run's steps and of its updates that go to the warm-up and to the critic alone."""


@dataclass(frozen=True)
class Plan:
    """Steps of a run: the first update after `collected`, the policy's first after `moves`, `total` in all."""

    collected: int
    moves: int
    total: int

    @property
    def learns(self) -> bool:
        """Whether the policy moves at all."""
        return self.moves < self.total

    def __str__(self) -> str:
        begin = f"{self.total:,} steps, of which {self.collected:,} are collected before the first update"
        if not self.learns:
            return (
                f"{begin}, and the critic alone learns until step {self.moves:,}, which is never reached: the policy "
                "stays as it begins; give more --steps, or a smaller loop.warm_up and sac.burn_in"
            )
        return f"{begin}, the critic alone learns until step {self.moves:,}, the policy from there on"


def plan(config: Any, total: int) -> Plan:
    """The plan of a config with `loop` and `sac` for a run of `total` steps."""
    warm_up, rate = config.loop.warm_up, config.loop.updates_per_step
    moves = warm_up + round(config.sac.burn_in / rate) if rate else total
    return Plan(warm_up, moves, total)


def fitted(config: C, total: int | None) -> C:
    """The config with less warm-up and burn-in where they would leave the policy under half of `total` steps; any
    other as it is.
    """
    loop, sac = getattr(config, "loop", None), getattr(config, "sac", None)
    if total is None or loop is None or sac is None or 2 * plan(config, total).moves <= total:
        return config
    warm_up = min(loop.warm_up, max(ROWS * loop.n_envs, int(COLLECTING * total)), total // 2)
    burn_in = min(sac.burn_in, int(BURN_IN * (total - warm_up) * loop.updates_per_step))
    changes: Any = {"loop": replace(loop, warm_up=warm_up), "sac": replace(sac, burn_in=burn_in)}
    return replace(config, **changes)  # type: ignore[type-var]
