"""`gail-suite compare`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, command, scale_given
from gail_suite.commands.parameters import Reference


def compare(*runs: Path, out: Path | None = None, reference: Reference = None, output: Output = DEFAULT) -> None:
    """Put runs beside each other: what they reached, in which settings they differ, and their curves.

    Parameters
    ----------
    runs
        Run directories, at least one.
    out
        Draw the curves into this PNG, or write the page of them all (.html).
    """
    from gail_suite.runs.records import config_of
    from gail_suite.showing.comparison import compare as summarise
    from gail_suite.showing.comparison import draw, table

    if not runs:
        raise ValueError("compare which runs? give run directories, such as gail-suite compare runs/*")
    runs = tuple(run for run in runs if not run.is_file())  # DIR/* of a sweep names its .log files too
    if not runs:
        raise ValueError("none of these is a run directory")
    scale = scale_given(reference, (config_of(run).get("env_id") for run in runs))
    summaries = summarise(runs, scale)
    if out is not None and out.suffix.lower() == ".html":
        from gail_suite.showing.report import write_report

        write_report(runs, out, scale=scale)
    elif out is not None:
        draw(runs, out, scale)
    following = (
        []
        if out is not None or all(s["last"] is None for s in summaries)
        else [command("compare", *runs, "--out", "compare.html")]
    )
    output.result({"runs": summaries, "path": None if out is None else str(out)}, table(summaries), following)
