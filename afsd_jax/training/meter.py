"""How fast training is, and how much of its time it waits for input."""

import contextlib
import time
from collections.abc import Iterator


class Meter:
    """Counts the steps, and the seconds since the last reading."""

    def __init__(self, batch_size: int):
        """Starts the clock; a step is `batch_size` clips."""
        self._batch_size = batch_size
        self._start()

    def _start(self) -> None:
        self._began, self._steps, self._waiting, self._paused = time.monotonic(), 0, 0.0, 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Covers the wait for a step's input."""
        asked = time.monotonic()
        yield
        self._waiting += time.monotonic() - asked
        self._steps += 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Covers what is no training, which is not counted."""
        began = time.monotonic()
        yield
        self._paused += time.monotonic() - began

    def read(self) -> dict[str, float]:
        """Returns `clips_per_s` and `input_wait`, a share of the time, and starts anew."""
        seconds = max(time.monotonic() - self._began - self._paused, 1e-9)
        clips, waiting = self._steps * self._batch_size, self._waiting
        self._start()
        return {"clips_per_s": clips / seconds, "input_wait": waiting / seconds}
