"""`gail-suite expert list | train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, check_resume, command, note, run_folder
from gail_suite.commands.parameters import TASK, Task


def show(*, output: Output = DEFAULT) -> None:
    """List the bundled experts with their measured returns."""
    from gail_suite import demos

    records = demos.experts()
    lines = [f"{'environment':<14} {'return':>14} {'steps':>7} {'episodes':>9} {'trained for':>13}"]
    for env_id, record in records.items():
        found = record["evaluation"]
        spread = f"{found['return_mean']:.0f} +- {found['return_sd']:.0f}"
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
    warm_start: Path | None = None,
    config: Path | None = None,
    set: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    output: Output = DEFAULT,
) -> None:
    """Train an expert by SAC on the environment's own reward.

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
    warm_start
        Policy to go on from: bundled, or the folder of one.
    config
        YAML file of settings.
    set
        One setting, such as --set sac.gamma=0.98; may be given several times.
    """
    from gail_suite.algorithms.expert import ExpertConfig, ExpertTrainer
    from gail_suite.envs.names import bare
    from gail_suite.jobs.finish import finish_run
    from gail_suite.runs.config import build
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    if resume is not None:
        given = {
            "env": task.env,
            "env-arg": task.env_arg or None,
            "seed": seed or None,
            "num-envs": num_envs,
            "out": out,
            "warm-start": warm_start,
            "config": config,
            "set": set or None,
        }
        task.name("")  # its imports
        check_resume(resume, "expert", [name for name, value in given.items() if value is not None])
        trainer, run_dir = ExpertTrainer.resume(resume), resume
    else:
        env = task.name()
        if env is None:
            raise ValueError("train an expert for which environment? give --env, such as --env Ant-v5")
        pairs = [] if num_envs is None else [f"loop.n_envs={num_envs}"]
        pairs += (
            [] if warm_start is None else [f"warm_start={json.dumps(str(warm_start))}"]
        )  # quoted, since values are read as YAML
        run_dir = run_folder(out, f"expert-{bare(env)}-{seed}", command("expert", "train", "--resume"))
        trainer = ExpertTrainer(env, build(ExpertConfig(), config, [*pairs, *set]), seed=seed, run_dir=run_dir)
    with stop_on_signals():
        policy = trainer.train(steps, eval_episodes=0, quiet=output.quiet).policy
        if stop_requested():
            note(f"stopped; go on with: {command('expert', 'train', '--resume', run_dir)}")
            raise StopRequested
    values, text = finish_run(run_dir, policy, trainer.env_id, 50, False)
    following = command("record", "--env", trainer.env_id, "--expert", run_dir, "--out", "demos-new")
    output.result(values, text, [following])
