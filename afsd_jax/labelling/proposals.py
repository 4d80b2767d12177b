"""Suggestions: what a network found, without what people have decided already."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

from afsd_jax.errors import UserError
from afsd_jax.evaluation.overlaps import tiou_of
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.files import read_json
from afsd_jax.labelling.changes import check_label
from afsd_jax.labelling.records import Segment, Suggestion, VideoLabels
from afsd_jax.types import Detection

SAME_TIOU = 0.5  # a suggestion that overlaps a decided one of its class so much is not made again
MOST = 200  # suggestions of a video
_ENOUGH = 10  # segments that say whether actions happen at the same time


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
    alone: bool = False,
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
      alone: whether only the best of detections that cover each other is suggested, whatever its
        class, and none that covers a segment; see `are_alone`.
    """
    segments = list(video.segments.values())
    decided: list[Segment | Suggestion] = [*segments, *video.rejected.values()]
    suggestions = []
    for one in best_alone(found) if alone else sorted(found, key=lambda one: -one.score)[:MOST]:
        label = renamed.get(one.label, one.label)
        start, end = round(max(one.start_s, 0.0), 3), round(one.end_s, 3)
        if one.score < min_score or not start < end or not _can_be_written(label):
            continue
        alike = (d for d in decided if d.label == label)
        if any(tiou_of(start, end, d.start, d.end) >= SAME_TIOU for d in alike):
            continue
        if alone and any(_covers(start, end, s.start, s.end) for s in segments):
            continue
        score = min(max(one.score, 0.0), 1.0)
        suggestions.append(Suggestion(uuid4().hex, label, start, end, score, round_number))
    return sorted(suggestions, key=lambda one: (one.start, one.end))


def best_alone(found: Iterable[Detection]) -> list[Detection]:
    """Returns the detections that no better one covers, by descending score."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: -one.score)[:MOST]:
        if one.end_s > one.start_s and not any(
            _covers(one.start_s, one.end_s, other.start_s, other.end_s) for other in kept
        ):
            kept.append(one)
    return kept


def are_alone(videos: Iterable[VideoLabels]) -> bool:
    """Returns whether actions do not happen at the same time, as far as is labelled.

    So it is if of `_ENOUGH` segments or more at most one in fifty covers another.
    """
    count = covering = 0
    for video in videos:
        count += len(video.segments)
        open_: list[Segment] = []  # segments that may cover the next one
        for one in sorted(video.segments.values(), key=lambda segment: segment.start):
            open_ = [other for other in open_ if other.end > one.start]
            covering += any(_covers(one.start, one.end, s.start, s.end) for s in open_)
            open_.append(one)
    return count >= _ENOUGH and 50 * covering <= count


def _covers(start: float, end: float, other_start: float, other_end: float) -> bool:
    """Returns whether two segments with length share half of the shorter one."""
    shared = min(end, other_end) - max(start, other_start)
    return shared >= 0.5 * min(end - start, other_end - other_start)


def _can_be_written(label: str) -> bool:
    try:
        check_label(label)
    except UserError:
        return False
    return len(label) <= 100
