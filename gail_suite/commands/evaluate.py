"""`gail-suite eval`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command, find_policy
from gail_suite.commands.parameters import (
    TASK,
    Episodes,
    EpisodeSeed,
    PolicyName,
    Stochastic,
    Task,
    Trust,
    VecNormalize,
)


def evaluate(
    policy: PolicyName,
    *,
    task: Task = TASK,
    n: Episodes = 50,
    seed: EpisodeSeed = 1000,
    num_envs: int = 10,
    stochastic: Stochastic = False,
    trust: Trust = False,
    vecnormalize: VecNormalize = None,
    output: Output = DEFAULT,
) -> None:
    """Measure a policy on the environment's own reward; a run directory also gets eval.json (not with --stochastic, another --seed or --env).

    Parameters
    ----------
    num_envs
        Environments stepped together (the result does not depend on it).
    """
    from gail_suite.demos.sealed import write_results
    from gail_suite.runs.records import config_of
    from gail_suite.showing.evaluation import EVAL_SEED
    from gail_suite.showing.evaluation import evaluate as measure

    actor, env_id = find_policy(policy, task, trust, vecnormalize)
    found = measure(actor, env_id, n_episodes=n, seed=seed, n_envs=num_envs, deterministic=not stochastic)
    values = found.as_dict()
    run = Path(policy)
    if not stochastic and seed == EVAL_SEED and config_of(run).get("env_id") == env_id:
        write_results(run / "eval.json", values)
    low, high = found.interval()
    score = "no reference returns" if found.score is None else f"score {found.score:.3f}"
    text = (
        f"{env_id}: {score}, return {found.return_mean:.0f} +- {found.return_sd:.0f} (95 % interval of the mean "
        f"{low:.0f} to {high:.0f}), {found.length_mean:.0f} steps, {n} episodes"
    )
    extra = [] if run.exists() and task.env is None else ["--env", env_id]
    output.result(values, text, [command("render", policy, *extra, "--out", "video.mp4")])
