"""Commands that run as processes of their own: their progress, their messages, their end."""

import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io.files import make_folder, naming_failure

# A progress bar, such as "training:  45%|####      | 270/600".
_BAR = re.compile(rb"([^\r\n%|]*?):?\s*(\d{1,3})%\s*\|")
_LINES = re.compile(rb"[\r\n]+")
_LOOK_S = 0.2
_END_S = 120.0  # for a command that was asked to end

Tell = Callable[[str, float], object]


class Stopped(Exception):
    """Somebody has stopped the work."""


def run_program(command: Sequence[str], log: Path, tell: Tell, stopping: threading.Event) -> None:
    """Runs a command until it ends.

    Args:
      command: program and arguments.
      log: file that receives what the command prints, besides its progress bars.
      tell: is called with the text and the share of each progress bar.
      stopping: ends the command when it is set.

    Raises:
      UserError: the command failed; the message is its last one.
      Stopped: `stopping` was set.
    """
    make_folder(log.parent)
    with naming_failure(log), open(log, "ab") as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it
        )
        last = b""
        with process:
            for line in _lines(process, stopping):
                bar = _BAR.search(line)
                if bar:
                    tell(bar[1].decode("utf-8", "replace").strip(), min(int(bar[2]) / 100, 1.0))
                elif line.strip():
                    messages.write(line + b"\n")
                    last = line if line.startswith(b"error: ") or not last else last
    if stopping.is_set():
        raise Stopped
    if process.returncode not in (0, 1):  # 1: some videos failed, and all others are done
        reason = last.decode("utf-8", "replace").removeprefix("error: ").strip()
        raise UserError(f"{reason or 'the command ended without a message'} (see {log})")


def _lines(process: "subprocess.Popen[bytes]", stopping: threading.Event) -> Iterator[bytes]:
    """Yields what a process prints, line by line; asks it to end when it shall."""
    assert process.stdout is not None
    rest, asked_at = b"", 0.0
    while True:
        if stopping.is_set() and not asked_at:
            process.send_signal(signal.SIGTERM)
            asked_at = time.monotonic()
        if asked_at and time.monotonic() > asked_at + _END_S:
            process.kill()
        if not select.select([process.stdout], [], [], _LOOK_S)[0]:
            continue
        part = os.read(process.stdout.fileno(), 65536)
        *lines, rest = _LINES.split(rest + part)
        yield from lines
        if not part:
            yield rest
            return
