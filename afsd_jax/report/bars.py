"""Segments as bars of a page's timeline, in percent of its width; times as text."""

from collections.abc import Iterable
from typing import Any

from afsd_jax.report.colors import fade, text_on
from afsd_jax.report.tracks import Segment, clock, in_lanes, ticks
from afsd_jax.types import Detection


def bar_lanes(
    segments: Iterable[Segment], max_lanes: int, duration_s: float, colors: dict[str, str]
) -> list[list[dict[str, Any]]]:
    """Returns what templates need of each segment, laid out by `in_lanes`.

    Args:
      segments: of one video; a detection is the paler the lower its score.
      max_lanes: see `in_lanes`.
      duration_s: of the video, > 0; bars are cut there.
      colors: #rrggbb by label.
    """
    return [
        [_bar(segment, duration_s, colors) for segment in lane]
        for lane in in_lanes(segments, max_lanes)
    ]


def bar_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Returns the place in percent and the text of each mark of a timeline."""
    return [(100 * time / duration_s, text) for time, text in ticks(duration_s)]


def moment(seconds: float) -> str:
    """Formats a time as m:ss.t or h:mm:ss.t, tenths of a second."""
    tenths = round(10 * seconds)
    return f"{clock(tenths // 10)}.{tenths % 10}"


def _bar(segment: Segment, duration_s: float, colors: dict[str, str]) -> dict[str, Any]:
    score = segment.score if isinstance(segment, Detection) else None
    start_s, end_s = max(segment.start_s, 0.0), min(segment.end_s, duration_s)
    color = colors[segment.label]
    fill = color if score is None else fade(color, 0.3 + 0.7 * min(score, 1.0))
    times = f"{moment(segment.start_s)} to {moment(segment.end_s)}"
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
