"""The log of a training run: TensorBoard's scalars, and the same numbers as lines of JSON."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write

log = logging.getLogger(__name__)

LINES = "metrics.jsonl"
# The entry of an evaluation: `evaluation.Metrics.as_dict`, and loss terms on validation clips.
VALIDATION = "validation"
LOSS = "loss/"  # prefix of those terms' names

Record = dict[str, Any]


def read_records(workdir: str | os.PathLike[str]) -> list[Record]:
    """Returns the records of a run in order, without a line that a crash has truncated."""
    return list(_records(Path(workdir) / LINES))


def _records(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            yield record


class RunLog:
    """Stores records in memory and writes them to files.

    Attributes:
      records: all records of the run; each has a `step`.
    """

    def __init__(self, workdir: str | os.PathLike[str], first: int, writes: bool = True):
        """Continues the log after step `first`, without an earlier run's records of later steps.

        Args:
          workdir: folder of the run.
          first: step from which the run continues.
          writes: whether this process writes files; else it only stores records in memory.
        """
        self._path = Path(workdir) / LINES
        self.records = [record for record in _records(self._path) if record["step"] <= first]
        self._events: EventsWriter | None = None
        self._writes, self._warned = writes, False
        self.attempt(lambda: self._open(os.fspath(workdir), first))

    def _open(self, workdir: str, first: int) -> None:
        with atomic_write(self._path) as temporary:
            temporary.write_text("".join(map(_line, self.records)), encoding="utf-8")
        # Unbuffered: SummaryWriter's thread would die of a full disk and block the run.
        self._events = EventsWriter(os.path.join(workdir, "events"))
        if first:  # makes TensorBoard drop earlier records of later steps
            start = SessionLog(status=SessionLog.START)
            self._events.write_event(Event(step=first + 1, session_log=start))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a record. A mapping among the values is a group of numbers, also for TensorBoard.

        If the files cannot be written, this warns once and only stores the record in memory.
        """
        self.records.append({"step": step, **values})
        self.attempt(lambda: self._append(step, values))

    def _append(self, step: int, values: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(self.records[-1]))
        if self._events is None:
            return
        for name, value in values.items():
            for key, number in value.items() if isinstance(value, Mapping) else [("", value)]:
                if isinstance(number, int | float):
                    summary = scalar(f"{name}/{key}" if key else name, number)
                    event = Event(step=step, wall_time=time.time(), summary=summary)
                    self._events.write_event(event)
        self._events.flush()

    def close(self) -> None:
        """Closes the files."""
        if self._events is not None:
            self.attempt(self._events.close)

    def attempt(self, write: Callable[[], object]) -> None:
        """Calls `write` if this process writes files. An error in writing does not end training."""
        if not self._writes:
            return
        try:
            write()
        except (OSError, UserError) as error:
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
