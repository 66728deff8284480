"""Progress on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Meter:
    """Progress on standard error: a bar on a terminal, one line that is written over in a notebook, a plain line every
    few seconds elsewhere, nothing when disabled."""

    def __init__(self, total: int, start: int, enabled: bool, every_s: float = 5.0, unit: str = "step") -> None:
        self.total, self.start, self.every_s, self.unit = total, start, every_s, unit
        self._bar = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                transient=True,
            )
            if enabled and sys.stderr.isatty()
            else None
        )
        self._plain = enabled and self._bar is None
        self._over = type(sys.stderr).__module__.startswith("ipykernel")
        self._width = 0
        if self._over:
            self.every_s = min(every_s, 0.5)
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.console.file = sys.stderr
            self._task = self._bar.add_task(
                "training" if self.unit == "step" else self.unit, total=self.total, completed=self.start
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._width:
            print(file=sys.stderr, flush=True)

    def update(self, done: int, scalars: dict[str, float]) -> None:
        """Show that ``done`` steps are made, with the latest scalars."""
        text = " ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text or self.unit)
        elif self._plain and (now - self._last >= self.every_s or (done == self.total and self.unit == "step")):
            rate = (done - self.start) / max(1e-9, now - self._began)
            self._last = now
            left = (self.total - done) / max(rate, 1e-9)
            rates = f"{rate:.1f} steps/s " if self.unit == "step" else ""
            self._say(f"{self.unit} {done}/{self.total} {text} {rates}ETA {left:.0f} s")

    def _say(self, line: str) -> None:
        if not self._over:
            print(line, file=sys.stderr, flush=True)
            return
        print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(line)
