"""TensorBoard's file of events, which grows by complete records only."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.framework.summary_pb2 import Summary
from tensorflow.core.util.event_pb2 import Event, SessionLog

from afsd_jax.io.files import append
from afsd_jax.io.tfrecord import record


class EventFile:
    """Appends a run's scalars; TensorFlow's own writer does not report a full disk."""

    def __init__(self, folder: str | os.PathLike[str], first: int):
        """Writes nothing yet.

        Args:
          folder: folder of the run.
          first: step from which the run continues.
        """
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        self._path = Path(folder) / name
        self._waiting = _event(file_version="brain.Event:2")
        if first:  # makes TensorBoard drop earlier records of later steps
            start = SessionLog(status=SessionLog.START)
            self._waiting += _event(step=first + 1, session_log=start)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Appends numbers; a mapping among the values is a group of them.

        Raises:
          WriteError: they cannot be written; the next call tries them again.
        """
        for name, number in _scalars(values):
            scalar = Summary(value=[Summary.Value(tag=name, simple_value=number)])
            self._waiting += _event(step=step, summary=scalar)
        self.write_waiting()

    def write_waiting(self) -> None:
        """Appends what could not be written before.

        Raises:
          WriteError: it cannot be written now, either.
        """
        append(self._path, self._waiting)
        self._waiting = b""


def _scalars(values: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in values.items():
        for key, number in value.items() if isinstance(value, Mapping) else [("", value)]:
            if isinstance(number, int | float):
                yield f"{name}/{key}" if key else name, number


def _event(**fields: Any) -> bytes:
    """Returns an event of this moment as a record."""
    return record(Event(wall_time=time.time(), **fields).SerializeToString())
