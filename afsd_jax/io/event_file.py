"""TensorBoard's file of events, which grows by complete records only.

Records are messages of TensorFlow's event.proto and summary.proto in the format of protocol
buffers. They are few and small, so that TensorFlow, which takes seconds to import, is not needed.
"""

import math
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from afsd_jax.io.files import append
from afsd_jax.io.tfrecord import record

# Fields of Event, of its SessionLog and of its Summary with the values in it.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7
_STATUS, _START = 1, 1
_VALUE, _TAG, _SIMPLE_VALUE = 1, 1, 2


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
        self._waiting = _event(0, _bytes(_FILE_VERSION, b"brain.Event:2"))
        if first:  # makes TensorBoard drop earlier records of later steps
            self._waiting += _event(first + 1, _bytes(_SESSION_LOG, _number(_STATUS, _START)))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Appends numbers; a mapping among the values is a group of them.

        Raises:
          WriteError: they cannot be written; the next call tries them again.
        """
        for name, number in _scalars(values):
            scalar = _bytes(_TAG, name.encode()) + _float32(_SIMPLE_VALUE, number)
            self._waiting += _event(step, _bytes(_SUMMARY, _bytes(_VALUE, scalar)))
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


def _event(step: int, content: bytes) -> bytes:
    """Returns an event of this moment as a record."""
    moment = _key(_WALL_TIME, 1) + struct.pack("<d", time.time())
    return record(moment + _number(_STEP, step) + content)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _float32(field: int, number: float) -> bytes:
    largest = 3.4028234663852886e38
    if abs(number) > largest:  # also infinity
        number = math.copysign(math.inf, number)
    return _key(field, 5) + struct.pack("<f", number)


def _number(field: int, number: int) -> bytes:
    return _key(field, 0) + _varint(number)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    """Returns a number that is not negative in groups of 7 bits, the lowest first."""
    groups = b""
    while number > 127:
        groups += bytes([number & 127 | 128])
        number >>= 7
    return groups + bytes([number])
