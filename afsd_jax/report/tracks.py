"""One video's segments for pictures and pages: overlapping ones in lanes, times as text."""

import bisect
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from afsd_jax.report.colors import fade, text_on
from afsd_jax.types import Action, Detection

MIN_SCORE = 0.3  # least score shown to people where nobody chose another
MOST_LANES = 100  # with more overlapping segments, no picture can be read


class Track(NamedTuple):
    """A video's name, duration (> 0), detections, and true actions if they are known."""

    name: str
    duration_s: float
    detections: Sequence[Detection]
    actions: Sequence[Action] | None = None


Segment = TypeVar("Segment", bound=Action | Detection)


def strongest(detections: Iterable[Detection], min_score: float, limit: int) -> list[Detection]:
    """Returns the detections that reach `min_score`, best first, at most `limit`."""
    shown = [detection for detection in detections if detection.score >= min_score]
    return sorted(shown, key=lambda detection: -detection.score)[:limit]


def in_lanes(segments: Iterable[Segment], max_lanes: int) -> list[list[Segment]]:
    """Returns lanes of segments that do not overlap within a lane.

    In the given order, each segment goes to the first lane with room for it; a segment without room
    in `max_lanes` lanes, or in `MOST_LANES`, is left out.
    """
    lanes: list[list[Segment]] = []
    taken: list[list[tuple[float, float]]] = []  # times of each lane, in order
    for segment in segments:
        start, end = segment.start_s, segment.end_s
        for lane, times in zip(lanes, taken, strict=True):
            before = bisect.bisect_left(times, (end, -math.inf))  # those that start before its end
            if not before or times[before - 1][1] <= start:
                lane.append(segment)
                bisect.insort(times, (start, end))
                break
        else:
            if len(lanes) < min(max_lanes, MOST_LANES):
                lanes.append([segment])
                taken.append([(start, end)])
    return lanes


def labels_of(tracks: Sequence[Track]) -> list[str]:
    """Returns the classes of all true and detected actions, sorted."""
    detected = {detection.label for track in tracks for detection in track.detections}
    return sorted(detected.union(a.label for track in tracks for a in track.actions or ()))


def classes_of(tracks: Sequence[Track], known: Sequence[str] | None) -> list[str]:
    """Returns the known classes in their order, then other classes that occur, sorted."""
    return known_first(known, labels_of(tracks))


def known_first(known: Sequence[str] | None, occurring: Iterable[str]) -> list[str]:
    """Returns the known classes in their order, then other occurring classes in theirs."""
    classes = list(known or ())
    return classes + [label for label in occurring if label not in classes]


def clock(seconds: float) -> str:
    """Formats a time as m:ss or h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def clock_tenths(seconds: float) -> str:
    """Formats a time as m:ss.t or h:mm:ss.t, tenths of a second."""
    tenths = round(10 * seconds)
    return f"{clock(tenths // 10)}.{tenths % 10}"


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Returns time and text of each mark of a time axis, at most about a dozen."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
    step: float = next((step for step in steps if duration_s / step <= 12), 3600)
    times = [index * step for index in range(int(duration_s / step + 1e-9) + 1)]
    return [(time, clock(time) if duration_s >= 100 else f"{time:g} s") for time in times]


def bar_lanes(
    segments: Iterable[Segment], max_lanes: int, duration_s: float, colors: dict[str, str]
) -> list[list[dict[str, Any]]]:
    """Returns, for each lane of `in_lanes`, what templates need to draw its segments as bars.

    Args:
      segments: segments of one video; a detection with a lower score is drawn paler.
      max_lanes: see `in_lanes`.
      duration_s: length of the video, > 0; bars end there.
      colors: #rrggbb by label.
    """
    return [
        [_bar(segment, duration_s, colors) for segment in lane]
        for lane in in_lanes(segments, max_lanes)
    ]


def bar_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Returns position (percent of the width) and text of each mark of a time axis."""
    return [(100 * time / duration_s, text) for time, text in ticks(duration_s)]


def _bar(segment: Segment, duration_s: float, colors: dict[str, str]) -> dict[str, Any]:
    score = segment.score if isinstance(segment, Detection) else None
    start_s, end_s = max(segment.start_s, 0.0), min(segment.end_s, duration_s)
    color = colors[segment.label]
    fill = color if score is None else fade(color, 0.3 + 0.7 * min(score, 1.0))
    times = f"{clock_tenths(segment.start_s)} to {clock_tenths(segment.end_s)}"
    return {
        "left": 100 * start_s / duration_s,
        "width": 100 * max(end_s - start_s, 0.0) / duration_s,
        "label": segment.label,
        "score": score,
        "hint": f"{segment.label}, {times}" + ("" if score is None else f", score {score:.3f}"),
        "color": color,
        "fill": fill,
        "ink": text_on(fill),
    }
