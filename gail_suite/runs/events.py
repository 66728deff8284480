"""Events for TensorBoard, written in the process that trains: no thread whose error would pass it by."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gail_suite.demos.files import naming


class EventFile:
    """An event file in `folder`, which TensorBoard shows with the other sessions' of the same run.

    What earlier sessions wrote from `purge_step` on is left out by TensorBoard. An OSError names the file.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # sorted by their names, sessions are in order
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}"
        events = [Event(file_version="brain.Event:2")]
        if purge_step is not None:
            events.append(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))
        self._append(events)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """One event for each number."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in scalars.items()]
        self._append([Event(step=step, summary=Summary(value=[value])) for value in values])

    def _append(self, events: Sequence[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with naming(self.path), self.path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                event.wall_time = time.time()
                writer.write(event.SerializeToString())
