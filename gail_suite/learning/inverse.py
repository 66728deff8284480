"""What the expert must have done: actions told from observations by an inverse model of the dynamics (Torabi et al.,
2018).

The model learns a from (s, s') on the learner's own transitions, where both are known, and is asked for the expert's.
It is fitted again as the learner comes nearer to the expert, so that it has seen what it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.networks import mlp
from gail_suite.learning.replay import Replay
from gail_suite.runs.config import Count, Layers, NonNegative, Positive, Settings


@dataclass(frozen=True)
class InverseConfig(Settings):
    """The inverse model, of demonstrations that hold observations only."""

    hidden: Layers = (256, 256)
    """Width of its layers."""
    lr: NonNegative = 1e-3
    """Adam rate of the first fit; later ones take a third of it."""
    batch_size: Positive = 256
    """Transitions in a batch."""
    steps: Positive = 3000
    """Gradient steps of the first fit, when the warm-up is collected."""
    every: Positive = 20_000
    """Environment steps between later fits."""
    more: Count = 600
    """Gradient steps of a later fit."""
    simulate: Count = 200
    """Steps for each shown pair of states, on average at most, that a simulator that can be put into a state is given
    to find the action between them, before the run begins. The model is needed only where that fails; 0: always.
    """


class InverseModel:
    """a = clip(f(s, (s' - s) / scale), -1, 1) on features (N, F) and actions in [-1, 1]; f is a network, fitted by
    least squares.
    """

    def __init__(self, n_features: int, act_dim: int, config: InverseConfig) -> None:
        self.config, self.fits = config, 0
        self.net = nn.Sequential(mlp([2 * n_features, *config.hidden], "relu"), nn.Linear(config.hidden[-1], act_dim))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=config.lr, fused=True)
        self.scale = torch.ones(n_features)

    def _inputs(self, features: Tensor, next_features: Tensor) -> Tensor:
        return torch.cat([features, (next_features - features) / self.scale], -1)

    def fit(self, replay: Replay, generator: torch.Generator) -> float:
        """Learns from the transitions of the replay; the mean squared error of the last batches, on actions in [-1,
        1].
        """
        c = self.config
        first = self.fits == 0
        if first:
            window = replay.sample(4096, 1, generator)
            self.scale = (window.next_features - window.features)[:, 0].std(0).clamp(min=1e-6)
        steps, rate, errors = (c.steps, c.lr, []) if first else (c.more, c.lr / 3, [])
        for step in range(steps):
            self.optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
            window = replay.sample(c.batch_size, 1, generator)
            predicted = self.net(self._inputs(window.features[:, 0], window.next_features[:, 0]))
            loss = F.mse_loss(predicted, window.actions[:, 0])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            errors.append(loss.detach())
        self.fits += 1
        return float(torch.stack(errors[-100:]).mean()) if errors else 0.0

    @torch.no_grad()
    def actions(self, features: Tensor, next_features: Tensor) -> Tensor:
        """(N, A) in [-1, 1]."""
        return self.net(self._inputs(features, next_features)).clamp(-1, 1)

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        counters = {"fits": np.array(self.fits, np.int64), "scale": self.scale.numpy()}
        return {**counters, **module_arrays(self.net, "net"), **optimiser_arrays(self.optimiser, "optim")}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.fits, self.scale = int(arrays["fits"]), torch.from_numpy(np.array(arrays["scale"]))
        load_module_arrays(self.net, arrays, "net")
        load_optimiser_arrays(self.optimiser, arrays, "optim")
