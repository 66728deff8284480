"""`gail-suite sweep`."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, note
from gail_suite.commands.parameters import TASK, Task

if TYPE_CHECKING:
    from gail_suite.demos.sealed import Json
    from gail_suite.jobs.sweep import Job


def sweep(
    algo: Literal["bc", "gail", "airl"],
    *,
    demos: Path,
    out: Path,
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (0, 1, 2),
    grid: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    set: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    config: Path | None = None,
    generator: Literal["sac", "ppo", "trpo"] | None = None,
    take: int | None = None,
    subsample: int | None = None,
    steps: int | None = None,
    eval_episodes: int = 50,
    jobs: int | None = None,
    ray: str | None = None,
    task: Task = TASK,
    output: Output = DEFAULT,
) -> None:
    """Train with several seeds and settings, each a run of its own; the same command goes on after a stop.

    Parameters
    ----------
    algo
        What is trained: bc, gail or airl.
    demos
        Folder of demonstrations.
    out
        Folder that gets one run directory a seed and combination.
    seeds
        Seeds, such as --seeds 0 1 2.
    grid
        Values of a setting to try, such as --grid sac.tau=0.005,0.01; every combination of several is run.
    set
        One setting for all runs, such as --set sac.gamma=0.99.
    config
        YAML file of settings for all runs.
    generator
        Learner of gail or airl, as in gail-suite train.
    take
        Use this many of the trajectories, chosen by the seed.
    subsample
        Use every K-th pair, from a start chosen by the seed.
    steps
        Length of each training.
    eval_episodes
        Episodes of each final evaluation.
    jobs
        Runs at a time on this machine; by default one a processor.
    ray
        Run on a Ray cluster instead: its address, or "local".
    """
    from gail_suite.jobs.sweep import plan, summary

    _check(algo, demos, seeds, config, generator, eval_episodes, jobs)
    values = _values(grid)
    _check_settings(algo, generator, config, set, values)
    given = {
        "--config": config and config.absolute(),
        "--generator": generator,
        "--take": take,
        "--subsample": subsample,
        "--steps": steps,
    }
    options = [
        *("--demos", str(demos.absolute())),
        *task.words(),
        *(word for s in set for word in ("--set", s)),
        *(word for name, value in given.items() if value is not None for word in (name, str(value))),
    ]
    planned = plan(algo, out, seeds, values, options, eval_episodes)
    failed = _run(planned, jobs or os.cpu_count() or 1, ray, output)
    found = summary(planned)
    finished = [job.folder for job in planned if job.is_finished()]
    following = [command("compare", *finished)] if finished else []
    output.result({"sweep": found, "out": str(out)}, "\n".join(_told(algo, s) for s in found), following)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(planned)} runs failed: look at {failed[0].folder}.log, then give the same command "
            "again"
        )


def _check(
    algo: str,
    demos: Path,
    seeds: tuple[int, ...],
    config: Path | None,
    generator: str | None,
    eval_episodes: int,
    jobs: int | None,
) -> None:
    """ValueError for what no sweep can begin with."""
    from gail_suite.envs.common import check_seed

    if jobs is not None and jobs < 1:
        raise ValueError(f"--jobs is {jobs}; at least one run at a time is needed")
    for seed in seeds:
        check_seed(seed)
    if not seeds:
        raise ValueError("--seeds has no values: give some, such as --seeds 0 1 2")
    if eval_episodes < 1:
        raise ValueError(f"--eval-episodes is {eval_episodes}; a sweep compares runs by at least one")
    if not demos.is_dir():
        raise ValueError(f"{demos} is not a folder of demonstrations; record some with gail-suite record")
    if generator is not None and algo == "bc":
        raise ValueError(f"behaviour cloning has no generator: leave out --generator {generator}")
    if config is not None and not config.is_file():
        raise ValueError(f"{config} is not a file of settings; gail-suite train {algo} --show-config prints one")


def _check_settings(
    algo: str, generator: str | None, config: Path | None, given: Sequence[str], values: Mapping[str, Sequence[str]]
) -> None:
    """ValueError for a combination of settings that a run would refuse."""
    from gail_suite.commands.train import settings_of
    from gail_suite.runs.config import build

    for chosen in itertools.product(*values.values()):
        build(
            settings_of(algo, generator),
            config,
            (*given, *(f"{name}={value}" for name, value in zip(values, chosen, strict=True))),
        )


def _run(planned: Sequence[Job], at_once: int, ray: str | None, output: Output) -> list[Job]:
    """Runs the jobs and tells how each ended; those that failed. StopRequested after a signal."""
    from gail_suite.jobs.sweep import run_here, run_on_ray
    from gail_suite.runs.runlog import StopRequested, stop_on_signals, stop_requested

    failed = []
    with stop_on_signals():
        for job, status in run_on_ray(planned, ray) if ray else run_here(planned, at_once):
            output.say(f"{job.folder.name}: {'done' if status == 0 else f'exit {status}, see {job.folder}.log'}")
            failed += [job] if status else []
        if stop_requested():
            note("stopped; the same command goes on")
            raise StopRequested
    return failed


def _told(algo: str, found: Json) -> str:
    """A combination of settings in a line."""
    from gail_suite.showing.stats import with_interval

    name, scores = found["settings"] or algo, found["scores"]
    if not scores:
        return f"{name}: no scores"
    beside = " against the demonstrations" if found["measure"] == "demo_score" else ""
    return f"{name}: IQM of the scores{beside} {with_interval(found['iqm'], found['interval'])}, {len(scores)} runs"


def _values(grid: tuple[str, ...]) -> dict[str, list[str]]:
    """Settings and the values to try, of name=value,value texts; ValueError for any other text."""
    found: dict[str, list[str]] = {}
    for text in grid:
        name, equals, values = text.partition("=")
        chosen = re.split(r",(?![^\[]*\])", values)  # the commas of a list such as [256,256] part nothing
        if not (name and equals and all(chosen)):
            raise ValueError(f"--grid takes name=value,value such as sac.tau=0.005,0.01, got {text!r}")
        found[name] = [*found.get(name, []), *chosen]
    return found
