"""What a run leaves behind while it works: metrics, TensorBoard events, progress, the lock, the wish to stop.

RUN/config.json      everything needed to rebuild the run       RUN/versions.json   what it ran on
RUN/metrics.jsonl    one line a record, keys sorted             RUN/tensorboard/    the same numbers for TensorBoard
RUN/.lock            held by the process that trains here
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from gail_suite.demos.files import naming, read_bytes, refuse_links, write_atomic
from gail_suite.demos.sealed import Json, write_json
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.events import EventFile
from gail_suite.runs.records import config_of
from gail_suite.runs.versions import versions

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_INTERVAL_S = 5.0
CLOCK = ("sps", "wall_s")
"""Fields of a record that differ from run to run."""
Logger = Callable[..., object]
"""What is told of each row of the log as wandb.log and mlflow.log_metrics are: logger({tag: number}, step=step)."""
TAGS = {
    "eval": ("score", "return_mean", "length_mean", "distance"),
    "rollout": ("train_return", "reward_mean"),
    "clone": ("bc_",),
    "discriminator": ("disc_", "logit_gap", "expert_reward"),
    "prior": ("prior_", "bonus", "typicality"),
    "critic": ("critic_", "target_", "value_", "explained_variance"),
    "actor": ("actor_", "entropy", "alpha", "policy_", "approx_kl", "clip_fraction", "std"),
}
"""Groups of TensorBoard -> how the names in them begin; all else is in "train"."""
_signal_seen: int | None = None


class RunLocked(ValueError):
    """Another process is training in this run directory."""


class StopRequested(KeyboardInterrupt):
    """Training stopped on SIGINT or SIGTERM after saving a checkpoint; `.signum` says which."""

    def __init__(self) -> None:
        self.signum = _signal_seen or signal.SIGINT
        super().__init__(f"stopped by signal {self.signum}")


def stop_requested() -> bool:
    """True once SIGINT or SIGTERM arrived inside `stop_on_signals`: save a checkpoint, then raise StopRequested()."""
    return _signal_seen is not None


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM only raise the flag of `stop_requested`; a second one ends the process."""

    def note(signum: int, _frame: FrameType | None) -> None:
        global _signal_seen
        if _signal_seen is not None:
            os._exit(128 + signum)
        _signal_seen = signum

    global _signal_seen
    previous = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        _signal_seen = None


class RunLog:
    """Context manager that owns a run directory while it is open: lock, metrics.jsonl, TensorBoard, progress.

    On a terminal progress is a rich bar, elsewhere a plain line every few seconds; both go to standard error. `quiet`
    shows nothing. `loggers` are told of every row too. Raises RunLocked if another process has the directory open.
    """

    def __init__(
        self,
        run_dir: str | Path,
        total_steps: int | None = None,
        quiet: bool = False,
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.run_dir, self.loggers = Path(run_dir), tuple(loggers)
        self.total_steps = total_steps
        self.metrics = self.run_dir / "metrics.jsonl"
        self._quiet = quiet
        self._plain = not sys.stderr.isatty()
        self._lock: int | None = None
        self._purge_step: int | None = None
        self._there: list[Json] = []
        self._events: EventFile | None = None
        self._bar: Progress | None = None
        self._shown = -math.inf
        self._latest_score: float | None = None
        self._restart_clock({}, 0)

    def __enter__(self) -> Self:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        refuse_links(self.run_dir)
        self._lock = _acquire(self.run_dir / ".lock")
        last = read_metrics(self.run_dir)[-1:]
        self._restart_clock(last[0] if last else {}, 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._lock is not None:
            os.close(self._lock)
        self._bar = self._events = self._lock = None

    def log(self, step: int, **scalars: float) -> None:
        """Append one record to metrics.jsonl and TensorBoard; values that are not finite are written as null.

        A record that the step resumed from has left already is not written again.
        """
        now = time.monotonic()
        if "score" in scalars:
            self._latest_score = scalars["score"]
        record = {"step": step, **{k: _number(v) for k, v in scalars.items()}}
        if record in self._there:
            return
        clock = {"sps": round(self._log_speed(step, now), 2), "wall_s": round(self._wall_before + now - self._start, 3)}
        line = json.dumps({**dict(sorted(record.items())), **clock}, allow_nan=False)
        with naming(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        tagged = {tag(name): value for name, value in scalars.items()}
        self._tensorboard(step, tagged)
        for logger in self.loggers:
            logger(tagged, step=step)

    def progress(self, step: int, **fields: float) -> None:
        """Show where the run is: steps/s, time left, the latest score and any other field."""
        now = time.monotonic()
        if "score" in fields:
            self._latest_score = fields["score"]
        if self._quiet:
            return
        if not self._plain:
            self._show_bar(step, now, fields)
        elif now - self._shown >= PLAIN_INTERVAL_S or step >= (self.total_steps or math.inf):
            self._shown = now
            line = f"step {self._position(step)}  {self._details(step, now, fields)}"
            print(line.rstrip(), file=sys.stderr, flush=True)

    def truncate_to(self, step: int) -> None:
        """Drop the records after `step` (and a torn last line)."""
        kept = [row for row in read_metrics(self.run_dir) if row["step"] <= step]
        write_atomic(self.metrics, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._purge_step = step + 1
        self._there = [{k: v for k, v in row.items() if k not in CLOCK} for row in kept if row["step"] == step]
        self._restart_clock(kept[-1] if kept else {}, step)

    def resumed(self, step: int) -> None:
        """Say where a run goes on, and drop what it had written after that."""
        self.truncate_to(step)
        self.say(f"resumed at step {self._position(step)}")

    def say(self, text: str) -> None:
        """Show what is done now, where it takes a while and makes no steps."""
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def _restart_clock(self, last: Json, step: int) -> None:
        self._start = time.monotonic()
        self._log_speed, self._shown_speed = _Speed(0.0, step), _Speed(1.0, step)
        self._wall_before: float = last.get("wall_s", 0.0)
        self._latest_score = last.get("score")

    def _position(self, step: int) -> str:
        return f"{step:,}" if self.total_steps is None else f"{step:,}/{self.total_steps:,}"

    def _details(self, step: int, now: float, fields: dict[str, float]) -> str:
        speed = self._shown_speed
        rate = speed(step, now)
        parts = [f"{rate:.0f} steps/s"] if rate > 0 else []
        if (
            self.total_steps is not None and step < self.total_steps and rate > 0 and speed.measured > 1
        ):  # the first one includes warming up
            parts.append(f"ETA {_duration((self.total_steps - step) / rate)}")
        if self._latest_score is not None:
            parts.append(f"score {self._latest_score:.3f}")
        parts += [f"{name} {value:.4g}" for name, value in fields.items() if name != "score"]
        return "  ".join(parts)

    def _show_bar(self, step: int, now: float, fields: dict[str, float]) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.fields[at]}"), BarColumn(), TextColumn("{task.fields[details]}"))
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total_steps, at="", details="")
        details = self._details(step, now, fields)
        self._bar.update(self._task, completed=step, at=self._position(step), details=details)

    def _tensorboard(self, step: int, scalars: dict[str, float]) -> None:
        if self._events is None:
            self._events = EventFile(self.run_dir / "tensorboard", self._purge_step)
        self._events.write(step, scalars)


def tag(name: str) -> str:
    """The name of a number in TensorBoard, with its group: eval/score."""
    return f"{next((group for group, heads in TAGS.items() if name.startswith(heads)), 'train')}/{name}"


class _Speed:
    """Steps per second since the last call, or since at least `interval` seconds before it."""

    def __init__(self, interval: float, step: int) -> None:
        self._interval, self._mark = interval, (step, time.monotonic())
        self.rate, self.measured = 0.0, 0

    def __call__(self, step: int, now: float) -> float:
        before, then = self._mark
        if now - then > self._interval:
            self.rate = (step - before) / (now - then)
            self._mark = step, now
            self.measured += 1
        return self.rate


def read_metrics(run_dir: str | Path) -> list[Json]:
    """The records of metrics.jsonl in order; a line torn by a crash is left out."""
    path = Path(run_dir) / "metrics.jsonl"
    if not path.exists():
        return []
    records = []
    for line in read_bytes(path).splitlines():
        try:
            record = msgspec.json.decode(line, type=dict[str, int | float | bool | None])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(record.get("step"), int):
            records.append(record)
    return records


def write_run_files(run_dir: str | Path, config: Json) -> None:
    """Write config.json (all that is needed to rebuild the run) and versions.json (what it runs on)."""
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    for name, content in (("config", config), ("versions", versions())):
        write_json(run_dir / f"{name}.json", content)


def holds_run(run_dir: str | Path) -> bool:
    """Whether there is something of a run to lose: a checkpoint, or a policy."""
    return (Path(run_dir) / "policy/policy.json").exists() or bool(checkpoints(Path(run_dir) / "checkpoints"))


RESULTS = ("policy", "reward", "eval.json", "video.mp4", "report.html", "learning_curve.png")
"""What a finished run leaves, and one that trains on takes back."""
EARLIER_PRIORS = ("prior", "second_prior")
"""Settings, and folders of the copies, of the two priors that earlier versions knew."""
KEPT = ("checkpoints", "best", "priors", *EARLIER_PRIORS, "tensorboard", "metrics.jsonl")
"""What it keeps on the way."""


def refuse_used(run_dir: str | Path, resumable: bool = True) -> None:
    """ValueError, before anything is overwritten, where a new run would mix with another, or with what no run wrote."""
    if holds_run(run_dir):
        remedy = f"go on with its trainer's resume({str(run_dir)!r}), or " if resumable else ""
        raise ValueError(f"{run_dir} holds a run already: {remedy}choose another folder")
    others = [name for name in (*RESULTS, *KEPT) if (Path(run_dir) / name).exists()]
    if others and not (Path(run_dir) / "config.json").exists():
        raise ValueError(
            f"{run_dir} holds {' and '.join(others)}, which no run wrote and a run would replace: choose another folder"
        )


def forget_results(run_dir: str | Path) -> None:
    """Removes what a finished run left before it trains on: an old evaluation would pass for the new policy's."""
    for name in RESULTS:
        path = Path(run_dir) / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def read_run(run_dir: str | Path) -> Json:
    """What config.json says of a run; ValueError where there is none, or no record of a run."""
    record = config_of(run_dir)
    if not record:
        raise ValueError(f"{run_dir} is not a run directory (it has no config.json)")
    if not {"seed", "config"} <= record.keys():
        raise ValueError(
            f"{run_dir}/config.json is damaged (no seed or no config): restore it from a copy, or start a new run"
        )
    return record


def _acquire(path: Path) -> int:
    """Lock the file until its descriptor is closed; the kernel lets go of it when the owner dies, however it dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(handle, 4096, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise RunLocked(
            f"{path.parent} is in use by another process ({owner}); wait for it, stop it, or choose another --out"
        ) from error
    with naming(path):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()} on {platform.node()}, boot {_boot_id()}\n".encode(), 0)
    return handle


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _number(value: float) -> float | int | None:
    if isinstance(value, bool | int):
        return value
    return float(value) if math.isfinite(value) else None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
