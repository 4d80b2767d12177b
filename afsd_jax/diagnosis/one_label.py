"""One label for one action: of detections of several classes in one place, the best."""

from collections.abc import Sequence

from afsd_jax.evaluation.overlaps import tiou_of
from afsd_jax.types import Detection, MarkedVideo

SAME_PLACE = 0.5  # tIoU from which two detections are of one action


def with_best_labels(video: MarkedVideo) -> MarkedVideo:
    """Returns a video without detections that have a better one of another class in their place.

    Best first, a detection is left out if its tIoU with one that is kept, of another class, is at
    least `SAME_PLACE`. Annotated actions stay as they are: who labels means both.

    Example:
      >>> found = [Detection("pour", 0.9, 1.0, 3.0), Detection("stir", 0.4, 1.2, 3.0)]
      >>> [d.label for d in with_best_labels(MarkedVideo("a", found, detected=True)).marks]
      ['pour']
    """
    kept: list[Detection] = []
    detections = [mark for mark in video.marks if isinstance(mark, Detection)]
    for detection in sorted(detections, key=lambda d: -d.score):
        if not any(_same_place(detection, better) for better in kept):
            kept.append(detection)
    chosen = {id(detection) for detection in kept}
    left = [m for m in video.marks if not isinstance(m, Detection) or id(m) in chosen]
    return video._replace(marks=left)


def num_left_out(before: Sequence[MarkedVideo], after: Sequence[MarkedVideo]) -> int:
    """Returns how many marks the second list has less than the first."""
    return sum(len(video.marks) for video in before) - sum(len(video.marks) for video in after)


def _same_place(detection: Detection, other: Detection) -> bool:
    if detection.label == other.label:
        return False
    times = detection.start_s, detection.end_s, other.start_s, other.end_s
    return tiou_of(*times) >= SAME_PLACE
