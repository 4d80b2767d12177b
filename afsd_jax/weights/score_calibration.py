"""Thresholds and a map of scores, measured on a split and kept beside a checkpoint's weights.

The file may come from a stranger, so it is read as strictly as the checkpoint's description.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import field, number, read_list, require_dict, text

NAME = "calibration.json"  # in the folder of a step
_MOST_BYTES = 2**22
_MOST_KNOTS = 1000


class ScoreCalibration(NamedTuple):
    """Thresholds and calibration of a checkpoint's scores.

    Attributes:
      split: split that it was measured on.
      tiou: tIoU from which a detection is right.
      threshold: score of the best F1 of all classes together, in [0, 1].
      thresholds: score of the best F1 of each class; classes without a right detection lack one.
      scores: ascending scores, and precision: share of detections that are right there, which
        never falls; in [0, 1].
    """

    split: str
    tiou: float
    threshold: float
    thresholds: dict[str, float]
    scores: tuple[float, ...]
    precision: tuple[float, ...]

    def least(self, label: str) -> float:
        """Returns the threshold of a class."""
        return self.thresholds.get(label, self.threshold)

    def precision_at(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the share of detections of these scores that is right; equal beyond the ends."""
        return np.interp(scores, self.scores, self.precision)


def write_calibration(folder: Path, calibration: ScoreCalibration) -> Path:
    """Writes the file into the folder of a step, and returns its path.

    Raises:
      UserError: the file cannot be written.
    """
    path = folder / NAME
    with files.naming_failure(path):
        files.write_json(path, as_json(calibration))
    return path


def as_json(calibration: ScoreCalibration) -> dict[str, Any]:
    """Returns JSON values; knots of the map are thinned to at most `_MOST_KNOTS`."""
    count = len(calibration.scores)
    kept = np.unique(np.linspace(0, count - 1, min(count, _MOST_KNOTS)).round().astype(int))
    scores, precision = (
        tuple(column[i] for i in kept) for column in (calibration.scores, calibration.precision)
    )
    return calibration._replace(scores=scores, precision=precision)._asdict()


def read_calibration(folder: Path, class_names: Sequence[str]) -> ScoreCalibration | None:
    """Returns the calibration in the folder of a step; None if there is none.

    Raises:
      UserError: the file is malformed, or names a class that the checkpoint does not have.
    """
    path = folder / NAME
    if not path.exists():
        return None
    return from_json(files.read_json(path, _MOST_BYTES), class_names, str(path))


def from_json(value: Any, class_names: Sequence[str], place: str) -> ScoreCalibration:
    """Reads JSON values, which lie at a place of a file.

    Raises:
      UserError: they are malformed, or name a class that the checkpoint does not have.
    """
    content = require_dict(value, place)
    thresholds = require_dict(field(content, "thresholds", place), f"{place}: thresholds")
    for label in thresholds:
        if label not in class_names:
            raise UserError(f"{place}: thresholds: {label!r} is no class of this checkpoint")

    def ascending(name: str) -> tuple[float, ...]:
        values = read_list(field(content, name, place), f"{place}: {name}", _share)
        if len(values) > _MOST_KNOTS or values != sorted(values):
            raise UserError(f"{place}: {name} must be at most {_MOST_KNOTS} ascending numbers")
        return tuple(values)

    scores, precision = ascending("scores"), ascending("precision")
    if len(scores) != len(precision) or not scores:
        raise UserError(f"{place}: scores and precision must be equally long, and not empty")
    return ScoreCalibration(
        text(content, "split", place),
        _share(field(content, "tiou", place), f"{place}: tiou"),
        _share(field(content, "threshold", place), f"{place}: threshold"),
        {
            label: _share(value, f"{place}: thresholds[{label!r}]")
            for label, value in thresholds.items()
        },
        scores,
        precision,
    )


def _share(value: Any, place: str) -> float:
    share = number(value, place)
    if not 0 <= share <= 1:
        raise UserError(f"{place} must lie between 0 and 1, is {share:g}")
    return share
