"""A trace of some training steps by JAX's profiler."""

import os
from pathlib import Path
from typing import Any

import jax

WARM_UP = 3  # steps before the trace: the first ones compile


class Profile:
    """Traces `steps` steps of a run, after the first few, into a folder."""

    def __init__(self, folder: str | os.PathLike[str], first: int, steps: int):
        """Takes where and what to trace.

        Args:
          folder: that receives the trace.
          first: the step that the run goes on from.
          steps: how many; 0: none.
        """
        self._folder, self._tracing = Path(folder), False
        self._from = first + WARM_UP + 1 if steps else 0
        self._to = first + WARM_UP + steps
        self._last = first

    def begin(self, step: int) -> None:
        """Is told before each step, counted from 1."""
        if step == self._from:
            jax.profiler.start_trace(self._folder)
            self._tracing = True

    def end(self, step: int, result: Any) -> None:
        """Is told after each step, with some of its results."""
        self._last = step
        if self._tracing and step == self._to:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Ends a trace that was begun, and says where it lies."""
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()
            print(
                f"\n{self._folder}: a trace of steps {self._from} to {self._last}; look at it with "
                f"tensorboard --logdir {self._folder} and its plugin (pip install xprof)"
            )
        elif self._from > self._last:
            print(f"\nno trace: the run ended within {WARM_UP} steps, which are to warm up")
