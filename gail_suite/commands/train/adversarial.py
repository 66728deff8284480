"""`gail-suite train gail | airl`: a discriminator's opinion as the reward."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.parameters import Flag
from gail_suite.commands.train.shared import LONG_RUN, TRAINING, LongRun, Recipe, Training, train_long


def gail(
    *,
    generator: Literal["sac", "ppo", "trpo"] = "sac",
    device: str = "cpu",
    prior: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    preset: Literal["few-steps"] | None = None,
    state_only: Flag = False,
    starts: float | None = None,
    long: LongRun = LONG_RUN,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Generative adversarial imitation: a discriminator's logit is the reward.

    Parameters
    ----------
    generator
        Learner: sac (off-policy, the default), ppo or trpo (on-policy).
    device
        cpu, cuda, or auto for cuda where there is one; layers of 256 units are small enough for a processor.
    prior
        Folder of a prior, as `gail-suite prior fit` writes it (sac only); may be given several times, for several uses.
        How much it does is set by priors.USE, such as --set priors.typicality.weight=0.2.
    preset
        Settings for other circumstances: few-steps where the simulator is slow (sac only).
    state_only
        Learn from states alone, as where there are no actions and none can be found by trying (sac only).
    starts
        Share of the environments whose episodes begin in demonstrated states, half of them where the simulator can be
        put into one; 0 for none (sac only).
    """
    settings = (
        *_prior_settings(generator, prior, long.resume),
        *_own_settings(generator, preset, state_only, starts, long.resume),
    )
    training = replace(training, set=(*settings, *training.set))
    from gail_suite.algorithms.gail import GAIL, PRESETS, GAILConfig

    if long.resume is not None and generator != "sac":
        raise ValueError(f"a resumed run keeps its learner: leave out --generator {generator}, or start a new run")
    if generator == "sac":
        defaults = GAILConfig() if preset is None else PRESETS[preset]()
        recipe = Recipe("gail", GAIL, defaults, "loop.n_envs", device=device)
    else:
        from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, onpolicy_config

        if device != "cpu":
            raise ValueError(f"--generator {generator} trains on the processor: leave out --device {device}")
        recipe = Recipe("gail", OnPolicyGAIL, onpolicy_config(generator), "learner.n_envs")
    train_long(recipe, long, training, output)


def airl(
    *,
    generator: Literal["ppo", "trpo"] | None = None,
    long: LongRun = LONG_RUN,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Adversarial inverse reinforcement learning: the reward that is learned can be kept.

    Parameters
    ----------
    generator
        Learner: ppo (the default) or trpo.
    """
    from gail_suite.algorithms.airl import AIRL, AIRLConfig

    settings = () if generator is None else (f"learner.generator={generator}",)
    recipe = Recipe("airl", AIRL, AIRLConfig(), "learner.n_envs", settings)
    train_long(recipe, long, training, output)


def _prior_settings(generator: str, folders: tuple[Path, ...], resume: Path | None) -> tuple[str, ...]:
    """The folders of priors as settings; prior.json says what each is for."""
    if not folders:
        return ()
    if resume is not None:
        raise ValueError("a resumed run keeps its priors: leave out --prior, or start a new run")
    if generator != "sac":
        raise ValueError(
            f"a prior needs the off-policy learner: leave out --generator {generator} (a bottleneck works there "
            "without one: --set discriminator.bottleneck=0.5)"
        )
    from gail_suite.priors.attach import group
    from gail_suite.priors.prior import read_about

    found: dict[str, Path] = {}
    for folder in folders:
        use = read_about(folder)["use"]
        if use in found:
            raise ValueError(
                f"{found[use]} and {folder} are both for {use}, of which a run has one: leave one of them out"
            )
        found[use] = folder
    # paths are quoted, since values are read as YAML
    return tuple(f"{group(use)}.path={json.dumps(str(path), ensure_ascii=False)}" for use, path in found.items())


def _own_settings(
    generator: str, preset: str | None, state_only: bool, starts: float | None, resume: Path | None
) -> list[str]:
    """The options that only the off-policy learner has, as settings."""
    settings = ["adversary.state_only=true"] * state_only + [
        f"starts.share={starts}" for _ in [starts] if starts is not None
    ]
    given = {"preset": preset is not None, "state-only": state_only, "starts": starts is not None}
    names = [f"--{name}" for name, there in given.items() if there]
    if names and (generator != "sac" or resume is not None):
        why = f"{generator} has settings of its own" if resume is None else "a resumed run keeps its settings"
        raise ValueError(f"{why}: leave out {' and '.join(names)}, or start a new run with --generator sac")
    return settings
