"""What every training ends with: evaluation, learning curve, report and, if asked for, a film."""

from __future__ import annotations

from pathlib import Path

from gail_suite import demos, envs
from gail_suite.demos.policy import Policy
from gail_suite.demos.sealed import Json, write_results
from gail_suite.runs.records import by_product
from gail_suite.showing.evaluation import evaluate, said
from gail_suite.showing.report import write_report
from gail_suite.showing.scale import scale_of, unscored


def finish_run(run_dir: Path, policy: Policy, env_id: str, n_episodes: int, video: bool) -> tuple[Json, str]:
    """Write eval.json, video.mp4, learning_curve.png and report.html; the values for --json and a line for people."""
    values: Json = {"run_dir": str(run_dir), "env_id": env_id, "score": None}
    text = f"{env_id} run in {run_dir}"
    if n_episodes and not envs.is_runnable(env_id):
        text += f": {env_id} is not registered here, so nothing was evaluated"
    elif n_episodes:
        found = evaluate(policy, env_id, n_episodes=n_episodes, scale=scale_of(run_dir)).as_dict()
        with by_product(run_dir / "eval.json"):
            write_results(run_dir / "eval.json", found)
        values |= found
        text += f": {said(found, unscored(run_dir))}"
    if video and envs.is_runnable(env_id):
        from gail_suite.showing.video import render

        compare = demos.expert(env_id) if env_id in demos.experts() else None
        try:
            render(policy, env_id, run_dir / "video.mp4", compare=compare)
        except (ValueError, OSError) as error:  # the training is not lost for it
            text += f"; no film: {error}"
    with by_product(run_dir / "report.html"):
        values["report"] = str(write_report(run_dir))
    return values, text
