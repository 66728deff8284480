"""Imitation by sight: how typical the expert's frames find what a policy looks like is the only reward it gets.

The model is fitted to rendered frames of the expert and stays frozen (as VIPER, Escontrela et al., 2023, but of single
frames: the toy is drawn with motion blur, so that one frame shows where the point is and how it moves).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.trajectory import Demonstrations, Transitions

if TYPE_CHECKING:
    from gail_suite.generative import GenerativeModel

Render = Callable[[np.ndarray], np.ndarray]
"""Observations (N, O) to frames (N, 1, H, W) in [0, 1]."""
SIZE = (12, 16)
SHUTTER = 0.4
"""Seconds that a frame exposes: a point at 2 m/s leaves a streak of 0.8 m."""
STREAK, WIDTH = 8, 0.1
"""Points that draw a streak, and their standard deviation in metres."""
SETTINGS: dict[str, dict[str, float]] = {
    "vae": {"latent": 4, "hidden": 128, "min_sd": 0.02, "k_eval": 4, "batch_size": 128},
    "pixelcnn": {"features": 16, "layers": 2, "levels": 4},
}

POWERS = {"vae": 2.0, "pixelcnn": 6.0}
"""Power of a model's score that is the reward."""


def toy_frames(obs: np.ndarray) -> np.ndarray:
    """PointToy's observations (N, 3) as grey frames (N, 1, 12, 16): a point in its lane and the streak it left behind.

    The camera follows the point along x, 1.2 m wide with the point at 1.1 m; up is y from -1.1 m to 1.1 m.
    """
    y, vx, vy = (obs[:, i, None, None, None] for i in range(3))
    back = np.linspace(0, SHUTTER, STREAK)[:, None, None]  # seconds before the shutter closes
    height, width = SIZE
    rows = np.linspace(1.1, -1.1, height)[:, None]
    columns = np.linspace(-1.1, 0.1, width)
    squares = (rows - (y - vy * back)) ** 2 + (columns + vx * back) ** 2
    return np.exp(-squares / (2 * WIDTH**2)).max(1)[:, None].astype(np.float32)


def fit_sight(
    demonstrations: Demonstrations,
    render: Render = toy_frames,
    model: str = "vae",
    seed: int = 0,
    steps: int = 600,
    untrained: bool = False,
) -> GenerativeModel:
    """A generative model of the expert's frames, calibrated on those of the last trajectories (a fourth, at least one).

    Raises:
        ValueError: unknown model, or a single trajectory.
    """
    from gail_suite import generative
    from gail_suite.demos.names import known

    if len(demonstrations) < 2:
        raise ValueError("one trajectory cannot both be fitted and calibrate: give at least 2")
    settings = dict(SETTINGS[known("model", model, SETTINGS)])
    held = max(1, len(demonstrations) // 4)
    seen = [np.concatenate([t.obs for t in part]) for part in (demonstrations[:-held], demonstrations[-held:])]
    train, val = (render(obs) for obs in seen)
    if untrained:
        settings["lr"], steps = 0.0, 1
    made = getattr(generative, {"vae": "VAE", "pixelcnn": "PixelCNN"}[model])(**settings)
    return made.fit(train, val=val, steps=steps, seed=seed, progress=False, device="cpu")


class Sight:
    """A `Bonus`: the score in (0, 1] of the frame of s' under a frozen model, to a power.

    The 95 % quantile that scales the score is set by an expert's rarest frames, those of its start, so the score alone
    may fall too slowly to say where to go on; a power of 6 makes it exp(-6 excess), the scale of SMP (arXiv
    2512.03028). A VAE's error is steeper than a PixelCNN's: at 6 its score was 0 wherever a policy began, on two seeds
    of three. `power` defaults to the `POWERS` of its class.
    """

    def __init__(self, model: GenerativeModel, render: Render = toy_frames, power: float | None = None) -> None:
        self.model, self.render = model, render
        self.power = POWERS[type(model).__name__.lower()] if power is None else power

    def __call__(self, transitions: Transitions, done: np.ndarray | None = None) -> np.ndarray:
        """(N,) in (0, 1]."""
        return self.model.typicality(self.render(transitions.next_obs)).float().numpy() ** self.power

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: the model is frozen."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
