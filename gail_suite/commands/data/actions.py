"""`gail-suite data actions`."""

from __future__ import annotations

from pathlib import Path

from gail_suite.commands.common import DEFAULT, Output, imitating
from gail_suite.commands.parameters import TASK, Task


def actions(path: Path, *, out: Path, task: Task = TASK, tries: int = 200, output: Output = DEFAULT) -> None:
    """Find the actions of demonstrations that were shown without any, where the simulator can be put into a state.

    Parameters
    ----------
    path
        Folder of demonstrations.
    out
        Folder for the same with actions.
    tries
        Steps that are simulated for each shown pair of states, on average at most.
    """
    from gail_suite import demos
    from gail_suite.demos.files import check_writable
    from gail_suite.demos.store import refuse_existing
    from gail_suite.learning.shown.reaching import with_actions

    task.load()
    shown = demos.load(path)
    if shown.has_actions:
        raise ValueError(f"{path} holds actions already")
    if tries < 1:
        raise ValueError(f"--tries {tries} tries nothing: give at least 1 step")
    refuse_existing(out)
    check_writable(out)
    told = with_actions(task.name(shown.task) or shown.task, shown, tries)
    told.save(out)
    share = told.meta["actions_found"]
    values = {"path": str(out), "env_id": told.task, "n_pairs": told.n_pairs, "actions_found": share}
    text = f"{share:.1%} of {told.n_pairs} actions lead to the state that was shown; all of them are in {out}"
    output.result(values, text, [imitating(out, told.task)])
