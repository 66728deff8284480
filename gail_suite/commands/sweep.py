"""`gail-suite sweep`."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, note
from gail_suite.commands.parameters import TASK, Algorithm, Task

if TYPE_CHECKING:
    from gail_suite.demos.sealed import Json
    from gail_suite.jobs.search import Plan, Range, Search
    from gail_suite.jobs.sweep import Job
    from gail_suite.runs.config import Settings

GENERATORS = {"gail": ("sac", "ppo", "trpo"), "airl": ("ppo", "trpo")}
"""The algorithms that have a choice of learners."""


@Parameter(name="*")
@dataclass(frozen=True)
class Places:
    """Where the runs go on."""

    jobs: int | None = None
    """Runs at a time on this machine, or trials of a search; by default one a processor."""
    ray: str | None = None
    """Run on a Ray cluster instead: its address, or "local"."""


@Parameter(name="*")
@dataclass(frozen=True)
class Searching:
    """What Optuna may propose, in place of a grid."""

    space: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Let Optuna choose a setting, by Ray Tune: between two values, such as --space sac.tau=0.001:0.1:log, or among
    some, such as --space sac.batch_size=128,256; may be given several times."""
    trials: int = 20
    """Combinations that Optuna proposes; each is run with every seed."""
    objective: Literal["distance", "return"] = "distance"
    """What makes a combination better: visiting states near the demonstrated ones, which reads no reward of the task,
    or a higher return."""


PLACES, SEARCHING = Places(), Searching()


def sweep(
    algo: Algorithm,
    *,
    demos: Path,
    out: Path,
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (0, 1, 2),
    grid: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    searching: Searching = SEARCHING,
    set: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    config: Path | None = None,
    generator: Literal["sac", "ppo", "trpo"] | None = None,
    expert: str | None = None,
    take: int | None = None,
    subsample: int | None = None,
    steps: int | None = None,
    eval_episodes: int = 50,
    places: Places = PLACES,
    task: Task = TASK,
    output: Output = DEFAULT,
) -> None:
    """Train with several seeds and settings, each a run of its own; the same command goes on after a stop.

    Parameters
    ----------
    algo
        What is trained.
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
    expert
        Whom dagger asks: "bundled", a run directory or a policy folder.
    take
        Use this many of the trajectories, chosen by the seed.
    subsample
        Use every K-th pair, from a start chosen by the seed.
    steps
        Length of each training.
    eval_episodes
        Episodes of each final evaluation.
    """
    from gail_suite.jobs.sweep import plan

    if grid and searching.space:
        raise ValueError("--grid and --space both say what to try: leave one of them out")
    _check(demos, seeds, config, eval_episodes, places.jobs)
    _check_learner(algo, generator, expert)
    _check_task(demos, task)
    given = {
        "--config": config and config.absolute(),
        "--generator": generator,
        "--expert": expert if expert in (None, "bundled") else str(Path(str(expert)).absolute()),
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
    planned = partial(plan, algo, out, seeds, options=options, eval_episodes=eval_episodes)
    check = partial(_check_settings, algo, generator, config, set)
    if searching.space:
        _search(planned, check, searching, demos, out, places, output)
    else:
        _sweep(planned, check, _values(grid), out, places, output)


def _sweep(
    planned: Plan,
    check: Callable[[Mapping[str, Sequence[str]]], None],
    values: Mapping[str, Sequence[str]],
    out: Path,
    places: Places,
    output: Output,
) -> None:
    """Every combination with every seed."""
    from gail_suite.jobs.sweep import summary

    check(values)
    jobs = planned(values)
    failed = _run(jobs, places.jobs or os.cpu_count() or 1, places.ray, output)
    found = summary(jobs)
    finished = [out / job.folder.name for job in jobs if job.is_finished()]
    following = [command("compare", *finished)] if finished else []
    output.result({"sweep": found, "out": str(out)}, "\n".join(_line(jobs[0].algo, s) for s in found), following)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(jobs)} runs failed: look at {failed[0].folder}.log, then give the same command "
            "again"
        )


def _search(
    planned: Plan,
    check: Callable[[Mapping[str, Sequence[str]]], None],
    searching: Searching,
    demos: Path,
    out: Path,
    places: Places,
    output: Output,
) -> None:
    """The combinations that Optuna proposes."""
    from gail_suite.jobs.search import Search
    from gail_suite.runs.runlog import StopRequested, stop_on_signals

    if searching.trials < 1:
        raise ValueError(f"--trials is {searching.trials}; at least one combination has to be tried")
    space = {name: _range(words) for name, words in _values(searching.space, "--space").items()}
    check({name: values.extremes() for name, values in space.items()})
    asked = Search(planned, space, demos.absolute(), out, searching.trials, searching.objective)
    if not asked.is_finished():
        from gail_suite.jobs.tune import search

        try:
            with stop_on_signals():
                search(asked, places.jobs or os.cpu_count() or 1, places.ray or "local", output.say)
        except StopRequested:
            note("stopped; the same command goes on")
            raise
    _tell(asked, output)


def _tell(asked: Search, output: Output) -> None:
    """The best trials; ValueError where all failed."""
    ranked = asked.best()
    if not ranked:
        raise ValueError(
            f"all {asked.trials} trials failed: look at {asked.out}/*.log, then give the same command again"
        )
    named = [(asked.jobs(trial["settings"]), trial["value"]) for trial in ranked]
    lines = [f"{jobs[0].variant}: {asked.objective} {value:.4g}" for jobs, value in named[:5]]
    lines.append(f"{len(asked.tried)} tried, the best first; all of them in {asked.out}/search.json")
    values = {"objective": asked.objective, "best": ranked[0], "trials": asked.tried, "out": str(asked.out)}
    best = [asked.out / job.folder.name for job in named[0][0]]  # as --out was given, not as a worker needs it
    output.result(values, "\n".join(lines), [command("compare", *best)])


def _check(demos: Path, seeds: tuple[int, ...], config: Path | None, eval_episodes: int, jobs: int | None) -> None:
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
    if config is not None and not config.is_file():
        raise ValueError(f"{config} is not a file of settings; gail-suite train ... --show-config prints one")


def _check_learner(algo: str, generator: str | None, expert: str | None) -> None:
    """ValueError for options of another algorithm."""
    learners = GENERATORS.get(algo, ())
    if generator is not None and generator not in learners:
        has = f"the generators {' and '.join(learners)}" if learners else "no generator"
        raise ValueError(f"{algo} has {has}: leave out --generator {generator}")
    if (expert is None) == (algo == "dagger"):
        raise ValueError(
            "dagger asks an expert: give --expert, such as --expert bundled"
            if expert is None
            else f"{algo} asks no expert: leave out --expert {expert}"
        )


def _check_settings(
    algo: str, generator: str | None, config: Path | None, given: Sequence[str], values: Mapping[str, Sequence[str]]
) -> None:
    """ValueError for a combination of settings that a run would refuse."""
    from gail_suite.runs.config import build

    for chosen in itertools.product(*values.values()):
        build(
            _settings_of(algo, generator),
            config,
            (*given, *(f"{name}={value}" for name, value in zip(values, chosen, strict=True))),
        )


def _check_task(folder: Path, task: Task) -> None:
    """ValueError for demonstrations and a task that no run can begin with."""
    from gail_suite import demos
    from gail_suite.learning.shown.features import check_demonstrations

    task.load()
    shown = demos.load(folder)
    check_demonstrations(shown, task.name(shown.task) or shown.task)


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


def _line(algo: str, found: Json) -> str:
    """A combination of settings in a line."""
    from gail_suite.showing.stats import with_interval

    name, scores = found["settings"] or algo, found["scores"]
    if not scores:
        return f"{name}: no scores"
    beside = " against the demonstrations" if found["measure"] == "demo_score" else ""
    return f"{name}: IQM of the scores{beside} {with_interval(found['iqm'], found['interval'])}, {len(scores)} runs"


def _range(words: Sequence[str]) -> Range:
    """What --space says of a setting; ValueError for a range that is none."""
    from gail_suite.jobs.search import Range

    return Range.between(words[0]) if len(words) == 1 else Range(words=tuple(words))


def _values(grid: tuple[str, ...], option: str = "--grid") -> dict[str, list[str]]:
    """Settings and the values to try, of name=value,value texts; ValueError for any other text."""
    found: dict[str, list[str]] = {}
    for text in grid:
        name, equals, values = text.partition("=")
        chosen = re.split(r",(?![^\[]*\])", values)  # the commas of a list such as [256,256] part nothing
        if not (name and equals and all(chosen)):
            raise ValueError(f"{option} takes name=value,value such as sac.tau=0.005,0.01, got {text!r}")
        found[name] = [*found.get(name, []), *chosen]
    return found


def _settings_of(algo: str, generator: str | None) -> Settings:
    """The default settings of an algorithm with a learner, None for its own."""
    if algo == "gail" and generator in ("ppo", "trpo"):
        from gail_suite.algorithms.gail_onpolicy import onpolicy_config

        return onpolicy_config(generator)
    from gail_suite.algorithms.trainer import trainer_of

    return trainer_of(algo).defaults()
