"""`gail-suite train bc | gail | airl`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, note, run_folder
from gail_suite.commands.parameters import Flag


@Parameter(name="*")
@dataclass(frozen=True)
class Training:
    """What every kind of training from demonstrations takes."""

    demos: Path | None = None
    """Folder of demonstrations, as `gail-suite record` writes it."""
    env: str | None = None
    """Environment; by default the one of the demonstrations."""
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
    from gail_suite.bc import BC, BCConfig

    config = _settings(lambda env_id: BCConfig(), training, output)
    if config is not None:
        trainer, run_dir = _fresh("bc", BC, config, training)
        _train("bc", trainer, run_dir, training, output, {"steps": training.steps})


def gail(
    *,
    generator: Literal["sac", "ppo", "trpo"] = "sac",
    num_envs: int | None = None,
    device: str = "auto",
    prior: Path | None = None,
    prior_weight: float | None = None,
    prior_potential: Flag = False,
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
        auto, cpu or cuda.
    prior
        Folder of a prior, as `gail-suite prior fit` writes it (sac only).
    prior_weight
        Its weight; 0.2 where not given.
    prior_potential
        Typicality as a potential, which leaves the best policy unchanged.
    resume
        Run directory to go on with; nothing else is needed.
    """
    training = replace(training, set=(*_prior_settings(generator, prior, prior_weight, prior_potential, resume), *training.set))
    if generator == "sac":
        from gail_suite.gail import GAIL, GAILConfig

        recipe = Recipe("gail", GAIL, lambda env_id: GAILConfig(), "loop.n_envs")
    else:
        from gail_suite.adversarial import OnPolicyGAIL, onpolicy_config

        recipe = Recipe("gail", OnPolicyGAIL, lambda env_id: onpolicy_config(generator), "learner.n_envs")
    _adversarial(recipe, num_envs, device, resume, training, output)


def airl(
    *,
    generator: Literal["ppo", "trpo"] = "ppo",
    num_envs: int | None = None,
    resume: Path | None = None,
    training: Training = TRAINING,
    output: Output = DEFAULT,
) -> None:
    """Adversarial inverse reinforcement learning: the reward that is learned can be kept.

    Parameters
    ----------
    generator
        Learner: ppo or trpo.
    num_envs
        Environments stepped together.
    resume
        Run directory to go on with; nothing else is needed.
    """
    from gail_suite.airl import AIRL, AIRLConfig

    recipe = Recipe("airl", AIRL, lambda env_id: AIRLConfig(), "learner.n_envs", (f"learner.generator={generator}",))
    _adversarial(recipe, num_envs, "cpu", resume, training, output)


@dataclass(frozen=True)
class Recipe:
    """An adversarial trainer and where its settings are."""

    algo: str
    kind: Any
    defaults: Callable[[str | None], Any]
    n_envs_setting: str
    settings: tuple[str, ...] = ()


def _adversarial(
    recipe: Recipe, num_envs: int | None, device: str, resume: Path | None, training: Training, output: Output
) -> None:
    if resume is not None:
        _check_resume(resume, recipe.algo, training)
        trainer, run_dir = _trainer_class(recipe.kind, resume).resume(resume), resume
    else:
        pairs = () if num_envs is None else (f"{recipe.n_envs_setting}={num_envs}",)
        config = _settings(recipe.defaults, replace(training, set=(*recipe.settings, *pairs, *training.set)), output)
        if config is None:
            return
        options = {"device": _device(device)} if recipe.n_envs_setting.startswith("loop.") else {}
        trainer, run_dir = _fresh(recipe.algo, recipe.kind, config, training, **options)
    _train(recipe.algo, trainer, run_dir, training, output, {"total_steps": training.steps})


def _prior_settings(
    generator: str, prior: Path | None, weight: float | None, potential: bool, resume: Path | None
) -> tuple[str, ...]:
    """The options of a prior as settings."""
    if prior is None:
        if weight is not None or potential:
            raise ValueError("which prior? give --prior DIR; fit one with gail-suite prior fit")
        return ()
    if resume is not None:
        raise ValueError("a resumed run keeps its prior: leave out --prior, or start a new run")
    if generator != "sac":
        raise ValueError(f"a prior needs the off-policy learner: leave out --generator {generator}")
    path = json.dumps(str(prior))  # quoted, since values are read as YAML
    settings = (f"prior.path={path}", f"prior.weight={0.2 if weight is None else weight}")
    return (*settings, "prior.potential=true") if potential else settings


def _settings(defaults: Callable[[str | None], Any], training: Training, output: Output) -> Any:
    """The configuration, or None after it was shown."""
    from gail_suite.config import build, describe

    env_id = training.env
    if env_id is None and training.demos is not None:
        from demos.store import read_meta

        env_id = read_meta(training.demos)["env_id"]
    config = build(defaults(env_id), training.config, training.set)
    if training.show_config:
        output.result({"path": None}, describe(config).rstrip())
        return None
    return config


def _fresh(algo: str, kind: Any, config: Any, training: Training, **options: Any) -> tuple[Any, Path]:
    import demos

    if training.demos is None:
        raise ValueError("train on which demonstrations? give --demos DIR; record some with gail-suite record")
    shown = demos.load(training.demos, strict=training.strict)
    env_id = training.env or shown.env_id
    if env_id != shown.env_id:
        raise ValueError(f"{training.demos} was recorded on {shown.env_id}, not on {env_id}: leave out --env")
    if training.take is not None:
        shown = shown.take(training.take, seed=training.seed)
    if training.subsample is not None:
        shown = shown.subsample(training.subsample, seed=training.seed)
    run_dir = run_folder(training.out, f"{algo}-{env_id}-{training.seed}", command("train", algo, "--resume"))
    return kind(env_id, shown, config, seed=training.seed, run_dir=run_dir, **options), run_dir


def _train(
    algo: str, trainer: Any, run_dir: Path, training: Training, output: Output, length: dict[str, int | None]
) -> None:
    from gail_suite.finish import finish_run
    from gail_suite.runlog import StopRequested, stop_on_signals, stop_requested

    with stop_on_signals():
        run = trainer.train(**length, eval_episodes=0, quiet=output.quiet)
        if stop_requested():
            note(f"stopped; go on with: {command('train', algo, '--resume', run_dir)}")
            raise StopRequested
    values, text = finish_run(run_dir, run.policy, trainer.env_id, training.eval_episodes, training.video)
    following = [command("render", run_dir, "--compare", "bundled"), command("eval", run_dir, "-n", 50)]
    output.result({"algo": algo, **values}, text, following)


def _check_resume(run_dir: Path, algo: str, training: Training) -> None:
    file = run_dir / "config.json"
    if not file.is_file():
        raise ValueError(f"{run_dir} is not a run directory (it has no config.json)")
    found = json.loads(file.read_text()).get("algo")
    if found != algo:
        raise ValueError(f"{run_dir} is a run of {found}, not of {algo}: use gail-suite train {found} --resume")
    fixed = [
        name for name in ("demos", "env", "take", "subsample", "config", "out") if getattr(training, name) is not None
    ]
    if fixed or training.set:
        named = ", ".join(f"--{name}" for name in fixed or ["set"])
        raise ValueError(f"a resumed run keeps its settings: leave out {named}, or start a new run")


def _trainer_class(kind: Any, run_dir: Path) -> Any:
    """On-policy GAIL is a class of its own; the run's configuration tells which it was."""
    saved = json.loads((run_dir / "config.json").read_text())
    if saved["algo"] == "gail" and saved["config"].get("generator") in ("ppo", "trpo"):
        from gail_suite.adversarial import OnPolicyGAIL

        return OnPolicyGAIL
    return kind


def _device(name: str) -> str:
    from generative.backend import resolve_device

    return str(resolve_device(name))
