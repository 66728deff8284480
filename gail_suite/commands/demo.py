"""`gail-suite demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, note


def demo(
    *,
    out: Path = Path("runs/demo"),
    env: str = "Humanoid-v5",
    demos: Annotated[int, Parameter(name="--take")] = 1,
    steps: int | None = None,
    seed: int = 0,
    eval_episodes: int = 20,
    frames: int = 300,
    output: Output = DEFAULT,
) -> None:
    """The main job, a few minutes: record, clone, imitate, measure, film. Called again, it goes on where it stopped.

    Parameters
    ----------
    out
        Folder for everything.
    env
        Environment with a bundled expert.
    demos
        Number of demonstrations.
    steps
        Environment steps of GAIL; it ends before them once its policy cannot be told from the demonstrator.
    seed
        Seed of everything random.
    eval_episodes
        Episodes of each evaluation.
    frames
        Frames of the film.
    """
    from gail_suite.jobs.demo import STEPS, run_demo, table
    from gail_suite.runs.config import length
    from gail_suite.runs.runlog import StopRequested

    try:
        summary = run_demo(
            out,
            env_id=env,
            n_demos=demos,
            steps=length(steps, STEPS),
            seed=seed,
            n_eval=eval_episodes,
            n_frames=frames,
            quiet=output.quiet,
            say=(lambda text: None) if output.quiet else note,
        )
    except StopRequested:
        told = [
            ("--env", env, "Humanoid-v5"),
            ("--take", demos, 1),
            ("--steps", steps, None),
            ("--seed", seed, 0),
            ("--eval-episodes", eval_episodes, 20),
            ("--frames", frames, 300),
        ]
        again = command(
            "demo", "--out", out, *(word for name, value, default in told if value != default for word in (name, value))
        )
        note(f"stopped; the same command goes on: {again}")
        raise
    following = [
        command("eval", out / "gail", "-n", 50),
        command("render", out / "gail", "--compare", out / "bc", "--out", out / "bc_and_gail.mp4"),
        command("record", "--env", "Ant-v5", "-n", 4, "--out", "ant-demos"),
    ]
    output.result(summary, table(summary), following)
