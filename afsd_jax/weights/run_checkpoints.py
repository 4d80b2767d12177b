"""The checkpoints of a training run: which are kept, and of what; failed saves, damaged ones."""

import logging
import os
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
from afsd_jax.io.temporary_folders import remove_abandoned, temporary_folder
from afsd_jax.weights import checkpoint, checksums, frozen_trunk
from afsd_jax.weights.frozen_trunk import FrozenTrunk

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
        best = best_steps(steps, self._n, self._scores)
        return [step in best for step in steps]


def best_steps(steps: Sequence[int], n: int, scores: Mapping[int, float]) -> set[int]:
    """Returns the `n` steps of the highest scores, later ones first."""
    ranked = sorted((scores[step], step) for step in steps if step in scores)
    return {step for _, step in ranked[::-1][:n]}


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

    def __init__(
        self,
        folder: Path,
        last: int,
        best: int,
        steps: Collection[int],
        trunk: FrozenTrunk | None = None,
    ):
        """Opens the folder, or makes it.

        Args:
          folder: folder of the run's checkpoints.
          last, best, steps: see `preservation_policy`.
          trunk: the frozen trunk, which the checkpoints then leave out; None: they hold it, if
            there is one.
        """
        self._folder, self._scores = folder, checkpoint.scores(folder)
        self._best, self._steps, self._trunk = best, steps, trunk
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
            if self._trunk:
                weights, description = self._without_trunk(self._trunk, weights, description)
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

    def keep_detectors(self) -> None:
        """Keeps, of a closed run that has ended, the weights to detect with of its best steps.

        Those of the last step are kept if none was evaluated. Training cannot continue after that.
        """
        saved = checkpoint.steps(self._folder)
        kept = best_steps(saved, self._best, self._scores) | set(self._steps).intersection(saved)
        kept = kept or set(saved[-1:])
        for step in kept:
            keep_detector(self._folder, step)
        for step in saved:  # the last one, from which training could end again, goes last
            if step not in kept:
                _remove(self._folder / str(step))

    def _without_trunk(
        self, trunk: FrozenTrunk, weights: Mapping[str, Any], description: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns weights and description with a reference to the trunk, once it is written."""
        constant = frozen_trunk.constant_shapes(trunk.config)
        if trunk.folder and not (self._folder / trunk.folder).exists():
            written = {name: weights[name] for name in constant}
            names = description["class_names"]
            checkpoint.write(self._folder / trunk.folder, written, trunk.config, names)
        described = {**description, frozen_trunk.FIELD: trunk.reference._asdict()}
        return {name: x for name, x in weights.items() if name not in constant}, described

    def _remove_failed(self, step: int) -> None:
        """Removes the files of a failed save, and opens the folder again without them."""
        for left in self._folder.glob(f"{step}*"):
            if left.name.partition(".")[0] == str(step):
                shutil.rmtree(left, ignore_errors=True)
        self._manager = checkpoint.open_manager(self._folder, self._policy)


def keep_detector(folder: Path, step: int) -> None:
    """Removes from a saved step what detection does not need."""
    place = folder / str(step)
    items = ["optimizer"]
    if (place / "ema").is_dir() and checkpoint.read_description(folder, step).trunk:
        items.append("weights")  # only those that learn, which their averages replace
    checksums.leave_out(place, *items)
    for item in items:
        _remove(place / item)


def _remove(place: Path) -> None:
    """Removes a folder, if it exists, so that it is complete or absent at any time."""
    if place.exists():
        with temporary_folder(place) as hidden:
            os.replace(place, hidden / place.name)


def set_damaged_aside(folder: Path) -> list[str]:
    """Renames the steps after the last undamaged one, and returns a line about each.

    A run then resumes from the undamaged step, and nothing is deleted.
    """
    lines = []
    remove_abandoned(folder)
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
