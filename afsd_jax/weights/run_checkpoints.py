"""The checkpoints of a training run: which are kept, and what if one cannot be written."""

import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from afsd_jax import evaluation
from afsd_jax.weights import checkpoint, checksums

log = logging.getLogger(__name__)


class Keep:
    """Orbax's `PreservationPolicy`: which steps outlive the next save.

    Attributes:
      scores: average mAP of the evaluated steps.
    """

    def __init__(self, last: int, best: int, steps: Collection[int], scores: dict[int, float]):
        """Keeps the `last` newest steps, the `best` by score, and those of `steps`."""
        self._last, self._best, self._steps, self.scores = last, best, steps, scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Says of each checkpoint, oldest first, whether it stays."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        ranked = sorted((self.scores[step], step) for step in steps if step in self.scores)
        best = [step for _, step in ranked[::-1][: self._best]]
        kept = {*steps[-self._last :], *best, *self._steps}
        return [step in kept for step in steps]


class RunCheckpoints:
    """Saves the steps of a run.

    Attributes:
      last: the last step saved, or None.
      failed: whether the latest attempt to save failed.
    """

    def __init__(self, folder: Path, last: int, best: int, steps: Collection[int]):
        """Opens the folder, which is made if missing; see `Keep`."""
        self._folder = folder
        self._keep = Keep(last, best, steps, checkpoint.scores(folder))
        self._manager = checkpoint.open_manager(folder, self._keep)
        self.last = max(checkpoint.steps(folder), default=None)
        self.failed = False

    def save(
        self,
        step: int,
        weights: Mapping[str, Any],
        description: Mapping[str, Any],
        **items: Any,
    ) -> None:
        """Saves a step, or says in one line why it cannot be; see `checkpoint.save`."""
        if description["metrics"]:
            self._keep.scores[step] = description["metrics"][evaluation.SCORE]
        try:
            if jax.process_count() == 1:
                _check_room(self._folder, [weights, items])
            checkpoint.save(self._manager, step, weights, description, **items)
        except Exception as error:  # of many kinds, from Orbax, TensorStore and the system
            self._keep.scores.pop(step, None)
            self._start_anew(step)
            reason = " ".join(str(error).split()) or type(error).__name__
            kept = f"step {self.last} is the last saved" if self.last else "none is saved"
            log.warning(f"{self._folder}: step {step} cannot be saved, {kept} ({reason[:200]})")
            self.failed = True
        else:
            self.last, self.failed = step, False

    def close(self) -> None:
        """Ends the work on the folder."""
        self._manager.close()

    def _start_anew(self, step: int) -> None:
        """Removes what is left of a failed save, in the folder and in the manager."""
        for left in self._folder.glob(f"{step}*"):
            if left.name.partition(".")[0] == str(step):
                shutil.rmtree(left, ignore_errors=True)
        self._manager = checkpoint.open_manager(self._folder, self._keep)


def _check_room(folder: Path, arrays: Any) -> None:
    """Raises OSError if there is no room for the arrays: Orbax would fail with many tracebacks."""
    size = sum(x.nbytes for x in jax.tree.leaves(arrays)) + 2**20  # names and shapes
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size)


def set_damaged_aside(folder: Path) -> list[str]:
    """Renames the steps after the last undamaged one; returns a line about each.

    A run then goes on from what is undamaged, and nothing is deleted.
    """
    lines = []
    for step in reversed(checkpoint.steps(folder)):
        place = folder / str(step)
        wrong = checksums.damaged(place)
        if not wrong:
            break
        names = (f"damaged-{step}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
        aside = next(path for path in map(place.with_name, names) if not path.exists())
        place.rename(aside)
        lines.append(f"{place} is damaged ({wrong} is not as it was written): now {aside.name}")
    return lines
