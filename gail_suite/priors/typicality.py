"""Typicality as a reward: how typical a frozen model finds transitions, in (0, 1], calibrated on held-out expert data.

typicality = exp(-relu(e - s) / (q - s)): e the model's error on (s, s'), s its median and q its 95 % quantile over
expert rows that the model was not fitted to. So half of an expert's transitions have 1, and 5 % less than 1/e, whatever
the model and the environment (after RED, Wang et al., 2019, where the scale is set by hand). A beginner's transitions
lie 10 to 400 times (q - s) away, where this is 0 and teaches nothing; with `tail` it is (1 + relu(e - s) / (q -
s))^-tail, in the same order and with a slope out there too. PixelCNN reads a window of two rows instead,
(s, a) above (s', middle), each number quantised: p(s) p(a | s) p(s' | s, a) of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Transitions
from gail_suite.generative.interface import calibration
from gail_suite.learning.shown.features import check_demonstrations, fit_features, state_columns
from gail_suite.priors.fitting import action_range, checked_settings, first_held_out, fitted_model, inputs, split
from gail_suite.priors.prior import Prior, Setting, facts, fit_prior

if TYPE_CHECKING:
    from gail_suite.generative import GenerativeModel

FOREIGN = 0.75
"""A trajectory whose mean typicality is under this share of held-out expert rows' (among others, of their median)
may be called foreign.
"""
SPREADS = 3
"""Among others it is also so many of their standard deviations below that median (by the median of their distances
from it): short episodes with starts or goals of their own differ by more than a fourth in one expert's hands.
"""
FEWEST_APART = 3
"""Held-out trajectories from which a prior knows how far the expert's own differ."""
FOLDS = 8
"""Most priors that are fitted to find the odd one among trajectories."""


def fit(
    demonstrations: Demonstrations,
    model: str = "gmm",
    seed: int = 0,
    control: str | None = None,
    *,
    value: float | None = None,
    states: bool = False,
    tail: float | None = None,
    **settings: Setting,
) -> Prior:
    """Typicality of the demonstrations' transitions under a model.

    A fourth of the trajectories, at least one, is held out for calibration (every fifth of 50 blocks where there are
    too few).

    Args:
        model: gmm, vae, ae, gan, pixelcnn, or constant (`value` for every transition).
        control: "untrained" (weights as drawn; the mixture is fitted to noise) or "shuffled" (each column permuted by
            itself), both calibrated on the true held-out rows.
        states: judge s' alone instead of (s, s'), as a potential needs it.
        tail: power by which it falls far from the expert; None for exponentially.
        settings: of the model's constructor, such as n_components.

    Raises:
        ValueError: unknown setting, too little data, a constant without value, or a tail that is not positive.
    """
    if tail is not None and not 0 < tail < math.inf:
        raise ValueError(f"tail={tail} must be a number above 0, or typicality would not fall far from the expert")
    if value is not None and model != "constant":
        raise ValueError(
            f"value={value} is the bonus of a constant prior; {model} finds its own: leave it out, or give --model "
            "constant"
        )
    shown = demonstrations.transitions()
    features = fit_features(shown.obs, state_columns(demonstrations.task))
    kept: Json = {"states": states} | {k: v for k, v in (("value", value), ("tail", tail)) if v is not None}
    made = facts("typicality", model, demonstrations, features, control, seed)
    if model == "constant":
        _check_constant(value, control, [*["tail"] * (tail is not None), *settings])
        return Prior(**made, settings=kept)
    arrays = action_range(demonstrations.task) if model == "pixelcnn" and not states else {}
    prior = Prior(**made, settings=kept | settings, arrays=arrays)
    train, held = (inputs(prior, part) for part in split(demonstrations))
    sizes = checked_settings(model, settings)
    fitted = fitted_model(model, train, held, seed, control, sizes)
    if model == "gan":
        kept["centre"] = float(fitted.error(train).median())
    fitted.calibration = calibration.scale_of(error(fitted, held, kept.get("centre")))
    kept |= sizes | {k: v for k, v in fitted.config.items() if v is not None}
    made |= {"arrays": arrays, "model": fitted}
    final = Prior(**made, settings=kept)
    kept["held_out_mean"] = float(_typicality(final, held).mean())
    apart = range(first_held_out(demonstrations), len(demonstrations))
    if len(apart) >= FEWEST_APART:
        kept["held_out_least"] = _least(np.array([_mean_typicality(final, demonstrations[i : i + 1]) for i in apart]))
    return final


def _check_constant(value: float | None, control: str | None, settings: list[str]) -> None:
    """ValueError for a constant prior without its value, or with anything else."""
    if control is not None or settings:
        given = ", ".join([f"control={control}"] * (control is not None) + settings)
        raise ValueError(f"a constant prior has nothing but value=V, got {given}: leave it out")
    if value is None or not 0 <= value <= 1:
        raise ValueError(
            "a constant prior needs value=V with V in [0, 1], the mean of the bonus it is to be compared with"
        )


def typicality(prior: Prior, transitions: Transitions) -> np.ndarray:
    """(N,) typicality of transitions in (0, 1]; of s' alone for a prior of states."""
    if prior.kind == "constant":
        return np.full(len(transitions), prior.settings["value"], np.float32)
    return _typicality(prior, inputs(prior, transitions)).float().numpy()


def error(model: GenerativeModel, x: Tensor, centre: float | None = None) -> Tensor:
    """(N,) the model's error, or its distance from `centre`.

    A critic's logit is trained where its generator draws and goes anywhere beyond, up as often as down; at the expert's
    it is nearly constant, so what is typical is a logit near the median of the expert's.
    """
    found = model.error(x)
    return found if centre is None else (found - centre).abs()


def _typicality(prior: Prior, x: Tensor) -> Tensor:
    assert prior.model is not None and prior.model.calibration is not None
    errors = error(prior.model, x, prior.settings.get("centre"))
    return calibration.typicality(errors, prior.model.calibration, prior.settings.get("tail"))


@dataclass(frozen=True)
class Ranked:
    """How typical one trajectory is."""

    index: int
    """Its place in the demonstrations."""
    mean: float
    """Mean typicality of its transitions."""
    length: int
    """Steps."""
    episode_return: float
    """Sum of the environment's own rewards, for the reader: typicality does not know them."""
    foreign: bool
    """Mean typicality under `FOREIGN` times what it is compared with."""


def rank(prior: Prior, demonstrations: Demonstrations) -> list[Ranked]:
    """The trajectories, the least typical first.

    Foreign is under `FOREIGN` times the mean of the rows that the prior held out; where it held out `FEWEST_APART`
    trajectories or more, as in `rank_among` with these for the others.

    Raises:
        ValueError: demonstrations of another environment.
    """
    if demonstrations.task != prior.env_id:
        raise ValueError(
            f"the demonstrations are of {demonstrations.task}, the prior of {prior.env_id}: fit a prior to "
            f"{demonstrations.task}"
        )
    check_demonstrations(demonstrations, prior.env_id)
    known = prior.settings
    least = known.get("held_out_least", FOREIGN * known.get("held_out_mean", 0.0))
    means = [_mean_typicality(prior, demonstrations[i : i + 1]) for i in range(len(demonstrations))]
    return _ranked(demonstrations, means, [least] * len(means))


def rank_among(demonstrations: Demonstrations, model: str = "gmm", seed: int = 0, **settings: Setting) -> list[Ranked]:
    """The trajectories, the least typical first, each judged by a prior that was fitted to others of them.

    A prior that has seen a trajectory finds it typical, and one that was calibrated on it finds everything typical; so
    each of up to `FOLDS` groups is judged by a prior of the rest. Foreign is under `FOREIGN` times the median of the
    other trajectories' means, and `SPREADS` of their standard deviations below it.

    Raises:
        ValueError: fewer than 3 trajectories, of which none is the odd one; or as for `fit`.
    """
    n = len(demonstrations)
    if n < 3:
        raise ValueError(
            f"{n} {'trajectory has' if n == 1 else 'trajectories have'} no odd one among them: give at least 3, or a "
            "prior of other demonstrations"
        )
    means = np.zeros(n)
    for fold in range(min(n, FOLDS)):
        others = demonstrations.chosen([i for i in range(n) if i % FOLDS != fold])
        prior = fit_prior(others, model, "typicality", seed, None, **settings)
        for i in range(fold, n, FOLDS):
            means[i] = _mean_typicality(prior, demonstrations[i : i + 1])
    return _ranked(demonstrations, means, [_least(np.delete(means, i)) for i in range(n)])


def _least(others: np.ndarray) -> float:
    """The mean typicality under which a trajectory is foreign among others, whose means (n - 1,) are given."""
    median = float(np.median(others))
    spread = 1.4826 * float(np.median(np.abs(others - median)))  # the standard deviation, of normal values
    return min(FOREIGN * median, median - SPREADS * spread)


def _mean_typicality(prior: Prior, demonstrations: Demonstrations) -> float:
    return float(typicality(prior, demonstrations.transitions()).mean())


def _ranked(demonstrations: Demonstrations, means: Iterable[float], least: list[float]) -> list[Ranked]:
    found = [
        Ranked(i, float(mean), len(t), t.episode_return, bool(mean < bound))
        for i, (t, mean, bound) in enumerate(zip(demonstrations, means, least, strict=True))
    ]
    return sorted(found, key=lambda r: r.mean)


class TypicalityBonus:
    """A prior's typicality of each step, or with `potential` gamma Phi(s') - Phi(s), Phi that of a state, 0 after a
    termination.

    Raises:
        ValueError: a potential of a prior that does not judge states by themselves.
    """

    def __init__(self, prior: Prior, gamma: float, potential: bool = False) -> None:
        if potential and not prior.settings["states"]:
            raise ValueError(
                "a potential is typicality of states, but this prior judges transitions: fit it with --set states=true"
            )
        self.prior, self.gamma, self.potential = prior, gamma, potential

    def __call__(self, transitions: Transitions, done: np.ndarray | None = None) -> np.ndarray:
        """(N,) bonus of transitions."""
        after = typicality(self.prior, transitions)
        if not self.potential:
            return after
        before = typicality(self.prior, replace(transitions, next_obs=transitions.obs))
        return (self.gamma * after * ~transitions.terminated - before).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: the prior is frozen."""
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
