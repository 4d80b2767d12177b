"""Work done in a thread ahead of the one who wants its results."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

_LOOK_S = 0.1  # how often a thread that waits for room sees whether it is still wanted
_TURN_S = 1e-4  # of a thread that computes in Python
_FAREWELL_S = 2.0  # how long a thread that is wanted no more may take to notice


def ahead(
    make: Callable[[threading.Event], Iterable[Item]], size: int
) -> Generator[Item, None, None]:
    """Yields items that a thread makes ahead, at most `size` of them.

    The thread ends with the iteration, however that ends. What is raised in it is raised here.

    Args:
      make: returns the items; is called in the thread. The event it gets is set when no more of
        them are wanted: what takes long between two items ends then.
      size: items that wait at most.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=size)
    unwanted = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((kind, value), timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in make(unwanted):
                if not put("item", item):
                    return
        except BaseException as error:
            put("error", error)
        else:
            put("end", None)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
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
        unwanted.set()
        thread.join(_FAREWELL_S)


@contextlib.contextmanager
def in_short_turns() -> Iterator[None]:
    """Lets a thread that decodes go on while this one works in Python, as when JAX traces.

    Decoding needs the interpreter for a moment after each packet. By default it waits 5 ms for it.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
