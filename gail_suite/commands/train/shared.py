"""What the verbs of `gail-suite train` share: options, how a run begins or goes on, how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import (
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
from gail_suite.commands.parameters import TASK, Flag, Task

if TYPE_CHECKING:
    from gail_suite.algorithms.imitator import Imitator
    from gail_suite.algorithms.trainer import Run, Trainer
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
class LongRun:
    """What a run with checkpoints takes besides: where it goes on, what it keeps, when it ends for want of a better."""

    num_envs: int | None = None
    """Environments stepped together."""
    resume: Path | None = None
    """Run directory to go on with; nothing else is needed."""
    resume_from: int | None = None
    """Step of the checkpoint to resume from; by default the newest that is sound."""
    keep_best: Literal["distance", "return"] | None = None
    """Keep the best policy of the evaluations in RUN/best: by distance from the demonstrated states, which reads no
    reward, or by the task's return."""
    patience: int | None = None
    """End after this many evaluations without a better policy, by distance where --keep-best says nothing else."""

    def settings(self) -> list[str]:
        """What to keep, as settings; ValueError for a resumed run, which has its own."""
        given = {"keep.best": self.keep_best or (self.patience and "distance"), "keep.patience": self.patience}
        found = [f"{name}={value}" for name, value in given.items() if value is not None]
        if found and self.resume is not None:
            raise ValueError(
                "a resumed run keeps its settings: leave out --keep-best and --patience, or start a new run"
            )
        return found


LONG_RUN = LongRun()


@dataclass(frozen=True)
class Recipe:
    """An algorithm, the settings of a run that is told none, and what its options set."""

    algo: str
    kind: type[Imitator[Settings]]
    defaults: Settings
    n_envs_setting: str = ""
    settings: tuple[str, ...] = ()
    device: str = "cpu"


def train_long(recipe: Recipe, long: LongRun, training: Training, output: Output) -> None:
    """A run with checkpoints, from its beginning or from where it was stopped, to its end."""
    check_resume_from(long.resume, long.resume_from)
    keeping = long.settings()
    if long.resume is not None:
        trainer: Trainer[Settings] | None = _resumed(recipe, long.resume, long, training)
    else:
        pairs = () if long.num_envs is None else (f"{recipe.n_envs_setting}={long.num_envs}",)
        settings = (*recipe.settings, *pairs, *keeping, *training.set)
        trainer = _fresh(recipe, replace(training, set=settings), output)
    if trainer is not None:
        _train(trainer, training, output)


def train_short(recipe: Recipe, training: Training, output: Output) -> None:
    """A run that is too short to be stopped and resumed, to its end."""
    trainer = _fresh(recipe, training, output)
    if trainer is not None:
        _finish(trainer, _trained(trainer, training, output), training, output)


def _resumed(recipe: Recipe, run_dir: Path, long: LongRun, training: Training) -> Trainer[Settings]:
    from gail_suite.runs.records import config_of

    given = [*_settled(training), *["num-envs"] * (long.num_envs is not None), *["generator"] * bool(recipe.settings)]
    check_resume(run_dir, recipe.algo, given)
    training.task.load()
    _check_ending(training, config_of(run_dir).get("env_id"))
    return recipe.kind.resume(run_dir, _device(recipe.device), long.resume_from)


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

    shown, env_id = _shown_to(training)
    _check_ending(training, env_id)
    resume = None if recipe.algo in ("bc", "dagger") else command("train", recipe.algo, "--resume")
    run_dir = run_folder(training.out, f"{recipe.algo}-{envs.names.bare(env_id)}-{training.seed}", resume)
    steps = 0
    if isinstance(config, GAILConfig) and (config.adversary.state_only or not shown.has_actions):
        steps = config.inverse.simulate * shown.n_pairs
        told = f"trying which lead from state to state, {steps:,} steps at most for {shown.n_pairs} pairs"
        output.say("without recorded actions: " + (told if steps else "a model of the dynamics guesses them"))
    trainer = recipe.kind(env_id, shown, config, training.seed, run_dir, _device(recipe.device))
    if steps and getattr(trainer, "inverse", None) is not None:
        output.say("they were not found, so a model of the dynamics guesses them, and states are compared")
    return trainer


def _shown_to(training: Training) -> tuple[Demonstrations, str]:
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
    from gail_suite.algorithms.gail_onpolicy import OnPolicyRunConfig
    from gail_suite.learning.plan import OffPolicyConfig, in_batches, plan
    from gail_suite.runs.config import length
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    total = length(training.steps, trainer.total_steps)
    if isinstance(trainer.config, OffPolicyConfig) and not output.quiet:
        note(str(plan(trainer.config, total)))
    if isinstance(trainer.config, OnPolicyRunConfig) and not output.quiet:
        note(in_batches(total, trainer.config.learner.batch_steps))
    with stop_on_signals():
        run = _trained(trainer, training, output)
        if stop_requested():
            note(f"stopped; go on with: {command('train', trainer.algo, '--resume', trainer.run_dir)}")
            raise StopRequested
    _finish(trainer, run, training, output)


def _trained(trainer: Trainer[Settings], training: Training, output: Output) -> Run:
    loggers = [logger_of(name) for name in training.logger]
    return trainer.train(training.steps, eval_episodes=0, quiet=output.quiet, loggers=loggers)


def _finish(trainer: Trainer[Settings], run: Run, training: Training, output: Output) -> None:
    """The measurement of what was learned, its film, and what to do next."""
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
