"""What the writers of annotation files share: names of files, whole units of time, lanes."""

import datetime
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from afsd_jax.data.annotations.checks import check_name, without_suffix
from afsd_jax.errors import UserError
from afsd_jax.io.names import video_name
from afsd_jax.types import Action, Detection, MarkedVideo


class Span(NamedTuple):
    """An action or a detection in whole units of time, such as milliseconds.

    start, end: the end is after the start.
    score: None for annotated actions.
    """

    start: int
    end: int
    label: str
    score: float | None


def score_of(mark: Action | Detection) -> float | None:
    """Returns the score of a detection; None for an annotated action."""
    return mark.score if isinstance(mark, Detection) else None


def spans_of(video: MarkedVideo, per_second: float) -> list[Span]:
    """Returns the actions of a video in units of time, by their start.

    Args:
      video: the video.
      per_second: units in a second. Times are rounded; each action lasts at least one unit.
    """
    spans = []
    for mark in video.marks:
        start = max(round(mark.start_s * per_second), 0)
        end = max(round(mark.end_s * per_second), start + 1)
        spans.append(Span(start, end, mark.label, score_of(mark)))
    return sorted(spans, key=lambda span: span[:3])


def lanes_of(spans: Iterable[Span]) -> list[list[Span]]:
    """Returns lanes of spans that do not overlap within a lane; the spans come by their start."""
    lanes: list[list[Span]] = []
    for span in spans:
        for lane in lanes:
            if lane[-1].end <= span.start:
                lane.append(span)
                break
        else:
            lanes.append([span])
    return lanes


def labels_of(videos: Iterable[MarkedVideo]) -> list[str]:
    """Returns the classes that occur, sorted."""
    return sorted({mark.label for video in videos for mark in video.marks})


def file_name(video: MarkedVideo) -> str:
    """Returns the name of a video's file, or a name from which readers find the video's name."""
    if video.path is not None and video_name(video.path) == video.name:
        return video.path.name
    return video.name if without_suffix(video.name) == video.name else f"{video.name}.mp4"


def date_now() -> str:
    """Returns the date and time now, such as 2026-05-02T10:11:12+00:00."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def check_marks(videos: Sequence[MarkedVideo]) -> None:
    """Raises UserError for a name or a label that cannot stand in every format."""
    for video in videos:
        check_name(video.name, "video name", video.name)
        for label in sorted({mark.label for mark in video.marks}):
            if not label.strip() or not label.isprintable():
                raise UserError(f"{video.name}: the label {label!r} must be a printable text")
