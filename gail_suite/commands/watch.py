"""`gail-suite watch`."""

from __future__ import annotations

from gail_suite.commands.common import DEFAULT, Output, command, find_policy, named_again
from gail_suite.commands.parameters import TASK, EpisodeSeed, PolicyName, Stochastic, Task, Trust, VecNormalize
from gail_suite.runs import seeds


def watch(
    policy: PolicyName,
    *,
    task: Task = TASK,
    episodes: int | None = None,
    seed: EpisodeSeed = seeds.EVAL,
    stochastic: Stochastic = False,
    trust: Trust = False,
    vecnormalize: VecNormalize = None,
    output: Output = DEFAULT,
) -> None:
    """Watch a policy live in a window, until the window is closed or Ctrl-C.

    Parameters
    ----------
    episodes
        Stop after this many.
    """
    from gail_suite.showing.window import play

    actor, env_id = find_policy(policy, task, trust, vecnormalize)
    returns = play(actor, env_id, episodes=episodes, seed=seed, deterministic=not stochastic, say=output.say)
    output.result(
        {"env_id": env_id, "returns": returns},
        "",
        [command("render", *named_again(policy, env_id, trust, vecnormalize))],
    )
