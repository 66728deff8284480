"""What the uses of priors share: rows to fit and to calibrate on, models with settings for few rows, the two
controls.
"""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch import Tensor

from gail_suite.demos.names import known
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Transitions
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.priors.prior import Prior, Setting
from gail_suite.runs.config import converted

if TYPE_CHECKING:
    from gail_suite.generative import GenerativeModel

NOISE = 0.03
"""Standard deviation of the noise, in that of each column, under which the mixture is fitted."""
COMPONENTS = (1, 2, 4, 8, 16)
"""Sizes of mixture that are tried where none is asked for."""
REACH, LEVELS = 3.0, 16
"""PixelCNN's pictures cover this many standard deviations on both sides, in so many levels of grey."""
LEAST = 20
"""Rows on each side of a split by trajectories."""
SIZES: dict[str, dict[str, Setting]] = {
    "gmm": {"reg_covar": NOISE**2, "max_iter": 50},
    "ae": {"latent": 8, "hidden": 128, "noise": 0.1, "mixture": 0, "batch_size": 128, "steps": 1000},
    "vae": {"latent": 8, "hidden": 128, "min_sd": 0.05, "k_eval": 16, "batch_size": 128, "steps": 1000},
    "gan": {"latent": 16, "hidden": 128, "r1": 1.0, "lr": 5e-4, "batch_size": 128, "steps": 1500},
    "pixelcnn": {"features": 24, "layers": 3, "levels": LEVELS, "steps": 400},
}
"""Model settings, and steps of training, for a few hundred to some thousand rows."""


class Rate(TypedDict, total=False):
    """The learning rate among the settings of a model; left out for the model's own."""

    lr: float


def rate(control: str | None) -> Rate:
    """That of the `untrained` control is 0."""
    return {"lr": 0.0} if control == "untrained" else {}


def inputs(prior: Prior, t: Transitions) -> Tensor:
    """What the model sees of transitions: (N, 2F), (N, F) for states, or pictures (N, 1, rows, columns) for
    PixelCNN.
    """
    after = prior.features(t.next_obs)
    rows = [after] if prior.settings["states"] else [prior.features(t.obs), after]
    if prior.kind != "pixelcnn":
        return torch.from_numpy(np.concatenate(rows, 1))
    if not prior.settings["states"]:
        low, high = prior.arrays["act_low"], prior.arrays["act_high"]
        actions = REACH * to_unit(t.actions, low, high)
        rows = [np.concatenate(pair, 1) for pair in zip(rows, (actions, np.zeros_like(actions)), strict=True)]
    return picture(np.stack(rows, 1))


def picture(values: np.ndarray) -> Tensor:
    """Standardised numbers (N, H, W) as images (N, 1, H, W) of `LEVELS` greys in [0, 1]."""
    unit = np.clip(values / (2 * REACH) + 0.5, 0, 1)
    return torch.from_numpy(np.round(unit * (LEVELS - 1)) / (LEVELS - 1)).float().unsqueeze(1)


def picture_values(pictures: np.ndarray) -> np.ndarray:
    """(N, W) standardised numbers of pictures (N, 1, 1, W), those in the middle of each grey."""
    return ((pictures - 0.5) * 2 * REACH).reshape(len(pictures), -1)


def split(demonstrations: Demonstrations) -> tuple[Transitions, Transitions]:
    """Rows to fit, and rows to calibrate on: of other trajectories, or every fifth block of the only one.

    Where whole trajectories would leave fewer than `LEAST` rows on a side, they are taken as one.

    Raises:
        ValueError: fewer than `LEAST` rows in all.
    """
    n = len(demonstrations)
    if demonstrations.n_pairs < LEAST:
        raise ValueError(
            f"{demonstrations.n_pairs} pairs are too few to fit a prior and calibrate it: give at least {LEAST}"
        )
    first = first_held_out(demonstrations)
    if first < n:
        return demonstrations[:first].transitions(), demonstrations[first:].transitions()
    block = max(1, demonstrations.n_pairs // 50)  # whole blocks, since neighbours are alike
    held = np.arange(demonstrations.n_pairs) // block % 5 == 4
    t = demonstrations.transitions()
    return t.rows(~held), t.rows(held)


def first_held_out(demonstrations: Demonstrations) -> int:
    """The first of the trajectories that `split` holds out, their number where it splits all of them as one."""
    n = len(demonstrations)
    first = n - max(1, n // 4)
    lengths = [demonstrations[i : i + 1].n_pairs for i in range(n)]
    return first if min(sum(lengths[:first]), sum(lengths[first:])) >= LEAST else n


def action_range(env_id: str) -> dict[str, np.ndarray]:
    """The smallest and largest action, for scaling actions to [-1, 1]."""
    low, high = action_bounds(env_id)
    return {"act_low": low, "act_high": high}


def fitted_model(
    model: str, train: Tensor, held: Tensor, seed: int, control: str | None, settings: Json
) -> GenerativeModel:
    """A model fitted to rows (N, D) or pictures; its calibration is left to the use."""
    if control == "shuffled":
        train, held = shuffled(train, seed), shuffled(held, seed)
    options: Json = {"seed": seed, "progress": False, "device": "cpu"}
    if model == "gmm":
        if control == "untrained":
            generator = torch.Generator().manual_seed(seed)
            train, held = (torch.randn(x.shape, generator=generator) for x in (train, held))
        return _mixture(train, held, settings, options)
    settings, options["steps"] = dict(settings), settings.get("steps")
    settings.pop("steps", None)
    if control == "untrained":
        settings["lr"], options["steps"] = 0.0, 1
    return _class(model)(**settings).fit(train, val=held, **options)


def _mixture(train: Tensor, held: Tensor, settings: Json, options: Json) -> GenerativeModel:
    """The mixture of the size asked for, or the one that gives held-out rows the largest likelihood."""
    tried = (
        [settings["n_components"]]
        if "n_components" in settings
        else [k for k in COMPONENTS if k == 1 or 10 * k <= len(train)]
    )
    options["steps"] = settings.get("max_iter", 100)  # enough is enough, and no reason for a warning
    found = [_class("gmm")(**settings | {"n_components": k}).fit(train, val=held, **options) for k in tried]
    return max(found, key=lambda m: float(m.log_prob(held).mean()))


def shuffled(x: Tensor, seed: int) -> Tensor:
    """Each column of (N, ...) permuted by itself: every number keeps its distribution, none its company."""
    generator = torch.Generator().manual_seed(seed)
    flat = x.reshape(len(x), -1)
    order = torch.rand(flat.shape, generator=generator).argsort(0)
    return flat.gather(0, order).view_as(x)


def _class(model: str) -> type[GenerativeModel]:
    from gail_suite import generative

    names = {"gmm": "GaussianMixture", "vae": "VAE", "ae": "AutoEncoder", "gan": "GAN", "pixelcnn": "PixelCNN"}
    return getattr(generative, names[model])


def checked_settings(model: str, settings: Json) -> Json:
    """The model's settings with ours in place of its defaults; ValueError for one it does not have."""
    from gail_suite.generative.training.recipe import Recipe

    taken = inspect.signature(_class(model)).parameters
    names = [name for name, p in taken.items() if p.kind is not p.VAR_KEYWORD] + ["steps"] * (model != "gmm")
    if model in ("gan", "pixelcnn"):
        names += inspect.signature(Recipe).parameters
    if model == "pixelcnn" and settings.get("levels", LEVELS) != LEVELS:
        raise ValueError(f"levels={settings['levels']}: a prior's pictures have {LEVELS} greys, so leave it out")
    hints = typing.get_type_hints(_class(model).__init__) | typing.get_type_hints(Recipe)
    for name in settings:
        known("setting", name, names)
    return SIZES[model] | {name: converted(value, hints[name], name) for name, value in settings.items()}
