"""`gail-suite train bc | gail | airl`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, check_resume, command, filming, note, run_folder
from gail_suite.commands.parameters import TASK, Flag, Task


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


TRAINING = Training()


def bc(*, training: Training = TRAINING, output: Output = DEFAULT) -> None:
    """Behaviour cloning: fit the demonstrated actions."""
    from gail_suite.algorithms.bc import BC, BCConfig

    config = _settings(lambda env_id: BCConfig(), training, output)
    if config is not None:
        trainer, run_dir = _fresh("bc", BC, config, training)
        run = trainer.train(training.steps, eval_episodes=0, quiet=output.quiet)  # too short to be stopped and resumed
        _finish("bc", run, run_dir, trainer.env_id, training, output)


def gail(
    *,
    generator: Literal["sac", "ppo", "trpo"] = "sac",
    num_envs: int | None = None,
    device: str = "cpu",
    prior: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    resume: Path | None = None,
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
        Folder of a prior, as `gail-suite prior fit` writes it (sac only); may be given several times, for several uses. How much
        it does is set by priors.USE, such as --set priors.typicality.weight=0.2.
    resume
        Run directory to go on with; nothing else is needed.
    """
    settings = _prior_settings(generator, prior, resume)
    training = replace(training, set=(*settings, *training.set))
    from gail_suite.algorithms.gail import GAIL, GAILConfig

    def go_on(run_dir: Path) -> Any:
        return GAIL.resume(run_dir, device=_device(device))

    if resume is not None and generator != "sac":
        raise ValueError(f"a resumed run keeps its learner: leave out --generator {generator}, or start a new run")
    if generator == "sac":
        kind = partial(GAIL, device=_device(device))
        recipe = Recipe("gail", kind, lambda env_id: GAILConfig(), go_on, "loop.n_envs")
    else:
        from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, onpolicy_config

        if device != "cpu":
            raise ValueError(f"--generator {generator} trains on the processor: leave out --device {device}")
        recipe = Recipe("gail", OnPolicyGAIL, lambda env_id: onpolicy_config(generator), go_on, "learner.n_envs")
    _adversarial(recipe, num_envs, resume, training, output)


def airl(
    *,
    generator: Literal["ppo", "trpo"] | None = None,
    num_envs: int | None = None,
    resume: Path | None = None,
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
    """
    from gail_suite.algorithms.airl import AIRL, AIRLConfig

    settings = () if generator is None else (f"learner.generator={generator}",)
    recipe = Recipe("airl", AIRL, lambda env_id: AIRLConfig(), AIRL.resume, "learner.n_envs", settings)
    _adversarial(recipe, num_envs, resume, training, output)


@dataclass(frozen=True)
class Recipe:
    """An adversarial trainer, how an old run of it goes on, and where its settings are."""

    algo: str
    kind: Any
    defaults: Callable[[str | None], Any]
    resume: Callable[[Path], Any]
    n_envs_setting: str
    settings: tuple[str, ...] = ()


def _adversarial(recipe: Recipe, num_envs: int | None, resume: Path | None, training: Training, output: Output) -> None:
    if resume is not None:
        from gail_suite.runs.records import config_of

        given = [*_settled(training), *["num-envs"] * (num_envs is not None), *["generator"] * bool(recipe.settings)]
        check_resume(resume, recipe.algo, given)
        training.task.name("")  # its imports
        _check_ending(training, config_of(resume).get("env_id"))
        trainer, run_dir = recipe.resume(resume), resume
    else:
        pairs = () if num_envs is None else (f"{recipe.n_envs_setting}={num_envs}",)
        config = _settings(recipe.defaults, replace(training, set=(*recipe.settings, *pairs, *training.set)), output)
        if config is None:
            return
        trainer, run_dir = _fresh(recipe.algo, recipe.kind, config, training)
    _train(recipe.algo, trainer, run_dir, training, output, {"total_steps": training.steps})


def _prior_settings(generator: str, folders: tuple[Path, ...], resume: Path | None) -> tuple[str, ...]:
    """The folders of priors as settings; prior.json says what each is for."""
    if not folders:
        return ()
    if resume is not None:
        raise ValueError("a resumed run keeps its priors: leave out --prior, or start a new run")
    if generator != "sac":
        raise ValueError(
            f"a prior needs the off-policy learner: leave out --generator {generator} (a bottleneck works there without one: "
            "--set discriminator.bottleneck=0.5)"
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


def _settings(defaults: Callable[[str | None], Any], training: Training, output: Output) -> Any:
    """The configuration, or None after it was shown."""
    from gail_suite.runs.config import build, describe

    env_id = training.task.name()
    if env_id is None and training.demos is not None:
        from gail_suite.demos.store import read_meta

        env_id = read_meta(training.demos)["env_id"]
    config = build(defaults(env_id), training.config, training.set)
    if training.show_config:
        output.result({"path": None}, describe(config).rstrip())
        return None
    return config


def _fresh(algo: str, kind: Any, config: Any, training: Training, **options: Any) -> tuple[Any, Path]:
    from gail_suite import demos, envs

    if training.demos is None:
        raise ValueError("train on which demonstrations? give --demos DIR; record some with gail-suite record")
    shown = demos.load(training.demos, strict=training.strict)
    env_id = training.task.name(shown.task) or shown.task
    if envs.names.bare(env_id) != envs.names.bare(shown.task):
        raise ValueError(f"{training.demos} was recorded on {shown.env_id}, not on {env_id}: leave out --env")
    if training.take is not None:
        shown = shown.take(training.take, seed=training.seed)
    if training.subsample is not None:
        shown = shown.subsample(training.subsample, seed=training.seed)
    _check_ending(training, env_id)
    resume = None if algo == "bc" else command("train", algo, "--resume")
    run_dir = run_folder(training.out, f"{algo}-{envs.names.bare(env_id)}-{training.seed}", resume)
    return kind(env_id, shown, config, seed=training.seed, run_dir=run_dir, **options), run_dir


def _check_ending(training: Training, env_id: str | None) -> None:
    """ValueError, before the training, for what cannot be done after it."""
    if training.eval_episodes < 0:
        raise ValueError(f"--eval-episodes is {training.eval_episodes}: give 0 for no evaluation, or more")
    if training.video and env_id is not None:
        from gail_suite.showing.video import check_filmable

        check_filmable(env_id)


def _train(
    algo: str, trainer: Any, run_dir: Path, training: Training, output: Output, length: dict[str, int | None]
) -> None:
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    with stop_on_signals():
        run = trainer.train(**length, eval_episodes=0, quiet=output.quiet)
        if stop_requested():
            note(f"stopped; go on with: {command('train', algo, '--resume', run_dir)}")
            raise StopRequested
    _finish(algo, run, run_dir, trainer.env_id, training, output)


def _finish(algo: str, run: Any, run_dir: Path, env_id: str, training: Training, output: Output) -> None:
    from gail_suite.jobs.finish import finish_run

    values, text = finish_run(run_dir, run.policy, env_id, training.eval_episodes, training.video)
    following = [filming(run_dir, env_id), command("eval", run_dir, "-n", 50)]
    output.result({"algo": algo, **values}, text, following)


def _settled(training: Training) -> list[str]:
    """The given options that a run keeps as it began."""
    names = (
        "demos",
        "env",
        "env_arg",
        "max_episode_steps",
        "take",
        "subsample",
        "seed",
        "config",
        "set",
        "show_config",
        "out",
        "strict",
    )
    given = [n.replace("_", "-") for n in names if getattr(training, n) != getattr(TRAINING, n)]
    return ["env" if n == "task" else n for n in given if n != "task" or replace(training.task, imports=()) != TASK]


def _device(name: str) -> str:
    from gail_suite.generative.backend import resolve_device

    return str(resolve_device(name))
