"""Replay of parallel environments with n-step windows; rewards may be recomputed when a batch is drawn."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gail_suite.demos.files import check_memory

ENDS_KEPT = 200
"""Latest terminations that are remembered."""
ENDS_REACH = 20
"""Steps before a termination that count as leading to it."""


@dataclass(frozen=True)
class Window:
    """B windows of up to n consecutive transitions of one environment.

    `alive[b, k]` is 1 while step k belongs to the window: windows end early at the end of an episode.
    """

    features: Tensor
    """(B, n, F) features of s."""
    actions: Tensor
    """(B, n, A) in [-1, 1]."""
    next_features: Tensor
    """(B, n, F) features of the true s', the terminal one at an episode's end."""
    rewards: Tensor
    """(B, n) the environment's own reward."""
    terminated: Tensor
    """(B, n) 1.0 where the task ended (not where time ran out)."""
    alive: Tensor
    """(B, n)."""
    time: Tensor | None = None
    """(B, n) steps since the episode began; of one that began in a demonstrated state, since that demonstration
    began.
    """
    bonus: Tensor | None = None
    """(B, n) rewards that were computed once, at collection; None where nothing gives any."""

    def returns(self, rewards: Tensor, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
        """n-step return sum_k gamma^k r_k, bootstrap discount (0 after termination) and the features to bootstrap from.

        Shapes (B,), (B,), (B, F). A truncated window bootstraps from its true last observation with gamma^(its length).
        """
        n = rewards.shape[1]
        powers = gamma ** torch.arange(n, dtype=rewards.dtype, device=rewards.device)
        length = self.alive.sum(1)
        last = (length - 1).long()
        rows = torch.arange(len(last), device=rewards.device)
        discount = gamma**length * (1 - self.terminated[rows, last])
        return (rewards * self.alive * powers).sum(1), discount, self.next_features[rows, last]


class Replay:
    """Ring buffer of `capacity` transitions from `n_envs` environments, float32.

    Storage is (capacity // n_envs, n_envs, ...): time runs along the first axis, so a window is a slice of one column.
    """

    FIELDS = ("features", "actions", "next_features", "rewards", "terminated", "done", "time")

    def __init__(self, capacity: int, n_envs: int, n_features: int, act_dim: int, with_bonus: bool = False) -> None:
        self.rows, self.n_envs = max(1, capacity // n_envs), n_envs
        self.fields = (*self.FIELDS, "bonus") if with_bonus else self.FIELDS
        numbers = self.rows * n_envs * (2 * n_features + act_dim + 4)
        check_memory(4 * numbers, f"a replay buffer of {capacity:,} transitions (loop.capacity)")
        self.features = torch.zeros(self.rows, n_envs, n_features)
        self.actions = torch.zeros(self.rows, n_envs, act_dim)
        self.next_features = torch.zeros(self.rows, n_envs, n_features)
        self.rewards = torch.zeros(self.rows, n_envs)
        self.terminated = torch.zeros(self.rows, n_envs)
        self.done = torch.zeros(self.rows, n_envs)
        self.time = torch.zeros(self.rows, n_envs)
        if with_bonus:
            self.bonus = torch.zeros(self.rows, n_envs)
        self.written = 0  # rows ever written
        self.ends: deque[tuple[int, int]] = deque(maxlen=ENDS_KEPT)  # (row ever written, environment) of terminations

    def __len__(self) -> int:
        return min(self.written, self.rows) * self.n_envs

    def add(
        self,
        features: ArrayLike,
        actions: ArrayLike,
        next_features: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        done: ArrayLike,
        *bonus: ArrayLike,
        time: ArrayLike = 0.0,
    ) -> None:
        """One step of every environment; arrays (n_envs, ...), the last one only where a bonus is kept."""
        row = self.written % self.rows
        values = (features, actions, next_features, rewards, terminated, done, time, *bonus)
        for name, value in zip(self.fields, values, strict=True):
            getattr(self, name)[row] = torch.as_tensor(value, dtype=torch.float32)
        self.ends.extend((self.written, int(env)) for env in np.flatnonzero(np.asarray(terminated)))
        self.written += 1

    def cut(self) -> None:
        """Ends every environment's episode, by time, at the last stored step: what comes next does not follow from
        it.
        """
        if self.written:
            self.done[(self.written - 1) % self.rows] = 1

    def sample(
        self, batch: int, n: int, generator: torch.Generator, recent: int | None = None, before_ends: int = 0
    ) -> Window:
        """`batch` windows of n steps, uniform over the stored ones (or over the last `recent` transitions).

        The first `before_ends` of them start at most `ENDS_REACH` steps before one of the latest terminations, as soon
        as there is one: what leads to an end is rare in a replay, and decides.

        Raises:
            ValueError: fewer than n rows are stored.
        """
        stored = min(self.written, self.rows)
        if stored < n:
            raise ValueError(
                f"cannot draw {n}-step windows from {stored} stored steps: collect at least {n} steps first"
            )
        span = stored if recent is None else max(n, min(stored, recent // self.n_envs))
        start = self.written - span + torch.randint(span - n + 1, (batch,), generator=generator)
        env = torch.randint(self.n_envs, (batch,), generator=generator)
        oldest = self.written - stored
        while self.ends and self.ends[0][0] < oldest:
            self.ends.popleft()  # overwritten
        if before_ends and self.ends:
            start[:before_ends], env[:before_ends] = self._before_ends(before_ends, n, generator)
        return self._windows(start, env, n)

    def _before_ends(self, count: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """First rows and environments of windows that reach, or soon meet, a termination."""
        ends = torch.tensor(self.ends)[torch.randint(len(self.ends), (count,), generator=generator)]
        start = ends[:, 0] - torch.randint(ENDS_REACH, (count,), generator=generator)
        return start.clamp(self.written - min(self.written, self.rows), self.written - n), ends[:, 1]

    def _windows(self, start: Tensor, env: Tensor, n: int) -> Window:
        rows = (start[:, None] + torch.arange(n)) % self.rows
        flat = rows * self.n_envs + env[:, None]

        def take(name: str) -> Tensor:
            stored_field = getattr(self, name)
            return stored_field.flatten(0, 1)[flat]

        done = take("done")
        alive = torch.cat([torch.ones(len(start), 1), (1 - done[:, :-1]).cumprod(1)], 1)
        features, actions, next_features, rewards, terminated = (take(f) for f in self.FIELDS[:5])
        bonus = take("bonus") if "bonus" in self.fields else None
        return Window(features, actions, next_features, rewards, terminated, alive, take("time"), bonus)

    def state(self) -> dict[str, np.ndarray]:
        """The filled rows as arrays, for a checkpoint."""
        stored = min(self.written, self.rows)
        arrays = {name: getattr(self, name)[:stored].numpy() for name in self.fields}
        return {
            **arrays,
            "written": np.array(self.written, np.int64),
            "ends": np.array(self.ends, np.int64).reshape(-1, 2),
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`, into a buffer of the same capacity."""
        self.written = int(arrays["written"])
        self.ends.clear()
        self.ends.extend((int(row), int(env)) for row, env in arrays.get("ends", ()))  # older checkpoints lack them
        for name in self.fields:
            if name in arrays:  # older checkpoints lack the time
                values = torch.from_numpy(np.ascontiguousarray(arrays[name]))
                getattr(self, name)[: len(values)] = values
