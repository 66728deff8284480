"""Exploration by pseudo-counts: a PixelCNN that learns pictures of the states as they come tells how new each one is.

    PG = log p'(x) - log p(x),   N = 1 / (exp(c n^(-1/2) max(PG, 0)) - 1),   bonus = N^(-1/2)

p and p' before and after one training step on x, n the steps so far (Ostrovski et al., 2017, after Bellemare et al.,
2016). Deviation: the states of all environments make one training step together, and the pictures are small.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gail_suite.demos.trajectory import Transitions
from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.objectives import TaskReward
from gail_suite.learning.replay import Window
from gail_suite.learning.schedule import linear


def coarse_picture(obs: np.ndarray, low: np.ndarray, high: np.ndarray, levels: int) -> Tensor:
    """Observations (N, O) as pictures (N, 1, O, levels) of 0 and 1: one row a number, lit where it lies between low
    and high.
    """
    unit = (obs - low) / (high - low)
    level = np.clip((unit * levels).astype(np.int64), 0, levels - 1)
    return torch.nn.functional.one_hot(torch.from_numpy(level), levels).unsqueeze(1)


def pseudo_count_bonus(before: np.ndarray, after: np.ndarray, n: int, c: float = 0.1) -> np.ndarray:
    """N^(-1/2) from log p (nats) before and after learning x at step n >= 1; 0 where learning made x less likely."""
    gain = np.maximum(np.asarray(after, np.float64) - before, 0)
    return np.sqrt(np.expm1(np.minimum(c * gain / np.sqrt(n), 50.0)))


class PseudoCounts:
    """A `Bonus` of s': pseudo-counts under an online PixelCNN on coarse pictures.

    Args:
        low, high: (O,) range of the observations that the picture shows.
        levels: columns of the picture; the network has to see a whole row, or a level that was never met looks like
            others.
        c: the formula's constant.
        lr: rate of RMSProp (the paper's).
        features: width of the network.
        layers: its depth, of which a row needs enough to be seen whole.
        seed: of the network's first weights.

    Raises:
        ValueError: more levels than the network sees.
    """

    def __init__(
        self,
        low: np.ndarray,
        high: np.ndarray,
        levels: int = 6,
        c: float = 0.1,
        lr: float = 1e-3,
        features: int = 16,
        layers: int = 2,
        seed: int = 0,
    ) -> None:
        from gail_suite.generative.autoregressive.pixelcnn import GatedNet

        self.low, self.high, self.levels, self.c = np.asarray(low), np.asarray(high), levels, c
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = GatedNet((1, len(self.low), levels), 2, 0, features, layers)
        reach = sum(layer.horizontal.reach for layer in (self.net.stem, *self.net.layers))
        if levels - 1 > reach:
            raise ValueError(
                f"{layers} layers see {reach} pixels to the left, a picture of {levels} levels has {levels - 1}: give "
                "more layers"
            )
        self.optimiser = torch.optim.RMSprop(self.net.parameters(), lr=lr)
        self.n = 0

    def log_prob(self, pictures: Tensor) -> Tensor:
        """log p (N,) of pictures, in nats."""
        from gail_suite.generative.autoregressive.causal_sampling import log_likelihood

        return log_likelihood(self.net(pictures, None), pictures).flatten(1).sum(1)

    def __call__(self, transitions: Transitions, done: np.ndarray | None = None) -> np.ndarray:
        """(n_envs,) bonus of the states reached, which are learned from."""
        pictures = coarse_picture(transitions.next_obs, self.low, self.high, self.levels)
        before = self.log_prob(pictures)
        self.optimiser.zero_grad(set_to_none=True)
        (-before.mean()).backward()
        self.optimiser.step()
        self.n += 1
        with torch.no_grad():
            after = self.log_prob(pictures)
        return pseudo_count_bonus(before.detach().numpy(), after.numpy(), self.n, self.c).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Network, optimiser and step count, for a checkpoint."""
        return {
            "n": np.array(self.n, np.int64),
            **module_arrays(self.net, "net"),
            **optimiser_arrays(self.optimiser, "optim"),
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.n = int(arrays["n"])
        load_module_arrays(self.net, arrays, "net")
        load_optimiser_arrays(self.optimiser, arrays, "optim")


class Constant:
    """A `Bonus` that is the same everywhere: the control of those that are not."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, transitions: Transitions, done: np.ndarray | None = None) -> np.ndarray:
        """(N,) of the value."""
        return np.full(len(transitions), self.value, np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""


class ExploringReward(TaskReward):
    """The objective scale * r + weight * bonus; the weight goes linearly to `weight_final` over the run, where that
    is given.
    """

    def __init__(self, scale: float, weight: float, weight_final: float | None = None) -> None:
        super().__init__(scale)
        self.start, self.end, self.weight = weight, weight_final, weight

    def set_progress(self, fraction: float) -> None:
        """Sets the weight for a run that is `fraction` in [0, 1] done."""
        self.weight = linear(self.start, self.end, fraction)

    def rewards(self, window: Window) -> Tensor:
        """(B, n)."""
        assert window.bonus is not None
        return super().rewards(window) + self.weight * window.bonus
