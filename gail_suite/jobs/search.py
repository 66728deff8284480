"""A search for settings: what may be tried, what a trial is worth, and what is known of the trials so far.

A trial is a sweep of one combination, so its folders say how far it is. OUT/search.json says what was proposed and what
it was worth: the same command resumes a search that was stopped.
"""

from __future__ import annotations

import fcntl
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gail_suite import demos
from gail_suite.demos.sealed import Json, write_json
from gail_suite.jobs.sweep import Job, log_of, run_in_worker
from gail_suite.learning.policies.policy import load_policy
from gail_suite.learning.shown.occupancy import Likeness
from gail_suite.learning.shown.pairs import Shown
from gail_suite.runs import seeds
from gail_suite.runs.records import SearchRecord, config_of, evaluation_of, read_if_there

OBJECTIVES = {"distance": "min", "return": "max"}
"""What a run may be worth, and which way is better: the distance of the states that it visits from the demonstrated
ones, which reads no reward, or the return of the task.
"""
RECORD = "search.json"
Plan = Callable[[Mapping[str, Sequence[str]]], list[Job]]
"""The runs of a combination of settings: `sweep.plan` without its grid."""


@dataclass(frozen=True)
class Range:
    """The values that a setting may take: all between two numbers, whole where both are, or some words."""

    ends: tuple[float, float] | None = None
    log: bool = False
    """Whether each order of magnitude is as likely as any other."""
    words: tuple[str, ...] = ()

    @classmethod
    def between(cls, text: str) -> Range:
        """The range in a text such as 1:4 or 0.001:0.1:log; ValueError for any other."""
        low, _, rest = text.partition(":")
        high, colon, kind = rest.partition(":")
        try:
            whole = all(end.lstrip("-").isdigit() for end in (low, high))
            ends = (int(low), int(high)) if whole else (float(low), float(high))
        except ValueError:
            ends = (math.nan, math.nan)
        if not (ends[0] < ends[1] and math.isfinite(ends[1] - ends[0]) and kind == "log" * bool(colon)):
            raise ValueError(f"a range is LOW:HIGH or LOW:HIGH:log, such as 0.001:0.1:log, got {text!r}")
        if colon and ends[0] <= 0:
            raise ValueError(f"a range in orders of magnitude begins above 0, got {text!r}")
        return cls(ends, bool(colon))

    def extremes(self) -> list[str]:
        """Its ends, or all its words, as a setting is written."""
        return [written(end) for end in self.ends] if self.ends else list(self.words)


def written(value: object) -> str:
    """A proposed value as a setting; numbers have four digits, so that folders can be told apart and read."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass
class Search:
    """What is searched and how far it is."""

    plan: Plan
    space: Mapping[str, Range]
    """The ranges of the settings."""
    demos: Path
    out: Path
    trials: int
    """How many combinations are tried."""
    objective: str = "distance"
    tried: list[Json] = field(default_factory=list)
    """The settings of each trial so far and its value, None of one that has not ended or whose runs failed."""

    def __post_init__(self) -> None:
        """Takes up what an earlier call of the same search did; ValueError where it was another."""
        kept = read_if_there(self.out / RECORD, SearchRecord)
        if kept and kept["asked"] != self.asked():
            raise ValueError(f"{self.out} holds a search of {kept['asked']}: choose another --out")
        self.tried = kept.get("tried", [])
        for trial in self.tried:
            self.jobs(trial["settings"])  # refuses runs that were begun with other options

    def asked(self) -> str:
        """Objective and ranges in words."""
        ranges = [f"{name}={':'.join([*r.extremes(), *['log'] * r.log])}" for name, r in self.space.items()]
        return " ".join([self.objective, *ranges])

    def jobs(self, settings: Json) -> list[Job]:
        """The runs of a trial."""
        return self.plan({name: [written(value)] for name, value in settings.items()})

    def note(self, settings: Json, value: float | None = None) -> None:
        """Writes down that a combination is tried, or what it was worth."""
        known = next((trial for trial in self.tried if trial["settings"] == settings), None)
        if known is None:
            self.tried.append({"settings": settings, "value": value})
        elif value is not None:
            known["value"] = value
        write_json(self.out / RECORD, {"asked": self.asked(), "tried": self.tried})

    def value(self, settings: Json) -> float | None:
        """What a combination was worth, None where that is not known."""
        return next((trial["value"] for trial in self.tried if trial["settings"] == settings), None)

    def is_finished(self) -> bool:
        """Whether as many combinations as asked for have a value."""
        return len(self.best()) >= self.trials

    def best(self) -> list[Json]:
        """The trials that have a value, the best first."""
        sign = 1 if OBJECTIVES[self.objective] == "min" else -1
        return sorted((t for t in self.tried if t["value"] is not None), key=lambda trial: sign * trial["value"])


def worth(jobs: Sequence[Job], objective: str, shown: Path) -> float | None:
    """Runs what is not finished of a trial; the mean objective of its runs, None where one failed."""
    found = []
    for job in jobs:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(log_of(job), "ab") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # another trial with the same settings may be at it
            if run_in_worker(job):
                return None
        found.append(distance(job, shown) if objective == "distance" else evaluation_of(job.folder)["return_mean"])
    return float(np.mean(found))


def distance(job: Job, folder: Path) -> float:
    """How far the final policy of a run is from the demonstrations in `folder`, whatever share of them it learned
    from.
    """
    env_id = config_of(job.folder)["env_id"]
    shown = Shown.of(env_id, demos.load(folder), observations_only=True)
    likeness = Likeness(env_id, shown)
    return likeness.distance(load_policy(job.folder), seeds.DISTANCE, job.eval_episodes)
