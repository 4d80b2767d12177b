"""What there is to see of one video, and how overlapping segments are laid out in lanes."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from afsd_jax.types import Action, Detection


class Track(NamedTuple):
    """A video's name, duration (> 0), detections, and its true actions where they are known."""

    name: str
    duration_s: float
    detections: Sequence[Detection]
    actions: Sequence[Action] | None = None


Segment = TypeVar("Segment", Action, Detection)


def strongest(detections: Iterable[Detection], min_score: float, limit: int) -> list[Detection]:
    """Returns the detections that reach `min_score`, best first, at most `limit`."""
    shown = [detection for detection in detections if detection.score >= min_score]
    return sorted(shown, key=lambda detection: -detection.score)[:limit]


def in_lanes(segments: Iterable[Segment], max_lanes: int) -> list[list[Segment]]:
    """Lays segments out so that none overlap within a lane.

    Each goes, in the given order, to the first lane with room for it; one that finds none in
    `max_lanes` is left out.
    """
    lanes: list[list[Segment]] = []
    for segment in segments:
        for lane in lanes:
            if all(_apart(segment, other) for other in lane):
                lane.append(segment)
                break
        else:
            if len(lanes) < max_lanes:
                lanes.append([segment])
    return lanes


def labels_of(tracks: Sequence[Track]) -> list[str]:
    """Returns every class that occurs, true or detected, sorted."""
    detected = {detection.label for track in tracks for detection in track.detections}
    return sorted(detected.union(a.label for track in tracks for a in track.actions or ()))


def classes_of(tracks: Sequence[Track], known: Sequence[str] | None) -> list[str]:
    """Returns the known classes in their order, then every other that occurs, sorted."""
    return known_first(known, labels_of(tracks))


def known_first(known: Sequence[str] | None, occurring: Iterable[str]) -> list[str]:
    """Returns the known classes in their order, then the others that occur in theirs."""
    classes = list(known or ())
    return classes + [label for label in occurring if label not in classes]


def clock(seconds: float) -> str:
    """Formats a time as m:ss or h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Returns the marks of a time axis, at most about a dozen: each one's time and its text."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
    step: float = next((step for step in steps if duration_s / step <= 12), 3600)
    times = [index * step for index in range(int(duration_s / step + 1e-9) + 1)]
    return [(time, clock(time) if duration_s >= 100 else f"{time:g} s") for time in times]


def _apart(a: Segment, b: Segment) -> bool:
    return a.end_s <= b.start_s or b.end_s <= a.start_s
