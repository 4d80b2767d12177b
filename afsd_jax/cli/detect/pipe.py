"""A video that comes through a pipe, and lines that go out through another."""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import detection_fields
from afsd_jax.runtime.signals import Interruption
from afsd_jax.types import Detection

NAME = "stdin"  # of the video
_LOOK_S = 0.1  # how often whoever waits for bytes sees whether they are still wanted


class StandardInput:
    """Bytes of standard input, until they end or are wanted no more."""

    def __init__(self, unwanted: Callable[[], bool]):
        """Reads nothing yet.

        Raises:
          UserError: standard input is closed, or a terminal.
        """
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise UserError("-: pipe a video into standard input, as ffmpeg … -f matroska - | afsd")
        self._file, self._unwanted = sys.stdin.fileno(), unwanted

    def read(self, size: int) -> bytes:
        """Returns at most so many of the next bytes; none at the end."""
        while not self._unwanted():
            if select.select([self._file], [], [], _LOOK_S)[0]:
                return os.read(self._file, size)
        return b""


class Lines:
    """Writes detections as they come, a line of JSON each.

    Attributes:
      closed: whether nobody reads them any more.
    """

    def __init__(self, out: TextIO, wanted: Callable[[Detection], bool]):
        """Takes where to write, and which detections."""
        self._out, self._wanted, self.closed = out, wanted, False

    def __call__(self, detection: Detection) -> None:
        """Writes a detection at once, if it is wanted."""
        if self.closed or not self._wanted(detection):
            return
        try:
            print(json.dumps(detection_fields(detection)), file=self._out, flush=True)
        except BrokenPipeError:
            self.closed = True
            # What is left in the buffer has nowhere to go when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


class Ending:
    """Whether a stream is to end before its input does: by a signal, or as nobody reads its lines.

    Attributes:
      lines: the detections'.
    """

    def __init__(self, interruption: Interruption, lines: Lines):
        self._interruption, self.lines = interruption, lines

    def __call__(self) -> bool:
        """Returns whether it is."""
        return bool(self.signum)

    @property
    def signum(self) -> int:
        """Of the signal that ended it, or 0."""
        return signal.SIGPIPE if self.lines.closed else self._interruption.signum
