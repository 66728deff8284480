"""`gail-suite report`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, filming


def report(run: Path, *, output: Output = DEFAULT) -> None:
    """Write learning_curve.png and report.html of a run.

    Parameters
    ----------
    run
        A run directory.
    """
    from gail_suite.showing.report import read_json, write_report

    path = write_report(run)
    following = [] if (run / "video.mp4").is_file() else [filming(run, read_json(run / "config.json").get("env_id"))]
    output.result({"path": str(path)}, f"{path}: open it in a browser", following)
