"""What an off-policy run will do with its steps: collect, train the critic alone, then let the policy learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig

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


@runtime_checkable
class OffPolicyConfig(Protocol):
    """The config of a run of the off-policy loop."""

    @property
    def loop(self) -> LoopConfig:
        """Its loop's."""

    @property
    def sac(self) -> SACConfig:
        """Its learner's."""


def plan(config: OffPolicyConfig, total: int) -> Plan:
    """The plan of a config for a run of `total` steps."""
    warm_up, rate = config.loop.warm_up, config.loop.updates_per_step
    moves = warm_up + round(config.sac.burn_in / rate) if rate else total
    return Plan(warm_up, moves, total)


def in_batches(total: int, size: int) -> str:
    """What an on-policy run of `total` steps, which learns from whole batches of `size`, will do."""
    taken = -(-total // size) * size
    begin = f"{total:,} steps in batches of {size:,} (--set learner.batch_steps)"
    return begin if taken == total else f"{begin}; the last is taken whole, which makes {taken:,}"


def fitted(config: C, total: int | None) -> C:
    """The config with less warm-up and burn-in where they would leave the policy under half of `total` steps; any
    other as it is.
    """
    if total is None or not isinstance(config, OffPolicyConfig) or 2 * plan(config, total).moves <= total:
        return config
    loop, sac = config.loop, config.sac
    warm_up = min(loop.warm_up, max(ROWS * loop.n_envs, int(COLLECTING * total)), total // 2)
    burn_in = min(sac.burn_in, int(BURN_IN * (total - warm_up) * loop.updates_per_step))
    shorter = {"loop": replace(loop, warm_up=warm_up), "sac": replace(sac, burn_in=burn_in)}
    return replace(config, **shorter)  # type: ignore[type-var]
