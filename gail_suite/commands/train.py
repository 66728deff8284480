"""`gail-suite train bc | gail | airl | sqil | dagger`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import (
    DEFAULT,
    Output,
    beside_expert,
    can_run,
    check_resume,
    check_resume_from,
    command,
    filming,
    note,
    run_folder,
    some_of,
)
from gail_suite.commands.parameters import TASK, Flag, Task, Trust

if TYPE_CHECKING:
    from gail_suite.algorithms.trainer import Imitator, Run, Trainer
    from gail_suite.demos.trajectory import Demonstrations
    from gail_suite.runs.config import Settings
    from gail_suite.runs.runlog import Logger


@Parameter(name="*")
@dataclass(frozen=True)
class Training:
    """What every kind of training from demonstrations takes."""

    demos: Path | None = None
    """Folder of demonstrations, as `gail-suite record` writes it."""
    task: Task = TASK
    """Its environment; by default the one of the demonstrations, with its arguments."""
    take: int | None = None
    """Use this many of the trajectories, chosen by --seed."""
    subsample: int | None = None
    """Use every K-th pair of each trajectory, from a random start chosen by --seed."""
    steps: int | None = None
    """Length of the training (environment steps; gradient steps for bc)."""
    seed: int = 0
    """Seed of everything random."""
    out: Path | None = None
    """Run directory; by default runs/ALGO-ENV-SEED."""
    config: Path | None = None
    """YAML file of settings; --show-config prints one."""
    set: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """One setting, such as --set sac.gamma=0.99; may be given several times."""
    show_config: Flag = False
    """Print the settings that would be used, with their explanations, and stop."""
    eval_episodes: int = 20
    """Episodes of the final evaluation; 0 for none."""
    video: Flag = False
    """Film the learned policy beside the bundled expert at the end."""
    strict: Flag = False
    """Refuse demonstrations that were recorded with other physics."""
    logger: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A function that is told of each row of metrics, as module:function or FILE.py:function, such as wandb:log; it is
    called with a dictionary and step=."""


TRAINING = Training()


@Parameter(name="*")
@dataclass(frozen=True)
class Keeping:
    """Which policy is kept beside the final one, and when training ends for want of a better."""

    keep_best: Literal["distance", "return"] | None = None
    """Keep the best policy of the evaluations in RUN/best: by distance from the demonstrated states, which reads no
    reward, or by the task's return."""
    patience: int | None = None
    """End after this many evaluations without a better policy, by distance where --keep-best says nothing else."""

    def settings(self, resume: Path | None) -> list[str]:
        """The options as settings; ValueError for a resumed run, which has its own."""
        given = {"keep.best": self.keep_best or (self.patience and "distance"), "keep.patience": self.patience}
        found = [f"{name}={value}" for name, value in given.items() if value is not None]
        if found and resume is not None:
            raise ValueError(
                "a resumed run keeps its settings: leave out --keep-best and --patience, or start a new run"
            )
        return found


KEEPING = Keeping()


def bc(*, training: Training = TRAINING, output: Output = DEFAULT) -> None:
    """Behaviour cloning: fit the demonstrated actions."""
    from gail_suite.algorithms.bc import BC, BCConfig

    trainer = _fresh(Recipe("bc", BC, BCConfig()), training, output)
    if trainer is not None:
        loggers = [logger_of(name) for name in training.logger]
        # too short to be stopped and resumed
        run = trainer.train(training.steps, eval_episodes=0, quiet=output.quiet, loggers=loggers)
        _finish(trainer, run, training, output)


def gail(
    *,
    generator: Literal["sac", "ppo", "trpo"] = "sac",
    num_envs: int | None = None,
    device: str = "cpu",
    prior: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    preset: Literal["few-steps"] | None = None,
    state_only: Flag = False,
    starts: float | None = None,
    resume: Path | None = None,
    resume_from: int | None = None,
    keeping: Keeping = KEEPING,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Generative adversarial imitation: a discriminator's logit is the reward.

    Parameters
    ----------
    generator
        Learner: sac (off-policy, the default), ppo or trpo (on-policy).
    num_envs
        Environments stepped together.
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
    resume
        Run directory to go on with; nothing else is needed.
    resume_from
        Step of the checkpoint to resume from; by default the newest that is sound.
    """
    check_resume_from(resume, resume_from)
    settings = (
        *_prior_settings(generator, prior, resume),
        *_own_settings(generator, preset, state_only, starts, resume),
        *keeping.settings(resume),
    )
    training = replace(training, set=(*settings, *training.set))
    from gail_suite.algorithms.gail import GAIL, PRESETS, GAILConfig

    if resume is not None and generator != "sac":
        raise ValueError(f"a resumed run keeps its learner: leave out --generator {generator}, or start a new run")
    if generator == "sac":
        defaults = GAILConfig() if preset is None else PRESETS[preset]()
        recipe = Recipe("gail", GAIL, defaults, "loop.n_envs", device=device)
    else:
        from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, onpolicy_config

        if device != "cpu":
            raise ValueError(f"--generator {generator} trains on the processor: leave out --device {device}")
        recipe = Recipe("gail", OnPolicyGAIL, onpolicy_config(generator), "learner.n_envs")
    _adversarial(replace(recipe, at=resume_from), num_envs, resume, training, output)


def airl(
    *,
    generator: Literal["ppo", "trpo"] | None = None,
    num_envs: int | None = None,
    resume: Path | None = None,
    resume_from: int | None = None,
    keeping: Keeping = KEEPING,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Adversarial inverse reinforcement learning: the reward that is learned can be kept.

    Parameters
    ----------
    generator
        Learner: ppo (the default) or trpo.
    num_envs
        Environments stepped together.
    resume
        Run directory to go on with; nothing else is needed.
    resume_from
        Step of the checkpoint to resume from; by default the newest that is sound.
    """
    from gail_suite.algorithms.airl import AIRL, AIRLConfig

    check_resume_from(resume, resume_from)
    settings = () if generator is None else (f"learner.generator={generator}",)
    training = replace(training, set=(*keeping.settings(resume), *training.set))
    recipe = Recipe("airl", AIRL, AIRLConfig(), "learner.n_envs", settings)
    _adversarial(replace(recipe, at=resume_from), num_envs, resume, training, output)


def sqil(
    *,
    num_envs: int | None = None,
    device: str = "cpu",
    resume: Path | None = None,
    resume_from: int | None = None,
    keeping: Keeping = KEEPING,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Soft Q imitation learning: soft actor-critic with reward 1 for the expert's steps and 0 for one's own.

    Parameters
    ----------
    num_envs
        Environments stepped together.
    device
        cpu, cuda, or auto for cuda where there is one.
    resume
        Run directory to go on with; nothing else is needed.
    resume_from
        Step of the checkpoint to resume from; by default the newest that is sound.
    """
    from gail_suite.algorithms.sqil import SQIL, SQILConfig

    check_resume_from(resume, resume_from)
    training = replace(training, set=(*keeping.settings(resume), *training.set))
    recipe = Recipe("sqil", SQIL, SQILConfig(), "loop.n_envs", device=device, at=resume_from)
    _adversarial(recipe, num_envs, resume, training, output)


def dagger(
    *,
    expert: str,
    trust: Trust = False,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Data set aggregation: clone, act, ask the expert what it would have done there, clone again; steps are rounds.

    Parameters
    ----------
    expert
        Whom to ask: "bundled", a run directory, a policy folder, or an SB3 zip (with --trust).
    """
    from gail_suite.algorithms.dagger import DAgger, DAggerConfig
    from gail_suite.commands.common import find_policy

    _, env_id = _shown(training)
    asked, _ = find_policy(expert, replace(training.task, env=env_id), trust)
    kind: type[Imitator[Settings]] = partial(DAgger, expert=asked)  # type: ignore[assignment]
    trainer = _fresh(Recipe("dagger", kind, DAggerConfig()), training, output)
    if trainer is not None:
        _finish(trainer, trainer.train(training.steps, eval_episodes=0, quiet=output.quiet), training, output)


@dataclass(frozen=True)
class Recipe:
    """An algorithm, the settings of a run that is told none, and what its options set."""

    algo: str
    kind: type[Imitator[Settings]]
    defaults: Settings
    n_envs_setting: str = ""
    settings: tuple[str, ...] = ()
    device: str = "cpu"
    at: int | None = None


def _adversarial(recipe: Recipe, num_envs: int | None, resume: Path | None, training: Training, output: Output) -> None:
    if resume is not None:
        trainer: Trainer[Settings] | None = _resumed(recipe, resume, num_envs, training)
    else:
        pairs = () if num_envs is None else (f"{recipe.n_envs_setting}={num_envs}",)
        trainer = _fresh(recipe, replace(training, set=(*recipe.settings, *pairs, *training.set)), output)
    if trainer is not None:
        _train(trainer, training, output)


def _resumed(recipe: Recipe, run_dir: Path, num_envs: int | None, training: Training) -> Trainer[Settings]:
    from gail_suite.runs.records import config_of

    given = [*_settled(training), *["num-envs"] * (num_envs is not None), *["generator"] * bool(recipe.settings)]
    check_resume(run_dir, recipe.algo, given)
    training.task.load()
    _check_ending(training, config_of(run_dir).get("env_id"))
    return recipe.kind.resume(run_dir, _device(recipe.device), recipe.at)


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


def _fresh(recipe: Recipe, training: Training, output: Output) -> Trainer[Settings] | None:
    """The trainer of a new run, or None where its settings were shown instead."""
    from gail_suite.algorithms.gail import GAILConfig
    from gail_suite.learning.plan import fitted
    from gail_suite.runs.config import build, describe, length

    if training.steps is not None:
        length(training.steps, training.steps)
    config = build(fitted(recipe.defaults, training.steps), training.config, training.set)
    if training.show_config:
        if training.steps is not None and hasattr(config, "steps"):
            config = replace(config, steps=training.steps)  # type: ignore[call-arg]
        output.result({"path": None}, describe(config).rstrip())
        return None
    from gail_suite import envs

    shown, env_id = _shown(training)
    _check_ending(training, env_id)
    resume = None if recipe.algo in ("bc", "dagger") else command("train", recipe.algo, "--resume")
    run_dir = run_folder(training.out, f"{recipe.algo}-{envs.names.bare(env_id)}-{training.seed}", resume)
    if isinstance(config, GAILConfig) and (config.adversary.state_only or not shown.has_actions):
        steps = config.inverse.simulate * shown.n_pairs
        told = f"trying which lead from state to state, {steps:,} steps at most for {shown.n_pairs} pairs"
        output.say("without recorded actions: " + (told if steps else "a model of the dynamics guesses them"))
    return recipe.kind(env_id, shown, config, training.seed, run_dir, _device(recipe.device))


def _shown(training: Training) -> tuple[Demonstrations, str]:
    """The demonstrations that were asked for, and their environment."""
    from gail_suite import demos, envs

    if training.demos is None:
        raise ValueError("train on which demonstrations? give --demos DIR; record some with gail-suite record")
    training.task.load()
    shown = demos.load(training.demos, strict=training.strict)
    env_id = training.task.name(shown.task) or shown.task
    if envs.names.bare(env_id) != envs.names.bare(shown.task):
        raise ValueError(f"{training.demos} was recorded on {shown.env_id}, not on {env_id}: leave out --env")
    return some_of(shown, training.take, training.subsample, training.seed), env_id


def _check_ending(training: Training, env_id: str | None) -> None:
    """ValueError, before the training, for what cannot be done in it or after it."""
    for name in training.logger:
        logger_of(name)
    if training.eval_episodes < 0:
        raise ValueError(f"--eval-episodes is {training.eval_episodes}: give 0 for no evaluation, or more")
    if training.video and env_id is not None:
        from gail_suite.showing.video import check_filmable

        check_filmable(env_id)


def _train(trainer: Trainer[Settings], training: Training, output: Output) -> None:
    from gail_suite.learning.plan import OffPolicyConfig, plan
    from gail_suite.runs.config import length
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    total = length(training.steps, trainer.total_steps)
    if isinstance(trainer.config, OffPolicyConfig) and not output.quiet:
        note(str(plan(trainer.config, total)))
    with stop_on_signals():
        loggers = [logger_of(name) for name in training.logger]
        run = trainer.train(training.steps, eval_episodes=0, quiet=output.quiet, loggers=loggers)
        if stop_requested():
            note(f"stopped; go on with: {command('train', trainer.algo, '--resume', trainer.run_dir)}")
            raise StopRequested
    _finish(trainer, run, training, output)


def _finish(trainer: Trainer[Settings], run: Run, training: Training, output: Output) -> None:
    from gail_suite.jobs.finish import finish_run

    assert run.dir is not None
    if training.eval_episodes and can_run(trainer.env_id) and not output.quiet:
        note(f"measuring the policy over {training.eval_episodes} episodes")
    values, text = finish_run(run.dir, run.policy, trainer.env_id, training.eval_episodes, training.video)
    film = filming(trainer.env_id, run.dir, *beside_expert(trainer.env_id))
    following = [*film, command("eval", run.dir, "-n", 50)]
    if not can_run(trainer.env_id):
        following = [command("compare", run.dir)]
    if run.best is not None:
        values["best"] = str(run.dir / "best")
        text += f"; the best policy of its evaluations, after {run.best.meta['env_steps']:,} steps: {values['best']}"
    output.result({"algo": trainer.algo, **values}, text, following)


def _settled(training: Training) -> list[str]:
    """The given options that a run keeps as it began."""
    names = ("demos", "task", "take", "subsample", "seed", "config", "set", "show_config", "out", "strict")
    given = [n.replace("_", "-") for n in names if getattr(training, n) != getattr(TRAINING, n)]
    return ["env" if n == "task" else n for n in given if n != "task" or replace(training.task, imports=()) != TASK]


def logger_of(name: str) -> Logger:
    """The function of module:function or FILE.py:function; ValueError where there is none."""
    import sys

    from gail_suite import envs

    module, _, function = name.rpartition(":")
    if not module:
        raise ValueError(f"--logger takes module:function or FILE.py:function, such as wandb:log, got {name!r}")
    found = getattr(sys.modules[envs.import_tasks(module)], function, None)
    if not callable(found):
        raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
            f"{module} has no function {function!r} to log by"
        )
    return found


def _device(name: str) -> str:
    from gail_suite.generative.core.backend import resolve_device

    return str(resolve_device(name))


def settings_of(algo: str, generator: str | None) -> Settings:
    """The default settings of an algorithm with a learner, None for its own."""
    if algo == "gail" and generator in ("ppo", "trpo"):
        from gail_suite.algorithms.gail_onpolicy import onpolicy_config

        return onpolicy_config(generator)
    from gail_suite.algorithms.trainer import trainer_of

    return trainer_of(algo).defaults()
