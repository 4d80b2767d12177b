"""Processes that take turns at the same work, so that other load affects all of them alike.

A process that would take minutes for lack of units in the processor is left out. One that fails, or
takes longer than its limit, is ended; the others go on, and its reason stands in the results.
"""

import queue
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from tqdm import tqdm

BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86 processors, and of ARM's
REASON = "reason"  # key in the results of a contestant that has no figures


class GaveUp(Exception):
    """A contestant failed or exceeded its limit; the text says which."""


class Contestant:
    """A process that works whenever it is asked to, within a limit of time.

    Attributes:
      first_s: seconds of the first work, after the process has built what it needs.
      seconds: those of each later turn.
    """

    def __init__(
        self, command: Sequence[str], limit_s: float, environment: Mapping[str, str] | None = None
    ):
        """Starts the process.

        Args:
          command: it prints its first work's seconds as the first word of a line, then a line of
            seconds after each line on its standard input, and its peak memory, MiB, at the end.
          limit_s: seconds that it may be waited for, in all its turns together.
          environment: environment variables of the process; None: those of this one.
        """
        self._limit_s = self._left_s = limit_s
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.first_s = 0.0
        self.seconds: list[float] = []

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.kill()
        self._process.wait()
        self._reader.join()
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def begin(self) -> None:
        """Waits for the first work.

        Raises:
          GaveUp: the process ended or exceeded its limit; so do the other methods.
        """
        self.first_s = float(self._answer().split()[0])

    def work(self) -> None:
        """Works twice and notes the seconds of the second time.

        Before the first time the process waited for others, who took its place in the caches, and
        a virtual machine gave memory that it had freed to its host.
        """
        assert self._process.stdin
        with suppress(BrokenPipeError):  # `_answer` says how it ended
            self._process.stdin.write("\n\n")
            self._process.stdin.flush()
        self._answer()
        self.seconds.append(float(self._answer()))

    def peak_mib(self) -> float:
        """Ends the process; returns its peak memory."""
        assert self._process.stdin
        self._process.stdin.close()
        return float(self._answer())

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _answer(self) -> str:
        start = time.monotonic()
        try:
            line = self._lines.get(timeout=max(self._left_s, 0))
        except queue.Empty:
            raise GaveUp(f"over its limit of {self._limit_s:.0f} s") from None
        self._left_s -= time.monotonic() - start
        if not line:
            raise GaveUp(f"failed: exit status {self._process.wait()}")
        return line


# Starts a contestant by name; the second argument is the folder of its compiled programs.
Start = Callable[[str, str], Contestant]


def left_out(name: str, flags: Collection[str]) -> str:
    """Returns why a contestant of this name is not measured on a processor, or "".

    Args:
      name: name of the contestant, with its precision.
      flags: features of the processor, as /proc/cpuinfo names them.
    """
    if "bfloat16" in name and not set(BFLOAT16_UNITS) & set(flags):
        return "left out: the processor has no bfloat16 units"
    return ""


def compare(
    names: Sequence[str], start: Start, rounds: int, without: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Lets contestants take turns at the same work.

    Args:
      names: names of the contestants.
      start: starts one of them.
      rounds: turns of each.
      without: why contestants are left out, by name; texts may be empty.

    Returns:
      Each one's figures by its name, or only its `REASON`.
    """
    results: dict[str, dict[str, Any]] = {
        name: {REASON: without[name]} if without.get(name) else {} for name in names
    }
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        contestants: dict[str, Contestant] = {}

        def attempt(name: str, act: Callable[[Contestant], Any]) -> None:
            if REASON in results[name]:
                return
            try:
                results[name] |= act(contestants[name]) or {}
            except GaveUp as gave_up:
                results[name] = {REASON: str(gave_up)}
                contestants[name].__exit__()

        for name in tqdm(names):
            if REASON not in results[name]:
                contestants[name] = stack.enter_context(start(name, cache))
            attempt(name, Contestant.begin)
        for _ in tqdm(range(rounds)):
            for name in names:
                attempt(name, Contestant.work)
        for name in names:
            attempt(name, _figures)
        for name in names:
            if name.startswith("afsd_jax") and REASON not in results[name]:
                contestants[name] = stack.enter_context(start(name, cache))
                attempt(name, _cached_call)
    return results


def _cached_call(contestant: Contestant) -> dict[str, float]:
    contestant.begin()
    return {"cached_call_s": round(contestant.first_s, 2)}


def _figures(contestant: Contestant) -> dict[str, Any]:
    return {
        "seconds": round(statistics.median(contestant.seconds), 4),
        "fastest_s": round(min(contestant.seconds), 4),
        "first_call_s": round(contestant.first_s, 2),
        "peak_mib": round(contestant.peak_mib()),
    }
