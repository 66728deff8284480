"""A search by Ray Tune, whose trials Optuna proposes (Akiba et al., 2019): the one module that needs both."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search.optuna import OptunaSearch
from typing_extensions import override

from gail_suite.demos.sealed import Json
from gail_suite.jobs.search import OBJECTIVES, Range, Search, worth
from gail_suite.jobs.sweep import connected
from gail_suite.runs.runlog import StopRequested, stop_requested

TUNE = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours notes the signal
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a task of one's own is imported from here
    "RAY_AIR_NEW_OUTPUT": "0",  # whose least is more than nothing
}
"""How Ray Tune is told, which has no arguments for it."""
FAILED = math.inf
"""Worse than any distance; for a return its opposite."""
LOST = 3
"""How often a trial is tried again whose worker was lost."""


def search(asked: Search, at_once: int, address: str, tell: Callable[[str], None]) -> None:
    """Tries settings until there are as many trials as asked for, `at_once` at a time, and notes what they are worth.

    `address` and the folders are as for `sweep.run_on_ray`. StopRequested after a signal.
    """
    os.environ |= TUNE
    asked.out.mkdir(parents=True, exist_ok=True)
    with connected(address), tempfile.TemporaryDirectory(prefix=".tune-", dir=asked.out) as scratch:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(Trying, asked=asked), {"cpu": 1}),
            param_space={name: domain(r) for name, r in asked.space.items()},
            tune_config=tune.TuneConfig(
                metric="value",
                mode=OBJECTIVES[asked.objective],
                # known trials come first, and a sampler that is as new as they are old repeats none of them
                search_alg=OptunaSearch(
                    points_to_evaluate=[trial["settings"] for trial in asked.tried], seed=len(asked.tried)
                ),
                num_samples=asked.trials,
                max_concurrent_trials=at_once,
            ),
            run_config=tune.RunConfig(
                storage_path=str(Path(scratch).absolute()),
                verbose=0,
                callbacks=[Notes(asked, tell)],
                failure_config=tune.FailureConfig(max_failures=LOST),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the runs have their own
            ),
        ).fit()


def domain(values: Range) -> object:
    """The range in Ray Tune's terms."""
    if values.ends is None:
        return tune.choice(list(values.words))
    low, high = values.ends
    if isinstance(low, int):
        return (tune.lograndint if values.log else tune.randint)(low, int(high) + 1)
    return (tune.loguniform if values.log else tune.uniform)(low, high)


class Trying(tune.Trainable):
    """A trial: one step, which runs its trainings (in the main thread of a worker, so that they see signals)."""

    @override
    def setup(self, config: Json, asked: Search) -> None:
        self.asked, self.settings = asked, config

    @override
    def step(self) -> Json:
        known = self.asked.value(self.settings)
        if known is None:
            known = worth(self.asked.jobs(self.settings), self.asked.objective, self.asked.demos)
        failed = FAILED if OBJECTIVES[self.asked.objective] == "min" else -FAILED
        return {"value": failed if known is None else known, "done": True}


class Notes(tune.Callback):
    """Writes down each trial as it begins and ends, and ends the search after a signal."""

    def __init__(self, asked: Search, tell: Callable[[str], None]) -> None:
        self.asked, self.tell = asked, tell

    @override
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        if stop_requested():
            raise StopRequested

    @override
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        self.asked.note(trial.config)

    @override
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        value = trial.last_result["value"]
        job = self.asked.jobs(trial.config)[0]
        ended = math.isfinite(value)
        self.asked.note(trial.config, value if ended else None)
        told = f"{self.asked.objective} {value:.4g}" if ended else f"failed, see {job.folder.parent}/*.log"
        self.tell(f"{job.variant}: {told}")
