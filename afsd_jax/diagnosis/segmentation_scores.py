"""Edit score and F1@{10, 25, 50}, as in action segmentation.

From the classes of time steps (Lea et al., Temporal Convolutional Networks for Action Segmentation
and Detection, CVPR 2017, section 4), with the numbers of the code that papers use (MS-TCN, Farha
and Gall, CVPR 2019): segments are runs of steps of one class, background left out;

- edit: 1 less the Levenshtein distance of the two sequences of classes over the longer one's
  length; mean over the videos. Videos with neither true nor detected segments are left out;
- F1@k: in order of time, each detected segment is compared with the true segment of its class that
  overlaps it best (equally well: the first). It is right if their IoU is at least k percent and no
  earlier segment was right with that one. Counts are added over the videos.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.time_steps import Timeline

OVERLAPS = (0.10, 0.25, 0.50)


class SegmentationScores(NamedTuple):
    """Scores in [0, 1].

    Attributes:
      edit: NaN if no video has a segment.
      f1: at each of `OVERLAPS`.
    """

    edit: float
    f1: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        named = {f"f1@{100 * k:.0f}": value for k, value in zip(OVERLAPS, self.f1, strict=True)}
        return {"edit": None if np.isnan(self.edit) else self.edit, **named}


def score_segments(timeline: Timeline, background: int) -> SegmentationScores:
    """Returns the scores of the steps of all videos.

    Args:
      timeline: true and detected class of each step.
      background: the number of the class that is none.
    """
    edits = []
    right = np.zeros(len(OVERLAPS), np.int64)
    segments = 0
    for first, last in zip(timeline.first[:-1], timeline.first[1:], strict=True):
        true, detected = (
            runs(labels[first:last], background) for labels in (timeline.truth, timeline.detected)
        )
        longer = max(len(true), len(detected))
        if longer:
            edits.append(1 - levenshtein(true[:, 2], detected[:, 2]) / longer)
            segments += len(true) + len(detected)
            right += _right(true, detected)
    f1 = tuple(float(2 * count / segments) if segments else 0.0 for count in right)
    return SegmentationScores(float(np.mean(edits)) if edits else float("nan"), f1)


def runs(labels: NDArray[np.int64], background: int) -> NDArray[np.int64]:
    """Returns runs of equal labels that are not background: [N, 3] first step, end, label."""
    begin = np.flatnonzero(np.diff(labels, prepend=-1))
    end = np.append(begin[1:], len(labels)) if len(begin) else begin
    found = np.stack([begin, end, labels[begin]], axis=-1)
    return found[found[:, 2] != background]


def levenshtein(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Returns the least number of insertions, deletions and substitutions between sequences."""
    places = np.arange(len(second) + 1)
    row = places.copy()
    for index, item in enumerate(first, start=1):
        change = np.minimum(row[1:] + 1, row[:-1] + (second != item))
        change = np.concatenate([[index], change])
        # An insertion costs 1 a place: the least of all places to the left, plus the distance.
        row = np.minimum.accumulate(change - places) + places
    return int(row[-1])


def _right(true: NDArray[np.int64], detected: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns how many detected segments are right at each of `OVERLAPS`."""
    if not len(true) or not len(detected):
        return np.zeros(len(OVERLAPS), np.int64)
    begin = np.maximum(true[:, 0], detected[:, :1])
    end = np.minimum(true[:, 1], detected[:, 1:2])
    common = np.maximum(end - begin, 0)
    union = (true[:, 1] - true[:, 0]) + (detected[:, 1:2] - detected[:, :1]) - common
    iou = common / union * (true[:, 2] == detected[:, 2:])
    best = np.argmax(iou, axis=-1)
    value = iou[np.arange(len(detected)), best]
    return np.array([len(np.unique(best[value >= overlap])) for overlap in OVERLAPS])
