"""One small training by every trainer, through the command line, and what becomes of it when it is disturbed.

Whatever happens, the run is taken up again as a user would (resumed, or begun again where nothing was saved), and
must end with the weights and the rows of metrics of a run that nothing disturbed.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.soak import tracing
from demos.policy import MlpPolicy
from envs import TOY_ID
from gail_suite.commands.cli import main
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.runlog import CLOCK, read_metrics

LOOP = (
    "loop.n_envs=2 loop.warm_up=20 loop.capacity=400 loop.eval_every=0 loop.eval_episodes=1 loop.log_every=70 "
    "loop.checkpoint_every=50 sac.hidden=[8,8] sac.batch_size=8"
)
ON_POLICY = (
    "learner.n_envs=2 learner.batch_steps=60 learner.hidden=[8] learner.epochs=2 learner.minibatch=30 "
    "cadence.eval_every=0 cadence.eval_episodes=1 cadence.checkpoint_every=60"
)
DISCRIMINATOR = "discriminator.hidden=[8] discriminator.updates=2 discriminator.batch_size=16"


@dataclass(frozen=True)
class Training:
    """A training of a few hundred steps."""

    verb: str
    settings: str
    steps: int
    from_demos: bool = True

    def words(self, demonstrations: Path, run: Path, steps: int | None = None, more: str = "") -> list[str]:
        """The command that begins it in `run`."""
        what = ["--demos", str(demonstrations), "--eval-episodes", "0"] if self.from_demos else ["--env", TOY_ID]
        settings = [word for pair in f"{self.settings} {more}".split() for word in ("--set", pair)]
        return [*self.verb.split(), *what, "--out", str(run), "--steps", str(steps or self.steps), *settings, "-q"]

    def resume(self, run: Path) -> list[str]:
        """The command that takes it up again."""
        verb = self.verb.split(" --")[0].split()
        return [*verb, "--resume", str(run), *["--eval-episodes", "0"] * self.from_demos, "-q"]


TRAININGS = {
    "bc": Training("train bc", "hidden=[8]", 100),
    "gail": Training(
        "train gail", f"{LOOP} bc.steps=20 bc.hidden=[8,8] adversary.hidden=[8] adversary.batch_size=8", 160
    ),
    "gail ppo": Training("train gail --generator ppo", f"{ON_POLICY} {DISCRIMINATOR}", 160),
    "gail trpo": Training("train gail --generator trpo", f"{ON_POLICY} {DISCRIMINATOR}", 160),
    "airl": Training("train airl", f"{ON_POLICY} hidden=[8] updates=2 batch_size=16", 160),
    "expert": Training("expert train", LOOP, 160, from_demos=False),
}


class CommandFailed(RuntimeError):
    """A command ended with an error; what it said."""


def preload(folder: Path, demonstrations: Path) -> None:
    """Does once in this process what every child would import for itself, and leaves out the report, which is a writer
    of its own.
    """
    from gail_suite.jobs import finish

    torch.set_num_threads(1)
    finish.write_report = lambda run_dir: run_dir / "report.html"
    for name, training in TRAININGS.items():
        command(training.words(demonstrations, folder / name.replace(" ", "-")))


def command(words: list[str]) -> None:
    """Runs a command of gail-suite; CommandFailed with its code and all that it wrote to standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(words)
    if code or "Traceback" in said.getvalue():
        raise CommandFailed(f"{code}: {said.getvalue()}")


def silently(words: list[str], folder: Path) -> str | None:
    """Runs a command in a forked child; what it raised."""
    return tracing.run(lambda: command(words), folder, traced=False).error


class Bench:
    """A training, its undisturbed run, and disturbed ones beside it."""

    def __init__(self, name: str, folder: Path, demonstrations: Path, steps: int | None = None, more: str = "") -> None:
        self.name, self.training, self.folder = name, TRAININGS[name], folder / name.replace(" ", "-")
        self.demonstrations, self.steps, self.more = demonstrations, steps, more
        self.folder.mkdir(parents=True)
        self.whole = self.folder / "whole"
        silently(self.begin(self.whole), self.whole)
        self.expected = outcome(self.whole)

    def calls(self, fault: tracing.Fault) -> int:
        """How many system calls change the run's folder, or, for a full disk, take space there."""
        run = self.folder / f"counted-{fault}"
        calls = tracing.run(lambda: command(self.begin(run)), run, fault=fault).calls
        shutil.rmtree(run)
        return calls

    def begin(self, run: Path) -> list[str]:
        """The command that begins it in `run`."""
        return self.training.words(self.demonstrations, run, self.steps, self.more)

    def recovered(self, run: Path, what: str) -> str | None:
        """Takes the run up as a user would; what is wrong with its end."""
        if not self.complete(run):
            again = self.training.resume(run) if checkpoints(run / "checkpoints") else self.begin(run)
            if error := silently(again, run):
                return f"{self.name}, {what}: {error}"
        return self.judged(run, what)

    def complete(self, run: Path) -> bool:
        """Whether the run has left its policy, and its evaluation where there is one."""
        left = ("policy/policy.json", "eval.json")
        return all((run / name).exists() for name in left if (self.whole / name).exists())

    def judged(self, run: Path, what: str) -> str | None:
        """What is wrong with a run that has ended; a sound one is removed."""
        try:
            found = outcome(run)
        except ValueError as error:
            return f"{self.name}, {what}: {error}"
        if left := leftovers(run):
            return f"{self.name}, {what}: left {left[0]}"
        if difference := differs(self.expected, found):
            return f"{self.name}, {what}: {difference}"
        shutil.rmtree(run)
        return None


def outcome(run: Path) -> tuple[dict[str, np.ndarray], list[dict[str, object]]]:
    """The tensors of the final policy and the rows of metrics without the clock."""
    rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(run)]
    return MlpPolicy.load(run / "policy").tensors, rows


def differs(expected: tuple, found: tuple) -> str | None:
    """What differs between two outcomes."""
    if expected[0].keys() != found[0].keys():
        return "another policy (other tensors)"
    for name, value in expected[0].items():
        if not np.array_equal(value, found[0][name]):
            return f"another policy ({name})"
    return None if expected[1] == found[1] else f"other rows of metrics: {found[1]} for {expected[1]}"


def leftovers(run: Path) -> list[Path]:
    """Temporary files and folders below `run`."""
    return [path for path in run.rglob("*") if ".tmp" in path.name]


def faults(bench: Bench, fault: tracing.Fault, share: float) -> Iterator[str | None]:
    """`fault` at every system call that changes the run's folder, or at a share of them."""
    rng = random.Random(f"{bench.name} {fault}")
    calls = range(1, bench.calls(fault) + 1)
    for at in calls if share >= 1 else sorted(rng.sample(calls, max(1, round(share * len(calls))))):
        run = bench.folder / f"{fault}-{at}"
        ended = tracing.run(lambda run=run: command(bench.begin(run)), run, at, fault)
        what = f"{fault} at call {at} of {len(calls)}"
        yield (fault == "full" and complaint(bench.name, what, ended)) or bench.recovered(run, what)


def complaint(name: str, what: str, ended: tracing.Ended) -> str | None:
    """What is wrong with how a command ended on a full disk: one line that names a file, or success."""
    if ended.error is None:
        return None
    said = ended.error.removeprefix("CommandFailed: ")
    errors = [line for line in said.splitlines() if "error:" in line]
    fine = len(errors) == 1 and "/" in errors[0] and "fault of gail-suite" not in said and "Traceback" not in said
    return None if fine else f"{name}, {what}: {said[-600:]}"


def stopped(bench: Bench, sign: int, n: int, seed: int = 0) -> Iterator[str | None]:
    """Ended by the signal `sign` at `n` random moments of the time that the run needs."""
    rng, kind = random.Random(f"{bench.name} {sign} {seed}"), signal.Signals(sign).name
    began = time.monotonic()
    silently(bench.begin(bench.folder / "timed"), bench.folder)
    needed = time.monotonic() - began
    shutil.rmtree(bench.folder / "timed")
    for i in range(n):
        run, after = bench.folder / f"{kind}-{i}", rng.random() * needed
        pid = tracing.start(lambda run=run: command(bench.begin(run)))
        time.sleep(after)
        os.kill(pid, sign)
        os.waitpid(pid, 0)
        yield bench.recovered(run, f"{kind} after {after:.2f} s")


def disturbed(bench: Bench, seconds: float, seed: int = 0) -> Iterator[str | None]:
    """For `seconds`, one run after the other is held (SIGSTOP), ended (SIGKILL, SIGTERM, SIGINT) at random moments, and
    resumed until it is through; a case is a disturbance, and the end of each run is judged.
    """
    rng, end, number = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        run = bench.folder / f"disturbed-{number}"
        number += 1
        while not bench.complete(run) and time.monotonic() < end:
            yield from _disturb(bench, run, rng)
        if problem := bench.recovered(run, f"run {number}"):
            yield problem


def _disturb(bench: Bench, run: Path, rng: random.Random) -> Iterator[None]:
    """One life of a process: a few stops, then its end, unless it is through before."""
    pid = tracing.start(lambda: command(_next(bench, run)))
    for last in (False, False, True):
        time.sleep(rng.expovariate(1 / 2))
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        if last:
            os.kill(pid, rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
            os.waitpid(pid, 0)
        else:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(rng.random())
            os.kill(pid, signal.SIGCONT)
        yield None


def _next(bench: Bench, run: Path) -> list[str]:
    return bench.training.resume(run) if checkpoints(run / "checkpoints") else bench.begin(run)


def cuts(name: str, folder: Path, demonstrations: Path, n: int) -> Iterator[str | None]:
    """Cut after any step of the environments, whatever the checkpoints' interval: mid-episode and mid-interval."""
    bench = Bench(name, folder, demonstrations)
    if bench.training.verb == "train bc":
        return  # which has no checkpoints
    rng = random.Random(f"{name} cuts")
    for i in range(n):
        after, run = rng.randrange(1, 10**6), bench.folder / f"cut-{i}"
        found = tracing.run(lambda run=run, after=after: _train_and_cut(bench.begin(run), after), run, traced=False)
        if found.error != "SystemExit: cut":
            yield f"{name}, cut {i}: {found.error}"
        else:
            yield bench.recovered(run, f"cut {i}")


def _train_and_cut(words: list[str], after: int) -> None:
    """Trains, saves after a step that `after` chooses, and ends there."""
    from gail_suite.learning.offpolicy import OffPolicyLoop
    from gail_suite.learning.onpolicy import OnPolicyLoop

    def cutting(periodic: Callable[..., None], period: int) -> Callable[..., None]:
        seen = [after % period]

        def then_cut(loop: OffPolicyLoop | OnPolicyLoop, *arguments: object) -> None:
            periodic(loop, *arguments)
            seen[0] -= 1
            if seen[0] < 0:
                if getattr(loop, "saved_at", None) != loop.steps:
                    loop.save()
                raise SystemExit("cut")

        return then_cut

    OffPolicyLoop._periodic = cutting(OffPolicyLoop._periodic, 78)  # type: ignore[method-assign]
    OnPolicyLoop._periodic = cutting(OnPolicyLoop._periodic, 2)  # type: ignore[method-assign]
    main(words)
    sys.exit("was not cut")
