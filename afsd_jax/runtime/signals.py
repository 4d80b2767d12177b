"""SIGTERM and Ctrl-C as requests to stop, which a loop checks when it can."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which the first signal is only recorded; a second one ends the process at once.

    Attributes:
      signum: number of the recorded signal, or 0.
    """

    def __init__(self, message: str = "stopping after this step") -> None:
        """`message` is shown at the first signal."""
        self.signum, self._message = 0, message
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python allows it only there
            self._before = {number: signal.signal(number, self._record) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _record(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        log.warning("%s; a second signal stops at once", self._message)
