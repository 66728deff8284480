"""`gail-suite report`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, beside_expert, filming, scale_given
from gail_suite.commands.parameters import Reference


def report(*runs: Path, out: Path | None = None, reference: Reference = None, output: Output = DEFAULT) -> None:
    """Write the page of a run, or one page of several runs with bands over seeds.

    Parameters
    ----------
    runs
        Run directories, at least one.
    out
        The page, alone; by default report.html in the run directory, with learning_curve.png beside it.
    """
    from gail_suite.runs.records import config_of
    from gail_suite.runs.runlog import holds_run
    from gail_suite.showing.report import write_report

    if not runs:
        raise ValueError("report of which run? give a run directory, such as gail-suite report runs/demo/gail")
    scale = scale_given(reference, (config_of(run).get("env_id") for run in runs))
    path = write_report(runs, out, scale=scale)
    unseen = [run for run in runs if not (run / "video.mp4").is_file() and holds_run(run)]
    tasks = {run: config_of(run).get("env_id") for run in unseen[:1]}
    following = [line for run, task in tasks.items() for line in filming(task, run, *beside_expert(task))]
    output.result({"path": str(path)}, f"{path}: open it in a browser", following)
