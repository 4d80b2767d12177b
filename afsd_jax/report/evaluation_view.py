"""The content of an evaluation's pages, pictures and tables, as arrays."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.evaluation import Tables

# Name, colour, title of the list, and what is wrong, of each kind of detection.
KINDS = (
    ("true positive", "#4d8f3a", "Right detections", "it is right."),
    ("double detection", "#7f5fb0", "Double detections", "a better one has found the action."),
    ("wrong label", "#c2578f", "Wrong labels", "it lies on an action of another class."),
    ("localisation", "#3b6fb6", "Localisation errors", "its start or end is too far off."),
    ("confusion", "#d9722e", "Confusion errors", "another class's action is near."),
    ("background", "#8a6250", "Background errors", "no true action is here."),
)
MISSED = ("missed", "#c4424f", "", "no detection comes near these actions.")
# What became of a true action.
LOST = (
    "This action is found.",
    "Not found: a detection of another class is in its place.",
    "Not found: the start or end of the detection in its place is too far off.",
    "Not found: no detection comes near.",
)


class Curve(NamedTuple):
    """Precision by recall, by descending score, and the threshold of best F1.

    Attributes:
      recall, precision: [K].
      best: position of the best F1; None if no detection is right.
      threshold: least score there.
      confidence: its 95 % interval; None if unknown.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    best: int | None
    threshold: float
    confidence: tuple[float, float] | None = None

    @property
    def best_point(self) -> dict[str, float] | None:
        """Recall, precision, F1 and threshold of the best F1; None if no detection is right."""
        if self.best is None:
            return None
        recall, precision = float(self.recall[self.best]), float(self.precision[self.best])
        total = recall + precision
        return {
            "recall": recall,
            "precision": precision,
            "f1": 2 * recall * precision / total if total else 0.0,
            "threshold": float(self.threshold),
        }


class EvaluationView(NamedTuple):
    """The content of an evaluation's page at H thresholds: A actions, K detections, C classes.

    Attributes:
      tables: ground truth and detections.
      tious: the H thresholds.
      tiou: threshold of curves and calibration.
      ap: [H, C], in [0, 1].
      rows: [K] the detections that are shown, rows of the tables, by class and descending score.
      ranks: [K] rank in its class over its number of actions, whole.
      kinds: [H, K] kind of each detection: true, double, wrong label, localisation, confusion,
        background.
      targets: [K] action that overlaps it best; -1: none.
      gains: [H, 6] mAP gained without each error, and without missed actions.
      reasons: [H, A] 0 found, 1 wrong label, 2 localisation, 3 missed.
      taken_for: [H, A] class that an action was taken for; -1: none.
      groups: by characteristic, the name of each group and its rows of actions.
      curves: by class, and "" for all classes.
      calibration: score, precision and number of detections of each bin, and the expected error.
      headline: sentences at the top.
      figures: values at the top, and their names.
      measures: other measures: name and value.
      to_label: advice on what to label next.
    """

    tables: Tables
    tious: tuple[float, ...]
    tiou: float
    ap: NDArray[np.float64]
    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    kinds: NDArray[np.int64]
    targets: NDArray[np.int64]
    gains: NDArray[np.float64]
    reasons: NDArray[np.int64]
    taken_for: NDArray[np.int64]
    groups: Mapping[str, Sequence[tuple[str, NDArray[np.int64]]]]
    curves: Mapping[str, Curve]
    calibration: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], float]
    headline: Sequence[str]
    figures: Sequence[tuple[str, str]]
    measures: Sequence[tuple[str, str]]
    to_label: Sequence[tuple[str, str]]

    @property
    def chosen(self) -> int:
        """Position in `tious` of the threshold that is shown first."""
        return int(np.argmin(np.abs(np.array(self.tious) - self.tiou)))
