"""Precision, recall and F1 over thresholds of the score, and the threshold of the best F1.

Detections with at least the threshold's score count. Because detections take actions by descending
score, those below a threshold never change what those above it take, so one matching serves all
thresholds. F1 is 2 · true positives / (detections + actions).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import (
    chunks,
    draw_weights,
    percentiles,
    weighted_ranks,
    weighted_sum,
)
from afsd_jax.evaluation import Tables, by_class, match


class Curve(NamedTuple):
    """Counts at each of K thresholds, the distinct scores of the detections.

    Attributes:
      thresholds: [K], descending.
      detections: [K] number of detections with at least this score.
      hits: [K] number of true positives among them.
      num_actions: number of true actions.
    """

    thresholds: NDArray[np.float64]
    detections: NDArray[np.int64]
    hits: NDArray[np.int64]
    num_actions: int

    @property
    def precision(self) -> NDArray[np.float64]:
        """[K]."""
        return self.hits / self.detections

    @property
    def recall(self) -> NDArray[np.float64]:
        """[K]."""
        return self.hits / self.num_actions

    @property
    def f1(self) -> NDArray[np.float64]:
        """[K]."""
        return 2 * self.hits / (self.detections + self.num_actions)

    def at(self, threshold: float) -> dict[str, float]:
        """Returns precision, recall and F1 of the detections with at least this score.

        Without detections, precision is 1 and recall 0.
        """
        index = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        if index < 0:
            return {"precision": 1.0, "recall": 0.0, "f1": 0.0}
        names = ("precision", "recall", "f1")
        return {name: float(getattr(self, name)[index]) for name in names}

    def thinned(self, most: int = 200) -> "Curve":
        """Returns the curve at no more than `most` thresholds, at about equal steps of recall."""
        if len(self.thresholds) <= most:
            return self
        rising = np.flatnonzero(np.diff(self.hits, prepend=0))  # thresholds at which recall grows
        places = np.linspace(0, max(len(rising) - 1, 0), min(most - 1, len(rising)))
        last = [len(self.thresholds) - 1]
        rows = np.unique(np.concatenate([rising[places.astype(np.int64)], last]))
        return Curve(
            self.thresholds[rows], self.detections[rows], self.hits[rows], self.num_actions
        )


class OperatingPoint(NamedTuple):
    """The threshold of the best F1 of a class, or of all classes together.

    Attributes:
      curve: counts at all thresholds.
      threshold: the score at which F1 is best; NaN if no detection is a true positive.
      low, high: 95 % interval of the threshold by resampling videos; NaN if there is none.
      f1_low, f1_high: 95 % interval of the best F1, likewise.
    """

    curve: Curve
    threshold: float
    low: float
    high: float
    f1_low: float
    f1_high: float

    def as_dict(self, most: int = 200) -> dict[str, Any]:
        """JSON values, with the curve at no more than `most` thresholds."""
        curve = self.curve.thinned(most)
        known = not np.isnan(self.threshold)
        best = self.curve.at(self.threshold) if known else {}
        return {
            "threshold": self.threshold if known else None,
            "interval": [self.low, self.high] if np.isfinite(self.low) else None,
            **best,
            "f1_interval": [self.f1_low, self.f1_high] if np.isfinite(self.f1_low) else None,
            "actions": self.curve.num_actions,
            "curve": {
                "threshold": curve.thresholds.tolist(),
                "precision": curve.precision.tolist(),
                "recall": curve.recall.tolist(),
                "f1": curve.f1.tolist(),
            },
        }


class OperatingPoints(NamedTuple):
    """Operating points at one tIoU: of each class, and of all classes with one threshold.

    Attributes:
      tiou: the threshold of the tIoU.
      overall: all classes' detections in one ranking.
      classes: by class.
    """

    tiou: float
    overall: OperatingPoint
    classes: dict[str, OperatingPoint]

    def thresholds(self) -> NDArray[np.float64]:
        """[C]: each class's threshold; where it has none, the one for all; infinite without it."""
        whole = self.overall.threshold
        fallback = np.inf if np.isnan(whole) else whole
        own = [point.threshold for point in self.classes.values()]
        return np.where(np.isnan(own), fallback, own)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "tiou": self.tiou,
            "all": self.overall.as_dict(),
            "classes": {label: point.as_dict() for label, point in self.classes.items()},
        }


def find_operating_points(
    tables: Tables,
    tiou: float = 0.5,
    samples: int = 1000,
    seed: int = 0,
    matched: NDArray[np.int64] | None = None,
) -> OperatingPoints:
    """Returns precision, recall and F1 over thresholds, and the best threshold with its interval.

    Args:
      tables: ground truth and detections.
      tiou: threshold of the tIoU.
      samples: number of samples of videos for the intervals.
      seed: seed of the samples.
      matched: [P] the action that each detection takes at this tIoU, if known.
    """
    hits = (match(tables, (tiou,))[0] if matched is None else matched) >= 0
    weights = draw_weights(len(tables.videos), samples, seed)
    everything = np.arange(len(hits))
    classes = {
        label: _point(tables, rows, hits, tables.action_classes == index, weights)
        for index, (label, rows) in enumerate(zip(tables.classes, by_class(tables), strict=True))
    }
    every_action = np.ones(len(tables.actions), np.bool_)
    overall = _point(tables, everything, hits, every_action, weights)
    return OperatingPoints(tiou, overall, classes)


def curve_of(scores: NDArray[np.float64], hits: NDArray[np.bool_], num_actions: int) -> Curve:
    """Returns the counts of detections by descending score, at each distinct score."""
    last = np.flatnonzero(np.diff(scores, append=np.nan) != 0)  # of equal scores
    return Curve(scores[last], last + 1, np.cumsum(hits, dtype=np.int64)[last], num_actions)


def _point(
    tables: Tables,
    rows: NDArray[np.int64],
    hits: NDArray[np.bool_],
    actions: NDArray[np.bool_],
    weights: NDArray[np.uint8],
) -> OperatingPoint:
    """Returns the operating point of some detections (rows) and actions ([A])."""
    curve = curve_of(tables.scores[rows], hits[rows], int(np.count_nonzero(actions)))
    if not curve.hits.any():
        return OperatingPoint(curve, *[float("nan")] * 5)
    threshold = float(curve.thresholds[np.argmax(curve.f1)])
    if len(tables.videos) < 2:
        return OperatingPoint(curve, threshold, *[float("nan")] * 4)
    # The best F1 of any sample is at a threshold that adds a true positive.
    candidates = np.flatnonzero(np.diff(curve.hits, prepend=0))
    ends = curve.detections[candidates] - 1
    videos = tables.detection_videos[rows]
    hit_ends = curve.hits[candidates] - 1
    best, f1 = [], []
    for part in chunks(weights.shape[1], len(ends)):
        drawn = weights[:, part]
        counted = weighted_ranks(videos, ends, drawn)
        counted += weighted_sum(tables.action_videos[actions], drawn)
        values = 2 * weighted_ranks(videos[hits[rows]], hit_ends, drawn)
        values /= np.maximum(counted, 1)
        index = np.argmax(values, axis=0)
        highest = np.take_along_axis(values, index[None], axis=0)[0]
        best.append(curve.thresholds[candidates[index]][highest > 0])
        f1.append(highest)
    shares = percentiles(len(tables.videos))
    bounds = [float(b) for part in (best, f1) for b in np.quantile(np.concatenate(part), shares)]
    return OperatingPoint(curve, threshold, *bounds)
