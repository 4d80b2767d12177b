"""Detection in a video on standard input, whose detections are lines on standard output."""

import contextlib
import dataclasses
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from afsd_jax.cli.detect.job import open_job, print_checkpoints, write_detections
from afsd_jax.cli.detect.options import DetectOptions
from afsd_jax.detection.online import detect_online
from afsd_jax.detection.pipeline import VideoResult
from afsd_jax.errors import UserError, printable
from afsd_jax.inputs.video import VideoSource
from afsd_jax.io.activitynet_json import detection_fields
from afsd_jax.runtime.signals import Interruption
from afsd_jax.types import Detection

_POLL_S = 0.1  # how often a wait for bytes checks whether the pipe was ended


def detect_in_pipe(options: DetectOptions) -> int:
    """Detects in standard input, and prints each detection as soon as it is final.

    Files are written at the end, if the options name any. A signal ends the video where it is, and
    so does the end of the program that reads standard output.

    Returns:
      The exit code: 128 plus the number of the signal that ended the video, else 0.
    """
    selection = options.selection

    def is_shown(detection: Detection) -> bool:
        chosen = selection.labels is None or detection.label in selection.labels
        return chosen and selection.reached_by(detection)

    interruption = Interruption("ending with what has come")
    lines = DetectionLines(sys.stdout, is_shown)
    ending = PipeEnding(interruption, lines)
    with contextlib.redirect_stdout(sys.stderr):
        job = open_job(options, StandardInput(ending.requested))
        print_checkpoints(job.detector, options)
        if job.detector.config.inference.voting_tiou > 0:
            raise UserError(
                "-: starts and ends cannot be averaged before the video ends; give --voting-tiou 0"
            )

        def find(sources: Iterable[VideoSource]) -> Iterator[VideoResult]:
            for source in sources:
                yield detect_online(job.detector, source, lines.write, any(options.outputs))

        try:
            with interruption:
                code = write_detections(dataclasses.replace(job, find=find), options)
        except UserError as error:
            if not ending.requested():
                raise
            print(f"error: {printable(str(error))}", file=sys.stderr)
    return 128 + ending.signum if ending.requested() else code


class StandardInput:
    """Bytes of standard input, until they end or an end is requested."""

    def __init__(self, end_requested: Callable[[], bool]):
        """Reads nothing yet.

        Raises:
          UserError: standard input is closed, or a terminal.
        """
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise UserError("-: pipe a video into standard input, as ffmpeg … -f matroska - | afsd")
        self._file, self._end_requested = sys.stdin.fileno(), end_requested

    def read(self, size: int) -> bytes:
        """Returns at most `size` of the next bytes; none at the end."""
        while not self._end_requested():
            if select.select([self._file], [], [], _POLL_S)[0]:
                return os.read(self._file, size)
        return b""


class DetectionLines:
    """Prints detections, one line of JSON each.

    Attributes:
      closed: whether the reader of the lines has ended.
    """

    def __init__(self, out: TextIO, is_shown: Callable[[Detection], bool]):
        """Takes the file to print to, and which detections are shown."""
        self._out, self._is_shown, self.closed = out, is_shown, False

    def write(self, detection: Detection) -> None:
        """Prints a detection at once, if it is one of those that are shown."""
        if self.closed or not self._is_shown(detection):
            return
        try:
            print(json.dumps(detection_fields(detection)), file=self._out, flush=True)
        except BrokenPipeError:
            self.closed = True
            # What is left in the buffer has nowhere to go when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


class PipeEnding:
    """Whether a video ends before its pipe does: on a signal, or when nobody reads its lines."""

    def __init__(self, interruption: Interruption, lines: DetectionLines):
        self._interruption, self._lines = interruption, lines

    def requested(self) -> bool:
        return bool(self.signum)

    @property
    def signum(self) -> int:
        """The signal that ended the video, or 0."""
        return signal.SIGPIPE if self._lines.closed else self._interruption.signum
