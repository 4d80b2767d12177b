"""The checkpoints of a training run: which are kept, failed saves, damaged ones."""

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    CustomSteps,
    LatestN,
    PreservationPolicy,
)

from afsd_jax import evaluation
from afsd_jax.io.files import write_failure
from afsd_jax.weights import checkpoint, checksums

log = logging.getLogger(__name__)


class BestScores:
    """Orbax's `PreservationPolicy` that keeps the steps of the highest scores, later ones first.

    Orbax's BestN would also keep steps without a score as long as there are no more than n
    checkpoints, and it reads scores from an item `metrics`, which our checkpoints do not have.
    """

    def __init__(self, n: int, scores: Mapping[int, float]):
        """Keeps `n` of the steps in `scores`."""
        self._n, self._scores = n, scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Returns whether each checkpoint, oldest first, is kept."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        ranked = sorted((self._scores[step], step) for step in steps if step in self._scores)
        best = {step for _, step in ranked[::-1][: self._n]}
        return [step in best for step in steps]


def preservation_policy(
    last: int, best: int, steps: Collection[int], scores: Mapping[int, float]
) -> PreservationPolicy:
    """Returns Orbax's policy that keeps the `last` newest steps, the `best` by score, and `steps`.

    Args:
      last: number of steps, at least 1.
      best: number of steps.
      steps: numbers of other steps to keep.
      scores: average mAP of each evaluated step; read at every save.
    """
    return AnyPreservationPolicy(
        [LatestN(last), CustomSteps(tuple(steps)), BestScores(best, scores)]
    )


class RunCheckpoints:
    """Saves the steps of a run.

    Attributes:
      last: last step saved, or None.
      failed: whether the latest attempt to save failed.
    """

    def __init__(self, folder: Path, last: int, best: int, steps: Collection[int]):
        """Opens the folder, or makes it; see `preservation_policy` for the other arguments."""
        self._folder, self._scores = folder, checkpoint.scores(folder)
        self._policy = preservation_policy(last, best, steps, self._scores)
        self._manager = checkpoint.open_manager(folder, self._policy)
        self.last = max(checkpoint.steps(folder), default=None)
        self.failed = False

    def save(
        self,
        step: int,
        weights: Mapping[str, Any],
        description: Mapping[str, Any],
        **items: Any,
    ) -> None:
        """Saves a step, or warns in one line why it cannot be saved; see `checkpoint.save`."""
        if description["metrics"]:
            self._scores[step] = description["metrics"][evaluation.SCORE]
        try:
            checkpoint.save(self._manager, step, weights, description, **items)
        except Exception as error:  # Orbax, TensorStore and the system raise many types
            self._scores.pop(step, None)
            self._remove_failed(step)
            reason = write_failure(error) or " ".join(str(error).split()) or type(error).__name__
            kept = f"step {self.last} is the last saved" if self.last else "none is saved"
            log.warning(f"{self._folder}: step {step} cannot be saved, {kept} ({reason[:200]})")
            self.failed = True
        else:
            self.last, self.failed = step, False

    def close(self) -> None:
        """Closes the folder."""
        self._manager.close()

    def _remove_failed(self, step: int) -> None:
        """Removes the files of a failed save, and opens the folder again without them."""
        for left in self._folder.glob(f"{step}*"):
            if left.name.partition(".")[0] == str(step):
                shutil.rmtree(left, ignore_errors=True)
        self._manager = checkpoint.open_manager(self._folder, self._policy)


def set_damaged_aside(folder: Path) -> list[str]:
    """Renames the steps after the last undamaged one, and returns a line about each.

    A run then resumes from the undamaged step, and nothing is deleted.
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
