"""Every time step of the videos, with its true and its detected class.

Studies of behaviour usually report precision, recall, F1 and Cohen's kappa (Cohen, 1960) by time
step (for instance Jhuang et al., 2010; Sturman et al., 2020). A step counts as inside a segment if
its middle is. For each class on its own, a step is true and detected or not, whatever else happens.
For the confusion matrix and the kappa of all classes, each step has one class:

- detected: the class of the detection of the highest score;
- true: the class of the action that starts last (equal starts: the first in the file); but where
  several true actions overlap and one has the detected class, that class.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import listed
from afsd_jax.evaluation import Tables

STEP_S = 0.1
MOST_STEPS = 10_000_000  # 11 days at 0.1 s; of longer videos, steps are longer


class Timeline(NamedTuple):
    """The steps of all videos, one video after another; T in total.

    Attributes:
      step_s: length of a step, seconds.
      first: [V + 1] first step of each video, and T.
      truth: [T] class of the action that starts last, whatever is detected; C: background.
      detected: [T] the detected class; C: background.
    """

    step_s: float
    first: NDArray[np.int64]
    truth: NDArray[np.int64]
    detected: NDArray[np.int64]


class TimeSteps(NamedTuple):
    """Agreement of time steps with the truth.

    Attributes:
      step_s: length of a step, seconds.
      classes: the C classes.
      true, detected, both: [C] number of steps.
      kappa: [C] kappa of each class against all else; NaN where it is not defined.
      confusion: [C + 1, C + 1] number of steps: row the true class, column the detected; the last
        ones are background.
      overall_kappa: kappa of the confusion matrix; NaN where it is not defined.
    """

    step_s: float
    classes: tuple[str, ...]
    true: NDArray[np.int64]
    detected: NDArray[np.int64]
    both: NDArray[np.int64]
    kappa: NDArray[np.float64]
    confusion: NDArray[np.int64]
    overall_kappa: float

    @property
    def precision(self) -> NDArray[np.float64]:
        """[C]; NaN for classes that are never detected."""
        return _ratio(self.both, self.detected)

    @property
    def recall(self) -> NDArray[np.float64]:
        """[C]; NaN for classes without a step."""
        return _ratio(self.both, self.true)

    @property
    def f1(self) -> NDArray[np.float64]:
        """[C]; NaN for classes that neither happen nor are detected."""
        return _ratio(2 * self.both, self.true + self.detected)

    @property
    def accuracy(self) -> float:
        """Share of steps whose class is right, background included."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    def as_dict(self) -> dict[str, Any]:
        """JSON values; None where a measure is not defined."""
        names = ("precision", "recall", "f1", "kappa")
        columns = {name: listed(getattr(self, name)) for name in names}
        return {
            "step_s": self.step_s,
            "accuracy": self.accuracy,
            "kappa": None if np.isnan(self.overall_kappa) else self.overall_kappa,
            "classes": {
                label: {name: column[index] for name, column in columns.items()}
                for index, label in enumerate(self.classes)
            },
            "confusion": self.confusion.tolist(),
        }


def draw_timeline(
    tables: Tables, thresholds: NDArray[np.float64] | float = 0.0, step_s: float = STEP_S
) -> Timeline:
    """Returns the true and the detected class of every step.

    Args:
      tables: ground truth and detections. A video of unknown length ends with its last segment.
      thresholds: least score of detections, for all classes or [C].
      step_s: length of a step, seconds; longer if there were more than `MOST_STEPS`.
    """
    kept = _kept(tables, thresholds)
    ends = np.zeros(len(tables.videos))
    np.maximum.at(ends, tables.action_videos, tables.actions[:, 1])
    np.maximum.at(ends, tables.detection_videos[kept], tables.detections[kept, 1])
    lengths = np.where(np.isnan(tables.durations), ends, tables.durations)
    step_s = max(step_s, float(lengths.sum()) / MOST_STEPS)
    first = np.concatenate([[0], np.cumsum(np.ceil(lengths / step_s - 1e-9))]).astype(np.int64)
    background = len(tables.classes)
    order = np.argsort(tables.actions[::-1, 0], kind="stable")
    order = len(tables.actions) - 1 - order  # by start; equal starts: last in the file first
    sides = (
        (tables.actions[order], tables.action_videos[order], tables.action_classes[order]),
        (
            tables.detections[kept[::-1]],
            tables.detection_videos[kept[::-1]],
            tables.detection_classes[kept[::-1]],
        ),
    )
    painted = []
    for segments, videos, classes in sides:
        labels = np.full(first[-1], background)
        begin, end = _steps(segments, videos, first, step_s)
        for b, e, label in zip(begin.tolist(), end.tolist(), classes.tolist(), strict=True):
            labels[b:e] = label
        painted.append(labels)
    return Timeline(step_s, first, *painted)


def measure_time_steps(
    tables: Tables, timeline: Timeline, thresholds: NDArray[np.float64] | float = 0.0
) -> TimeSteps:
    """Returns how well time steps agree with the truth.

    Args:
      tables: ground truth and detections.
      timeline: result of `draw_timeline` for them.
      thresholds: least score of detections, as in the timeline.
    """
    kept = _kept(tables, thresholds)
    size, total = len(tables.classes), int(timeline.first[-1])
    truth = timeline.truth.copy()
    counts = np.zeros((3, size), np.int64)  # true, detected, both
    groups = (
        (tables.actions, tables.action_videos, tables.action_classes),
        (
            tables.detections[kept],
            tables.detection_videos[kept],
            tables.detection_classes[kept],
        ),
    )
    for index in range(size):
        inside = []
        for segments, videos, classes in groups:
            rows = classes == index
            begin, end = _steps(segments[rows], videos[rows], timeline.first, timeline.step_s)
            inside.append(_covered(begin, end))
        happening, found = inside
        common = np.intersect1d(happening, found, assume_unique=True)
        counts[:, index] = len(happening), len(found), len(common)
        truth[common[timeline.detected[common] == index]] = index
    cells = np.bincount(truth * (size + 1) + timeline.detected, minlength=(size + 1) ** 2)
    confusion = cells.reshape(size + 1, size + 1)
    true, detected, both = counts
    tables_of_two = np.array(
        [[both, true - both], [detected - both, total - true - detected + both]]
    )
    kappa = np.array([kappa_of(tables_of_two[..., index]) for index in range(size)])
    overall = kappa_of(confusion)
    return TimeSteps(
        timeline.step_s, tables.classes, true, detected, both, kappa, confusion, overall
    )


def kappa_of(confusion: NDArray[np.int64]) -> float:
    """Returns Cohen's kappa of a confusion matrix; NaN if agreement by chance is certain."""
    total = confusion.sum()
    if not total:
        return float("nan")
    shares = confusion / total
    chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    if chance > 1 - 1e-12:
        return float("nan")
    return float((np.trace(shares) - chance) / (1 - chance))


def _kept(tables: Tables, thresholds: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Returns the rows of detections with at least the threshold of their class."""
    least = np.broadcast_to(thresholds, len(tables.classes))
    return np.flatnonzero(tables.scores >= least[tables.detection_classes])


def _steps(
    segments: NDArray[np.float64],
    videos: NDArray[np.int64],
    first: NDArray[np.int64],
    step_s: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the first step of each segment, and the step after its last, within its video."""
    # A step k has its middle at (k + 0.5) · step_s.
    places = np.ceil(segments / step_s - 0.5 - 1e-9).astype(np.int64)
    start, end = first[videos], first[videos + 1]
    return (
        np.clip(start + places[:, 0], start, end),
        np.clip(start + places[:, 1], start, end),
    )


def _covered(begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns all steps, ascending, that at least one segment [begin, end) covers."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    begin = np.maximum(begin, np.concatenate([[0], end[:-1]])) if len(begin) else begin
    lengths = np.maximum(end - begin, 0)
    last = np.cumsum(lengths)
    total = int(last[-1]) if len(last) else 0
    return np.repeat(begin - (last - lengths), lengths) + np.arange(total)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
