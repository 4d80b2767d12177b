"""Watches that loss and gradient stay finite, and segments wide, a step behind the device."""

import sys
from collections.abc import Callable, Mapping

import jax
import numpy as np

from afsd_jax.errors import UserError

SHOWN_CLIPS = 8
# Of the coarse segments' GIoU loss, which is 1 where they have no width; and for so many steps.
SHRUNK, SHRUNK_STEPS = 0.9999, 10


class Guard:
    """Counts the steps that `make_train_step` skipped, and ends training after too many.

    It says when all segments have shrunk to nothing: exp(x) has no gradient that leads back.

    Attributes:
      skipped: steps so far.
    """

    def __init__(self, limit: int, clips_of: Callable[[int], list[tuple[str, int]]]):
        """Takes what is allowed.

        Args:
          limit: steps that may be skipped.
          clips_of: the video and first frame of each clip of a batch, counted from 0.
        """
        self._limit, self._clips_of, self.skipped = limit, clips_of, 0
        self._shrunk = 0  # steps so far without a break
        self._pending: tuple[int, Mapping[str, jax.Array], jax.Array] | None = None

    def look(self, step: int, terms: Mapping[str, jax.Array], finite: jax.Array) -> None:
        """Judges the step given before, which the device has done by now, and keeps this one.

        Args:
          step: counted from 1.
          terms: of the loss.
          finite: whether these and the gradient are.

        Raises:
          UserError: more steps than allowed were not.
        """
        self.settle()
        self._pending = (step, terms, finite)

    def settle(self) -> None:
        """Judges the last step, too; waits for the device. Raises as `look` does."""
        if self._pending is None:
            return
        (step, terms, finite), self._pending = self._pending, None
        if finite:
            self._look_at_width(step, float(terms["loc"]))
            return
        self.skipped += 1
        names = [name for name, value in terms.items() if not np.isfinite(value)]
        parts = [name for name in names if name != "total"] or names
        what = f"the loss {', '.join(parts)}" if parts else "the gradient"
        clips = [f"{video} from frame {start}" for video, start in self._clips_of(step - 1)]
        more = f" and {len(clips) - SHOWN_CLIPS} more" if len(clips) > SHOWN_CLIPS else ""
        text = f"{what} is not finite at step {step}, on {', '.join(clips[:SHOWN_CLIPS])}{more}"
        if self.skipped > self._limit:
            raise UserError(
                f"{text}; look at these clips, lower config.optimizer.learning_rate, set "
                "config.optimizer.clip_norm, or allow steps to be skipped: config.train.nan_limit"
            )
        print(f"\nwarning: {text}; skipped ({self.skipped} of {self._limit})", file=sys.stderr)

    def _look_at_width(self, step: int, loc: float) -> None:
        self._shrunk = self._shrunk + 1 if loc > SHRUNK else 0
        if self._shrunk == SHRUNK_STEPS:
            print(
                f"\nwarning: all segments have shrunk to nothing by step {step}, from where "
                "training does not find back; start anew with config.optimizer.warmup_steps higher "
                "or config.optimizer.learning_rate lower",
                file=sys.stderr,
            )
