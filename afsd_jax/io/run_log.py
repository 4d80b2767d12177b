"""The log of a training run: TensorBoard's scalars, and the same numbers as lines of JSON."""

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from afsd_jax.errors import UserError
from afsd_jax.io.event_file import EventFile
from afsd_jax.io.files import append, atomic_write, read_bytes

log = logging.getLogger(__name__)

_MOST_BYTES = 2**28  # of a run's log

LINES = "metrics.jsonl"
# The entry of an evaluation: `evaluation.Metrics.as_dict`, and loss terms on validation clips.
VALIDATION = "validation"
LOSS = "loss/"  # prefix of those terms' names

Record = dict[str, Any]


def read_records(workdir: str | os.PathLike[str]) -> list[Record]:
    """Returns the records of a run in order; lines that hold none, as after a crash, are left out.

    Raises:
      UserError: the file cannot be read.
    """
    return list(_records(Path(workdir) / LINES))


def _records(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    left_out = 0
    for line in read_bytes(path, _MOST_BYTES).decode("utf-8", "replace").splitlines():
        try:
            yield _checked(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            left_out += 1
    if left_out > 1:  # a single one was cut short by a crash
        log.warning("%s: %d lines are no records of a run and are left out", path, left_out)


def _checked(record: Any) -> Record:
    """Returns a record whose values are numbers, None, or the metrics of an evaluation.

    Raises:
      ValueError, TypeError, AttributeError or KeyError: it is no record.
    """
    metrics = record.get(VALIDATION, {})
    precisions = metrics.get("ap", {})  # of each class, at each threshold
    values = [value for name, value in record.items() if name != VALIDATION]
    values += [value for name, value in metrics.items() if name != "ap"]
    if type(record["step"]) is not int or not 0 <= record["step"] < 2**53:
        raise ValueError("a step is a whole number from 0 on")
    if not all(value is None or _is_number(value) for value in values):
        raise ValueError("a value is no number")
    if not all(x and isinstance(x, list) and all(map(_is_number, x)) for x in precisions.values()):
        raise ValueError("a precision is no number")
    return record


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and not abs(value) > 1e100  # larger ones cannot be drawn


class RunLog:
    """Stores records in memory and writes them to files.

    Attributes:
      records: all records of the run; each has a `step`.
      failed: whether something could not be written since the files were opened or closed.
    """

    def __init__(self, workdir: str | os.PathLike[str], first: int, writes: bool = True):
        """Continues the log after step `first`, without an earlier run's records of later steps.

        Args:
          workdir: folder of the run.
          first: step from which the run continues.
          writes: whether this process writes files; else it only stores records in memory.

        Raises:
          WriteError: the files cannot be written.
        """
        self._path, self._first = Path(workdir) / LINES, first
        self.records = [record for record in _records(self._path) if record["step"] <= first]
        self._written = len(self.records)  # records in the file
        self._writes, self._warned, self.failed = writes, False, False
        self._events: EventFile | None = None
        if writes:
            with atomic_write(self._path) as temporary:
                temporary.write_text("".join(map(_line, self.records)), encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a record. A mapping among the values is a group of numbers, also for TensorBoard.

        If a file cannot be written, this warns once, and the next call writes what is missing.
        """
        self.records.append({"step": step, **values})
        self.attempt(self._write_lines)
        self.attempt(lambda: self._write_events(step, values))

    def _write_lines(self) -> None:
        lines = "".join(map(_line, self.records[self._written :]))
        append(self._path, lines.encode())
        self._written = len(self.records)

    def _write_events(self, step: int, values: Mapping[str, Any]) -> None:
        if self._events is None:
            self._events = EventFile(self._path.parent, self._first)
        self._events.write(step, values)

    def close(self) -> None:
        """Writes what could not be written before."""
        self.failed = False
        self.attempt(self._write_lines)
        if self._events is not None:
            self.attempt(self._events.write_waiting)

    def attempt(self, write: Callable[[], object]) -> None:
        """Calls `write` if this process writes files. An error in writing does not end training."""
        if not self._writes:
            return
        try:
            write()
        except (OSError, UserError) as error:
            self.failed = True
            if not self._warned:
                log.warning("%s: the log cannot be written (%s)", self._path.parent, error)
            self._warned = True


def _line(record: Record) -> str:
    # JSON cannot represent numbers that are not finite.
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(plain) + "\n"
