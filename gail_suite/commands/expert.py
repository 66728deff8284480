"""`gail-suite expert list | train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, check_resume, check_resume_from, command, note, run_folder
from gail_suite.commands.parameters import TASK, Task

if TYPE_CHECKING:
    from gail_suite.algorithms.expert import ExpertConfig


def show(*, output: Output = DEFAULT) -> None:
    """List the bundled experts with their measured returns."""
    from gail_suite import demos
    from gail_suite.demos.figures import said_return

    records = demos.experts()
    lines = [f"{'environment':<14} {'return':>14} {'steps':>7} {'episodes':>9} {'trained for':>13}"]
    for env_id, record in records.items():
        found = record["evaluation"]
        spread = said_return(found["return_mean"], found["return_sd"])
        trained = record.get("training", {}).get("env_steps")
        trained = f"{trained:,}" if isinstance(trained, int) else "?"
        lines.append(f"{env_id:<14} {spread:>14} {found['length_mean']:>7.0f} {found['episodes']:>9} {trained:>13}")
    first = next(iter(records), "Ant-v5")
    output.result(records, "\n".join(lines), [command("record", "--env", first, "--out", f"demos-{first.lower()}")])


def train(
    *,
    task: Task = TASK,
    steps: int | None = None,
    seed: int = 0,
    num_envs: int | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    resume_from: int | None = None,
    warm_start: Path | None = None,
    reward: Path | None = None,
    config: Path | None = None,
    set: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    output: Output = DEFAULT,
) -> None:
    """Train an expert by SAC on the environment's own reward, or on one that was learned from demonstrations.

    Parameters
    ----------
    steps
        Environment steps; by default a million, or those that the resumed run was begun with.
    seed
        Seed of everything random.
    num_envs
        Environments stepped together.
    out
        Run directory; by default runs/expert-ENV-SEED.
    resume
        Run directory to go on with; nothing else is needed.
    resume_from
        Step of the checkpoint to resume from; by default the newest that is sound.
    warm_start
        Policy to go on from: bundled, or the folder of one.
    reward
        Learned reward to train on: a finished run of GAIL or AIRL, or the folder of a reward.
    config
        YAML file of settings.
    set
        One setting, such as --set sac.gamma=0.98; may be given several times.
    """
    from gail_suite.algorithms.expert import ExpertTrainer
    from gail_suite.envs.names import bare
    from gail_suite.jobs.finish import finish_run
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    check_resume_from(resume, resume_from)
    named = {"num-envs": num_envs, "warm-start": warm_start, "reward": reward, "config": config, "set": set or None}
    if resume is not None:
        given = {"env": task.env, "env-arg": task.env_arg or None, "seed": seed or None, "out": out, **named}
        task.load()
        check_resume(resume, "expert", [name for name, value in given.items() if value is not None])
        trainer, run_dir = ExpertTrainer.resume(resume, at=resume_from), resume
    else:
        env = task.name(_environment(reward))
        if env is None:
            raise ValueError("train an expert for which environment? give --env, such as --env Ant-v5")
        run_dir = run_folder(out, f"expert-{bare(env)}-{seed}", command("expert", "train", "--resume"))
        trainer = ExpertTrainer(env, _config(num_envs, warm_start, reward, config, set), seed, run_dir)
    with stop_on_signals():
        policy = trainer.train(steps, eval_episodes=0, quiet=output.quiet).policy
        if stop_requested():
            note(f"stopped; go on with: {command('expert', 'train', '--resume', run_dir)}")
            raise StopRequested
    if not output.quiet:
        note("measuring the policy over 50 episodes")
    values, text = finish_run(run_dir, policy, trainer.env_id, 50, False)
    following = command("record", "--env", trainer.env_id, "--expert", run_dir, "--out", "demos-new")
    output.result(values, text, [following])


def _environment(reward: Path | None) -> str | None:
    """The environment of a reward, which is trained in where no other is asked for."""
    if reward is None:
        return None
    from gail_suite.learning.rewards.learned_reward import load_reward

    return load_reward(reward).meta["env_id"]


def _config(
    num_envs: int | None, warm_start: Path | None, reward: Path | None, file: Path | None, settings: tuple[str, ...]
) -> ExpertConfig:
    """The settings of a new run: the options', then the file's, then those of --set."""
    from gail_suite.algorithms.expert import ExpertConfig
    from gail_suite.runs.config import build

    paths = {"warm_start": warm_start, "reward": reward}
    pairs = [] if num_envs is None else [f"loop.n_envs={num_envs}"]
    # quoted, since values are read as YAML
    pairs += [f"{name}={json.dumps(str(path))}" for name, path in paths.items() if path is not None]
    return build(ExpertConfig(), file, [*pairs, *settings])
