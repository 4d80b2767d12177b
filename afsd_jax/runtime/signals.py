"""SIGTERM and Ctrl-C as a wish to stop, which a loop grants when it can."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first of these signals is only noted; the next ends the process at once.

    Attributes:
      signum: of the signal noted, or 0.
    """

    def __init__(self, meaning: str = "stopping after this step") -> None:
        """Takes what the first signal is answered with."""
        self.signum, self._meaning = 0, meaning
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # only there Python allows it
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        print(f"\n{self._meaning}; once more stops at once", file=sys.stderr)
