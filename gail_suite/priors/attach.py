"""What a run's priors do to it: read from their folders or the run's copies, and put together before the run is built.

RUN/priors/USE/     copy of the prior for a use, of a run that has one
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gail_suite.envs.savable import SavableVecEnv
from gail_suite.generative.core.backend import seeded
from gail_suite.learning.networks import Actor
from gail_suite.learning.rewards.discriminators import BottleneckDiscriminator
from gail_suite.learning.shown.pairs import Shown
from gail_suite.priors.behaviour import Behaviour, BehaviourConfig
from gail_suite.priors.bottleneck import BottleneckConfig, discriminator_of
from gail_suite.priors.latent_actions import LatentConfig, actor_of
from gail_suite.priors.prior import Prior, UseConfig, load_prior, read_about
from gail_suite.priors.shaping import Shaping, TypicalityConfig, Unshaped
from gail_suite.priors.starts import StartsConfig, starts_of
from gail_suite.priors.typicality import TypicalityBonus
from gail_suite.runs.config import Settings
from gail_suite.runs.runlog import EARLIER_PRIORS


@dataclass(frozen=True)
class PriorsConfig(Settings):
    """Priors of a run, by use."""

    typicality: TypicalityConfig = field(default_factory=TypicalityConfig)
    """A part of the reward."""
    behaviour: BehaviourConfig = field(default_factory=BehaviourConfig)
    """An anchor for the policy."""
    latent_action: LatentConfig = field(default_factory=LatentConfig)
    """A decoder of actions."""
    bottleneck: BottleneckConfig = field(default_factory=BottleneckConfig)
    """The encoder of the discriminator."""
    start: StartsConfig = field(default_factory=StartsConfig)
    """States in which episodes begin."""

    def uses(self) -> Iterator[tuple[str, UseConfig]]:
        """Every use, as `prior fit --use` calls it, and its config."""
        return ((f.name.replace("_", "-"), getattr(self, f.name)) for f in fields(self))


def group(use: str) -> str:
    """The settings of a use, such as priors.latent_action."""
    return f"priors.{use.replace('-', '_')}"


@dataclass(frozen=True)
class Attachments:
    """What priors do to a run; the defaults do nothing."""

    priors: Mapping[str, Prior] = field(default_factory=dict)
    """Use -> prior, to be copied into the run's folder."""
    discriminator: BottleneckDiscriminator | None = None
    """The network that the discriminator begins with."""
    nats: float = 0.0
    """What that network may know of a pair."""
    behaviour: Behaviour | None = None
    """A term of the actor's loss, and where a warm start may draw its actions."""
    shaping: Unshaped = field(default_factory=Unshaped)
    """How a bonus enters the reward."""
    bonus: TypicalityBonus | None = None
    """The bonus, which is computed when a step is collected."""
    make_actor: Callable[..., Actor] = Actor
    """The actor of (n_features, act_dim, hidden)."""
    wrap_env: Callable[[SavableVecEnv], SavableVecEnv] | None = None
    """Where episodes begin."""

    def constants(self) -> dict[str, np.ndarray]:
        """What checkpoints keep of it."""
        return {"expert.bonus": self.shaping.expert.numpy()} if isinstance(self.shaping, Shaping) else {}


def attach(
    config: PriorsConfig, shown: Shown, env_id: str, run_dir: Path | None, n_inputs: int, gamma: float, seed: int
) -> Attachments:
    """The priors of a run that imitates `shown`, ready to be built in.

    Args:
        run_dir: holds the copies where the run is resumed.
        n_inputs: width of the discriminator's rows.
        gamma: the learner's discount, for potentials.
        seed: of a discriminator's new head and of the states that episodes begin in.

    Raises:
        ValueError: no prior there, one of another environment or use, settings that do not go with it, or two priors
            that do not go together.
    """
    priors = _priors(config, shown, env_id, run_dir)
    made: dict[str, object] = {"priors": priors}
    if "bottleneck" in priors:
        with seeded(seed, torch.device("cpu")):
            made["discriminator"] = discriminator_of(priors["bottleneck"], shown.features, n_inputs)
        made["nats"] = config.bottleneck.nats
    if "behaviour" in priors:
        made["behaviour"] = Behaviour(priors["behaviour"], config.behaviour, shown.features)
    if "typicality" in priors:
        bonus = TypicalityBonus(priors["typicality"], gamma, config.typicality.potential)
        expert = shown.bonus if shown.demonstrations is None else bonus(shown.demonstrations.transitions())
        assert expert is not None
        made |= {"bonus": bonus, "shaping": Shaping(config.typicality, torch.from_numpy(expert))}
    if "latent-action" in priors:
        made["make_actor"] = actor_of(priors["latent-action"], config.latent_action)
    if "start" in priors:
        made["wrap_env"] = partial(starts_of, priors["start"], config.start, seed)
    return Attachments(**made)  # type: ignore[arg-type]


def _priors(config: PriorsConfig, shown: Shown, env_id: str, run_dir: Path | None) -> dict[str, Prior]:
    """Use -> prior, only of those that do something."""
    copies = None if shown.demonstrations is not None or run_dir is None else kept_copies(run_dir)
    found = {use: prior for use, c in config.uses() if (prior := _prior(use, c, env_id, copies)) is not None}
    if {"behaviour", "latent-action"} <= found.keys():
        raise ValueError(
            "a policy with latent actions knows the density of its wider action, a behaviour prior that of the action: "
            "leave out one of the two"
        )
    return found


def _prior(use: str, config: UseConfig, env_id: str, copies: Mapping[str, Path] | None) -> Prior | None:
    """The prior of one use: in a new run from the config, in a resumed one its copy."""
    if copies is not None:
        return load_prior(copies.get(use, config.path or "")) if config.active else None
    idle = [f"{group(use)}.{f.name}" for f in fields(config) if getattr(config, f.name) != f.default]
    if config.path is None:
        if config.weighs and idle:
            raise ValueError(
                f"{' and '.join(idle)} would do nothing without a prior: give --prior DIR ({group(use)}.path), "
                "the folder that gail-suite prior fit wrote"
            )
        return None
    about = read_about(config.path)
    if about["use"] != use:
        raise ValueError(f"{config.path} is a prior for {about['use']}, not for {use}: set {group(about['use'])}.path")
    if about["env_id"] != env_id:
        raise ValueError(
            f"the prior in {config.path} was fitted to {about['env_id']}, not to {env_id}: fit one to the "
            "demonstrations of this run"
        )
    return load_prior(config.path) if config.active else None


def keep_copies(priors: Mapping[str, Prior], run_dir: Path) -> None:
    """Puts the priors of a new run into its folder, in place of those that an earlier run left there."""
    for name in ("priors", *EARLIER_PRIORS):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    for use, prior in priors.items():
        prior.save(run_dir / "priors" / use)


def kept_copies(run_dir: Path) -> dict[str, Path]:
    """Use -> copy in a run's folder, also of a run of an earlier version."""
    folders = [run_dir / name for name in EARLIER_PRIORS if (run_dir / name).is_dir()]
    copies = {read_about(folder)["use"]: folder for folder in folders}
    if (run_dir / "priors").is_dir():
        copies |= {folder.name: folder for folder in (run_dir / "priors").iterdir()}
    return copies
