"""Behaviour priors: p0(a|s) of the demonstrations as a warm start of the policy, and as what it must not stray from.

The actor's loss gets weight_t * E_s KL(pi(.|s) || p0(.|s)), with E_pi[log pi - log p0] taken on the sample that the
actor's step has drawn anyway (KL-regularised RL: Galashov et al., 2019; Tirumala et al., 2022). The weight falls
linearly from `weight` to `weight_final`, or is a multiplier that holds the KL at `target_kl` nats. Deviation from these
papers: the KL stands in the actor's loss alone, not in the critics' targets, since rewards here come from a
discriminator that must stay comparable between policies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Transitions
from gail_suite.generative.core.backend import normal_like, seeded
from gail_suite.generative.mixtures.gmm import GaussianMixture
from gail_suite.generative.training.fit import fit_likelihood
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe
from gail_suite.learning.rewards.dual import Dual
from gail_suite.learning.schedule import linear
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.learning.shown.features import Features, fit_features, state_columns
from gail_suite.priors.action_mixture import ActionMixture
from gail_suite.priors.action_pixelcnn import ActionPixelCNN
from gail_suite.priors.fitting import shuffled, split
from gail_suite.priors.prior import Prior, UseConfig, facts
from gail_suite.runs.config import NonNegative, finite

COMPONENTS, NOISES, DOFS = (1, 2, 4, 8, 16), (0.1, 0.2), (2.0, 8.0, 32.0, math.inf)
"""Mixtures that are tried where none is asked for; the noise is in units of features and of actions in [-1, 1]."""
JITTER, NEAR = 0.5, 0.2
"""Noise on the features under which the autoregressive model is fitted, and around the states of a warm start."""
NOT_OF = {"gmm": ("levels", "width", "depth", "hidden", "steps"), "pixelcnn": ("components", "noise", "dof")}
"""Settings of the other model."""
RECIPE = Recipe(batch_size=128, lr=2e-3, weight_decay=1e-3, eval_every=100, patience=4, precision="float32")


@dataclass(frozen=True)
class BehaviourConfig(UseConfig):
    """An anchor for the policy: a KL to the behaviour prior in the actor's loss."""

    weight: NonNegative = 0.05
    """Weight of the KL at the start of the run; where the multiplier begins with `target_kl`."""
    weight_final: NonNegative | None = 0.0
    """The same at the end (linear); null keeps it constant. Not followed with `target_kl`."""
    target_kl: NonNegative | None = None
    """Nats between policy and prior that a multiplier holds; null follows the weights. A mixture's p0 counts its mass
    outside the action range too, which makes its nats too many, by log 2 for every action whose mean lies on the bound.
    """
    dual_rate: NonNegative = 0.001
    """Largest step of that multiplier."""
    warm_start: bool = False
    """Start from actions drawn from the prior around the demonstrated states, not from the demonstrated ones."""

    AMOUNTS: ClassVar[tuple[str, ...]] = ("weight", "weight_final")

    def __post_init__(self) -> None:
        super().__post_init__()
        finite(self, "weight", "weight_final", "target_kl", "dual_rate")


class ActionDensity(Protocol):
    """p0(a|s) on features (B, F) and actions (B, A) in [-1, 1]."""

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """Nats (B,), differentiable in the actions."""

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """(B, A)."""


def fit(
    demonstrations: Demonstrations,
    model: str = "gmm",
    seed: int = 0,
    control: str | None = None,
    *,
    components: int | None = None,
    noise: float | None = None,
    dof: float | None = None,
    levels: int = 11,
    width: int = 32,
    depth: int = 2,
    hidden: int = 128,
    steps: int = 1500,
) -> Prior:
    """p0(a|s) of the demonstrations; `settings["held_out"]` is its mean log-likelihood on pairs it was not fitted to,
    nats.

    Args:
        model: gmm (a joint mixture with full covariances, conditioned) or pixelcnn (`ActionPixelCNN`).
        components, noise, dof: of the mixture; chosen on held-out pairs where not given. The square of the noise is
            added to every variance, so the noise is also the least deviation of an action. With degrees of freedom dof
            the components are Student's t, whose conditional widens where a state is foreign; inf keeps them Gaussian.
        levels, width, depth, hidden, steps: of the autoregressive model. Few levels are the smoother density: of 200
            pairs of Ant, 11 under a jitter of 0.5 gave held-out actions 2.6 nats more than 21 under 0.2.

    Raises:
        ValueError: a size below the least, or noise that is no standard deviation.
    """
    sizes = {"levels": levels, "width": width, "depth": depth, "hidden": hidden}
    _check({"components": components, "steps": steps, **sizes}, noise, dof)
    shown, env_id = demonstrations.transitions(), demonstrations.task
    features = fit_features(shown.obs, state_columns(env_id))
    train, held = (_pairs(features, env_id, part) for part in split(demonstrations))
    truth, n = held, len(features.columns)
    if control == "shuffled":
        train, held = shuffled(train, seed), shuffled(held, seed)
    made = facts("behaviour", model, demonstrations, features, control, seed)
    if model == "gmm":
        if control == "untrained":
            generator = torch.Generator().manual_seed(seed)
            train, held = (torch.randn(x.shape, generator=generator) for x in (train, held))
        prior = Prior(**made, **_mixture_parts(_mixture(train, held, n, components, noise, dof, seed)))
    else:
        net = _network(train, held, n, 0 if control == "untrained" else steps, seed, sizes)
        arrays = {f"net.{k}": v.numpy() for k, v in net.state_dict().items()}
        prior = Prior(**made, arrays=arrays, settings=sizes | {"n_actions": train.shape[1] - n})
    with torch.no_grad():
        prior.settings["held_out"] = float(density_of(prior).log_prob(truth[:, :n], truth[:, n:]).mean())
    return prior


def _check(sizes: Mapping[str, int | None], noise: float | None, dof: float | None) -> None:
    """ValueError for a size below the least, or noise that is no standard deviation."""
    for name, number in sizes.items():
        least = 2 if name == "levels" else 1
        if number is not None and number < least:
            raise ValueError(f"{name}={number} must be at least {least}")
    if noise is not None and not 0 < noise < math.inf:
        raise ValueError(f"noise={noise} is a standard deviation: give a number above 0")
    if dof is not None and not dof > 0:
        raise ValueError(f"dof={dof} must be degrees of freedom above 0, or inf for Gaussian components")


def _mixture_parts(found: tuple[GaussianMixture, float]) -> Json:
    """A mixture and its degrees of freedom as arguments of `Prior`; JSON has no infinity."""
    mixture, dof = found
    sizes = {"components": mixture.config["n_components"], "noise": mixture.config["reg_covar"] ** 0.5}
    return {"model": mixture, "settings": sizes | {"dof": None if math.isinf(dof) else dof}}


def density_of(prior: Prior) -> ActionDensity:
    """p0 of a prior, on the prior's own features; frozen."""
    n, s = len(prior.features.columns), prior.settings
    if prior.kind == "gmm":
        assert isinstance(prior.model, GaussianMixture)
        return ActionMixture(prior.model, n, s.get("dof") or math.inf)
    net = ActionPixelCNN(n, s["n_actions"], s["levels"], s["width"], s["depth"], s["hidden"])
    weights = {k.removeprefix("net."): torch.from_numpy(np.array(v)) for k, v in prior.arrays.items()}
    net.load_state_dict(weights)
    return net.requires_grad_(False).eval()


class Behaviour:
    """What a behaviour prior does to a run whose actor sees `features`.

    Raises:
        ValueError: settings of the multiplier without a target, or a final weight beside one.
    """

    def __init__(self, prior: Prior, config: BehaviourConfig, features: Features) -> None:
        if config.target_kl is None and config.dual_rate != BehaviourConfig.dual_rate:
            raise ValueError(
                "priors.behaviour.dual_rate is the step of the multiplier that holds priors.behaviour.target_kl, which "
                "is not set: set both or neither"
            )
        if config.target_kl is not None and config.weight_final:
            raise ValueError(
                "priors.behaviour.target_kl sets the weight by itself, so priors.behaviour.weight_final cannot: set "
                "one of them"
            )
        self.density, self.config = density_of(prior), config
        self.columns, self.scale, self.shift = (torch.from_numpy(a) for a in features.into(prior.features))
        self.dual = None if config.target_kl is None else Dual(config.target_kl, config.dual_rate, config.weight)

    def penalty(self, fraction: float, sample: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The actor's term, and what to report, of a run that is `fraction` in [0, 1] done.

        Args:
            sample: features (B, F), actions drawn from the policy there (B, A), their log-probabilities (B,), on any
                device; the prior is evaluated on the processor.
        """
        features, actions, log_prob = (part.cpu() for part in sample)
        kl = (log_prob - self.density.log_prob(self._seen(features), actions)).mean()
        weight = (
            self.dual.beta if self.dual is not None else linear(self.config.weight, self.config.weight_final, fraction)
        )
        term = self.dual.penalty(kl) if self.dual is not None else weight * kl
        return term.to(sample[2].device), {"prior_kl": kl.detach(), "prior_weight": torch.tensor(weight)}

    def warm_start(self, features: Tensor, copies: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """States around the demonstrated ones (copies * N, F), and actions drawn from the prior there, to clone."""
        near = features.repeat(copies, 1)
        near = near + NEAR * torch.randn(near.shape, generator=generator)
        return near, self.density.sample(self._seen(near), generator)

    def _seen(self, features: Tensor) -> Tensor:
        return features[:, self.columns] * self.scale + self.shift

    def state(self) -> dict[str, np.ndarray]:
        """The multiplier, where there is one."""
        return {} if self.dual is None else {"prior_beta": np.array(self.dual.beta)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        if self.dual is not None:
            self.dual.beta = float(arrays["prior_beta"])


def _pairs(features: Features, env_id: str, t: Transitions) -> Tensor:
    """(N, F + A): features, and actions scaled to [-1, 1]."""
    return torch.from_numpy(
        np.concatenate([features(t.obs), to_unit(t.actions, *action_bounds(env_id))], 1).astype(np.float32)
    )


def _mixture(
    train: Tensor, held: Tensor, n: int, components: int | None, noise: float | None, dof: float | None, seed: int
) -> tuple[GaussianMixture, float]:
    """The joint mixture, and its degrees of freedom, whose conditional gives the held-out actions the largest
    likelihood.
    """

    def candidates() -> Iterator[tuple[GaussianMixture, float]]:
        for k in (components,) if components else [k for k in COMPONENTS if k == 1 or 10 * k <= len(train)]:
            for sd in (noise,) if noise else NOISES:
                mixture = GaussianMixture(k, reg_covar=sd**2).fit(
                    train, val=held, steps=50, seed=seed, device="cpu", progress=False
                )
                yield from ((mixture, each) for each in ((dof,) if dof else DOFS))

    return max(
        candidates(), key=lambda m: float(ActionMixture(m[0], n, m[1]).log_prob(held[:, :n], held[:, n:]).mean())
    )


def _network(train: Tensor, held: Tensor, n: int, steps: int, seed: int, settings: dict[str, int]) -> ActionPixelCNN:
    def loss(actions: Tensor, features: Tensor | None) -> Tensor:
        assert features is not None
        # evaluation sees the states as they are, training their neighbourhood
        jitter = JITTER * normal_like(features) if net.training else 0.0
        return -net.log_prob(features + jitter, actions)

    with seeded(seed, torch.device("cpu")):
        net = ActionPixelCNN(n, train.shape[1] - n, **settings)
        if steps:
            options = FitOptions(steps, seed, torch.device("cpu"), False, None, None, False)
            fit_likelihood(net, loss, (train[:, n:], train[:, :n]), (held[:, n:], held[:, :n]), options, RECIPE)
    return net
