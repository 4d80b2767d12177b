"""TensorBoard's file of events, which grows by complete records only."""

import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

from afsd_jax.io.files import append


class EventFile:
    """Appends a run's scalars; tensorboardX's own writer would die of a full disk in its thread."""

    def __init__(self, folder: str | os.PathLike[str], first: int):
        """Writes nothing yet.

        Args:
          folder: folder of the run.
          first: step from which the run continues.
        """
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        self._path = Path(folder) / name
        self._waiting = _record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if first:  # makes TensorBoard drop earlier records of later steps
            start = SessionLog(status=SessionLog.START)
            self._waiting += _record(Event(step=first + 1, session_log=start))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Appends numbers; a mapping among the values is a group of them.

        Raises:
          WriteError: they cannot be written; the next call tries them again.
        """
        for name, number in _scalars(values):
            event = Event(step=step, wall_time=time.time(), summary=scalar(name, number))
            self._waiting += _record(event)
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


def _record(event: Event) -> bytes:
    """Returns an event as a record of a TFRecord file."""
    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(content))
