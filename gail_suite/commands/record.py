"""`gail-suite record`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command, find_policy, imitating, note
from gail_suite.commands.parameters import TASK, Episodes, EpisodeSeed, Flag, Stochastic, Task, Trust, VecNormalize


def record(
    *,
    out: Path,
    task: Task = TASK,
    n: Episodes = 10,
    expert: str = "bundled",
    seed: EpisodeSeed = 0,
    num_envs: int = 8,
    stochastic: Stochastic = False,
    observations_only: Flag = False,
    trust: Trust = False,
    vecnormalize: VecNormalize = None,
    output: Output = DEFAULT,
) -> None:
    """Record demonstrations of an expert; a recording that was killed goes on where it stopped.

    Parameters
    ----------
    out
        Folder for the demonstrations.
    expert
        "bundled", a run directory, a policy folder, or an SB3 zip (with --trust).
    num_envs
        Environments stepped together.
    observations_only
        Keep no actions, as if only the states had been seen.
    """
    from gail_suite import demos
    from gail_suite.demos.figures import said_return

    policy, env_id = find_policy(expert, task, trust, vecnormalize)
    recorded = demos.record(
        policy,
        env_id,
        n_episodes=n,
        seed=seed,
        n_envs=num_envs,
        deterministic=not stochastic,
        out=out,
        actions=not observations_only,
        progress=None
        if output.quiet
        else lambda j, t: note(f"episode {j}  steps {len(t)}  return {said_return(t.episode_return)}"),
    )
    mean, sd = float(recorded.returns.mean()), float(recorded.returns.std())
    values = {
        "path": str(out),
        "env_id": env_id,
        "n_episodes": len(recorded),
        "n_pairs": recorded.n_pairs,
        "return_mean": mean,
        "return_sd": sd,
        "length_mean": float(recorded.lengths.mean()),
    }
    text = (
        f"{len(recorded)} episodes of {env_id} in {out}: return {said_return(mean, sd)}, "
        f"{values['length_mean']:.0f} steps"
    )
    output.result(values, text, [imitating(out, recorded.task), command("data", "verify", out)])
