"""Watches a training run: non-finite values, speed, a profile, early stopping and signals."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.io.run_log import VALIDATION, Record, RunLog

MAX_NAMED_CLIPS = 8
# Coarse segments have no width if their GIoU loss exceeds this for so many steps: it is then 1.
ZERO_WIDTH_LOSS, ZERO_WIDTH_STEPS = 0.9999, 10
WARM_UP = 3  # steps before a profile: the first ones compile

log = logging.getLogger(__name__)


class NonFiniteGuard:
    """Counts the steps that `make_train_step` skipped, and ends training after too many.

    It also warns if all segments have zero width: the gradient of exp(x) vanishes there.

    Attributes:
      skipped: number of skipped steps.
    """

    def __init__(self, limit: int, clips_of: Callable[[int], list[tuple[str, int]]]):
        """Sets the limit.

        Args:
          limit: number of steps that may be skipped.
          clips_of: returns the video and first frame of each clip of a batch, counted from 0.
        """
        self._limit, self._clips_of, self.skipped = limit, clips_of, 0
        self._zero_width_steps = 0  # in a row
        self._pending: tuple[int, Mapping[str, jax.Array], jax.Array] | None = None

    def add(self, step: int, terms: Mapping[str, jax.Array], finite: jax.Array) -> None:
        """Checks the previous step, which has finished, and stores this one for the next call.

        Args:
          step: number of the step, counted from 1.
          terms: loss terms.
          finite: whether loss and gradient are finite.

        Raises:
          UserError: more steps were skipped than allowed.
        """
        self.flush()
        self._pending = (step, terms, finite)

    def flush(self) -> None:
        """Checks the stored step, and waits for the device. Raises as `add` does."""
        if self._pending is None:
            return
        (step, terms, finite), self._pending = self._pending, None
        if finite:
            self._warn_of_zero_width(step, float(terms["loc"]))
            return
        self.skipped += 1
        names = [name for name, value in terms.items() if not np.isfinite(value)]
        parts = [name for name in names if name != "total"] or names
        what = f"the loss {', '.join(parts)}" if parts else "the gradient"
        clips = [f"{video} from frame {start}" for video, start in self._clips_of(step - 1)]
        named, others = ", ".join(clips[:MAX_NAMED_CLIPS]), len(clips) - MAX_NAMED_CLIPS
        more = f" and {others} more" if others > 0 else ""
        text = f"{what} is not finite at step {step}, on {named}{more}"
        if self.skipped > self._limit:
            raise UserError(
                f"{text}; check these clips, lower config.optimizer.learning_rate, set "
                "config.optimizer.clip_norm, or allow steps to be skipped: config.train.nan_limit"
            )
        log.warning(f"{text}; skipped ({self.skipped} of {self._limit})")

    def _warn_of_zero_width(self, step: int, loc: float) -> None:
        self._zero_width_steps = self._zero_width_steps + 1 if loc > ZERO_WIDTH_LOSS else 0
        if self._zero_width_steps == ZERO_WIDTH_STEPS:
            log.warning(
                f"all segments have shrunk to length zero by step {step}, and training does not "
                "recover from that; start a new run with a higher config.optimizer.warmup_steps or "
                "a lower config.optimizer.learning_rate"
            )


class Throughput:
    """Measures clips per second, and the share of time spent waiting for input."""

    def __init__(self, batch_size: int):
        """Starts the clock; a step is `batch_size` clips."""
        self._batch_size = batch_size
        self._restart()

    def _restart(self) -> None:
        self._start, self._steps, self._waiting, self._paused = time.monotonic(), 0, 0.0, 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Times the wait for a step's input; counts the step."""
        start = time.monotonic()
        yield
        self._waiting += time.monotonic() - start
        self._steps += 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time of this block, in which nothing is trained."""
        start = time.monotonic()
        yield
        self._paused += time.monotonic() - start

    def read(self) -> dict[str, float]:
        """Returns `clips_per_s` and `input_wait`, a share of the time, and starts again."""
        seconds = max(time.monotonic() - self._start - self._paused, 1e-9)
        clips, waiting = self._steps * self._batch_size, self._waiting
        self._restart()
        return {"clips_per_s": clips / seconds, "input_wait": waiting / seconds}


class Profile:
    """Records a trace of some training steps, after the first few, with JAX's profiler."""

    def __init__(self, folder: str | os.PathLike[str], first: int, steps: int):
        """Chooses the steps to trace.

        Args:
          folder: folder to write the trace to.
          first: last step before this run.
          steps: number of steps to trace; 0: none.
        """
        self._folder, self._tracing = Path(folder), False
        self._from = first + WARM_UP + 1 if steps else 0
        self._to = first + WARM_UP + steps
        self._last = first

    def begin(self, step: int) -> None:
        """Starts the trace if it begins with this step, counted from 1. Call before each step."""
        if step == self._from:
            jax.profiler.start_trace(self._folder)
            self._tracing = True

    def end(self, step: int, result: Any) -> None:
        """Ends the trace after its last step. Call after each step, with some of its results."""
        self._last = step
        if self._tracing and step == self._to:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Ends the trace if one is being recorded, and reports where it is."""
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()
            log.info(
                f"{self._folder}: a trace of steps {self._from} to {self._last}; look at it with "
                f"tensorboard --logdir {self._folder} and its plugin (pip install xprof)"
            )
        elif self._from > self._last:
            log.info(f"no trace: the run ended within its first {WARM_UP} steps, the warm-up")


def scores(records: Iterable[Record]) -> dict[int, float]:
    """Returns the average mAP of each evaluated step; a step may have records without one, too."""
    found = [(r["step"], r.get(VALIDATION, {}).get(evaluation.SCORE)) for r in records]
    return {step: score for step, score in found if score is not None}


def stops_early(run_log: RunLog, patience: int) -> bool:
    """Returns whether the last `patience` evaluations were no better than one before; 0: never."""
    values = list(scores(run_log.records).values())
    return 0 < patience < len(values) and max(values[-patience:]) <= max(values[:-patience])


def why_stopped(run_log: RunLog, patience: int) -> str:
    """Returns which evaluation the last `patience` ones were no better than, in words."""
    earlier = list(scores(run_log.records).items())[:-patience]
    step, score = max(earlier, key=lambda entry: entry[1])  # the first of equal ones
    last = "the last evaluation was not" if patience == 1 else f"none of the last {patience} was"
    return f"{last} better than that of step {step}, {100 * score:.2f} %"


def agreed_signal(signum: int, exchange: bool) -> int:
    """Returns the number of the signal to stop on, or 0; the same on every host.

    Args:
      signum: number of the signal that this host received, or 0.
      exchange: whether the hosts exchange their signals now; otherwise several hosts go on.
    """
    if jax.process_count() == 1:
        return signum
    if not exchange:
        return 0
    return int(np.max(multihost_utils.process_allgather(np.int32(signum))))
