"""Suggestions: what a network found, without what people have decided already."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.files import read_json
from afsd_jax.labelling.changes import check_label
from afsd_jax.labelling.records import Segment, Suggestion, VideoLabels
from afsd_jax.types import Detection

SAME_TIOU = 0.5  # a suggestion that overlaps a decided one of its class so much is not made again
MOST = 200  # suggestions of a video


def read_found(path: Path) -> dict[str, list[Detection]]:
    """Returns the detections of a file, by the names of the videos.

    Raises:
      UserError: it cannot be read.
    """
    return predictions_of(read_json(path), path)


def suggestions_of(
    found: Iterable[Detection],
    video: VideoLabels,
    renamed: Mapping[str, str],
    min_score: float,
    round_number: int,
) -> list[Suggestion]:
    """Returns the best detections of a video as suggestions, by their start.

    Left out are those that overlap a segment, or a rejected suggestion, of their class with a tIoU
    of `SAME_TIOU` or more, and those whose class has no name that can be written.

    Args:
      found: detections.
      video: what is known of the video.
      renamed: what classes are called here.
      min_score: least score.
      round_number: of learning; 0 for other networks.
    """
    decided: list[Segment | Suggestion] = [*video.segments.values(), *video.rejected.values()]
    suggestions = []
    for one in sorted(found, key=lambda detection: -detection.score)[:MOST]:
        label = renamed.get(one.label, one.label)
        start = max(one.start_s, 0.0)
        if one.score < min_score or not one.end_s > start or not _can_be_written(label):
            continue
        same = (d for d in decided if d.label == label)
        if any(tiou(start, one.end_s, d.start, d.end) >= SAME_TIOU for d in same):
            continue
        score = min(max(one.score, 0.0), 1.0)
        suggestions.append(
            Suggestion(
                uuid4().hex, label, round(start, 3), round(one.end_s, 3), score, round_number
            )
        )
    whole = [one for one in suggestions if one.start < one.end]
    return sorted(whole, key=lambda one: (one.start, one.end))


def tiou(start: float, end: float, other_start: float, other_end: float) -> float:
    """Returns the intersection over union of two segments with length, from 0 to 1.

    Example:
      >>> tiou(0.0, 2.0, 1.0, 3.0)
      0.3333333333333333
    """
    shared = min(end, other_end) - max(start, other_start)
    return max(shared, 0.0) / (max(end, other_end) - min(start, other_start))


def _can_be_written(label: str) -> bool:
    try:
        check_label(label)
    except UserError:
        return False
    return len(label) <= 100
