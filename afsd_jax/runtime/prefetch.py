"""Producing items in a thread before they are needed."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

_POLL_S = 0.1  # how often a thread that waits for room checks whether it should stop
_SWITCH_S = 1e-4  # longest turn of a thread that runs Python
_JOIN_S = 2.0  # how long to wait for a thread that was asked to stop


def prefetch(
    make: Callable[[threading.Event], Iterable[Item]], size: int
) -> Generator[Item, None, None]:
    """Yields items that a thread makes in advance, at most `size` of them.

    The thread stops when the iteration ends for whatever reason. An exception in it is raised here.

    Args:
      make: returns the items; it is called in the thread. Its argument is an event that is set
        when no more items are wanted; a long computation between two items should then stop.
      size: maximum number of items that wait.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=size)
    stop = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                waiting.put((kind, value), timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in make(stop):
                if not put("item", item):
                    return
        except BaseException as error:
            put("error", error)
        else:
            put("end", None)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join(_JOIN_S)


class _ShortTurns:
    """The interpreter's longest turn, which several threads may shorten at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._usual = 0.0

    def begin(self) -> None:
        with self._lock:
            if not self._threads:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(_SWITCH_S)
            self._threads += 1

    def end(self) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                sys.setswitchinterval(self._usual)


_short_turns = _ShortTurns()


@contextlib.contextmanager
def in_short_turns() -> Iterator[None]:
    """Lets a thread decode while this one runs Python code, as JAX does when it traces.

    Decoding needs the interpreter briefly after each packet, and by default waits 5 ms for it.
    Several threads may do this at once; the last one restores the usual turns.
    """
    _short_turns.begin()
    try:
        yield
    finally:
        _short_turns.end()
