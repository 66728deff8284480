"""`gail-suite eval`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command, filming, find_policy, named_again, scale_given
from gail_suite.commands.parameters import (
    TASK,
    Episodes,
    EpisodeSeed,
    PolicyName,
    Reference,
    Stochastic,
    Task,
    Trust,
    VecNormalize,
)
from gail_suite.runs import seeds


def evaluate(
    policy: PolicyName,
    *,
    task: Task = TASK,
    n: Episodes = 50,
    seed: EpisodeSeed = seeds.EVAL,
    num_envs: int = 10,
    stochastic: Stochastic = False,
    reference: Reference = None,
    trust: Trust = False,
    vecnormalize: VecNormalize = None,
    output: Output = DEFAULT,
) -> None:
    """Measure a policy on the environment's own reward; a run directory also gets eval.json (not with --stochastic,
    another --seed or --env).

    Parameters
    ----------
    num_envs
        Environments stepped together (the result does not depend on it).
    """
    from gail_suite.demos.sealed import write_results
    from gail_suite.runs.records import by_product, config_of
    from gail_suite.showing.evaluation import evaluate as measure
    from gail_suite.showing.evaluation import said
    from gail_suite.showing.scale import scale_of, unscored

    actor, env_id = find_policy(policy, task, trust, vecnormalize)
    scale_given(reference, [env_id])
    run = Path(policy)
    own = config_of(run).get("env_id") == env_id
    scale = scale_of(run) if own else None
    values = measure(actor, env_id, n, seed, num_envs, deterministic=not stochastic, scale=scale).as_dict()
    if own and not stochastic and seed == seeds.EVAL:
        with by_product(run / "eval.json"):
            write_results(run / "eval.json", values)
    again = named_again(policy, None if run.exists() and task.env is None else env_id, trust, vecnormalize)
    following = filming(env_id, *again, "--out", "video.mp4") or [command("report", policy)] * own
    output.result(values, f"{env_id}: {said(values, unscored(run) if own else None)}", following)
