"""Detections as subtitles for any video player: SubRip (.srt) or WebVTT (.vtt)."""

import html
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.errors import UserError, printable
from afsd_jax.io.files import atomic_write
from afsd_jax.report.tracks import MIN_SCORE
from afsd_jax.types import Detection

# Milliseconds: a shorter text cannot be read, a shorter pause flickers.
SHORTEST, PAUSE = 1000, 500
MOST_S = 1e9  # no video is longer
# SubRip has no escapes: what players take for tags or for times is replaced by what looks alike.
_ALIKE = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})


class Cue(NamedTuple):
    """A class shown for some milliseconds, with the best score of its detections."""

    start_ms: int
    end_ms: int
    label: str
    score: float


def write_subtitles(
    path: str | os.PathLike[str],
    detections: Sequence[Detection],
    min_score: float = MIN_SCORE,
    duration_s: float | None = None,
) -> None:
    """Writes a video's detections as subtitles, completely or not at all.

    Args:
      path: file to write, which ends in .srt or .vtt.
      detections: detections of one video.
      min_score: detections with a lower score are left out.
      duration_s: length of the video, seconds; None: unknown.

    Raises:
      UserError: the path has another ending or cannot be written.
    """
    formats = {".srt": srt, ".vtt": vtt}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise UserError(f"{path}: subtitles end in .srt or .vtt")
    content = formats[suffix](readable_cues(detections, min_score, duration_s))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode("utf-8", "backslashreplace"))


def readable_cues(
    detections: Sequence[Detection], min_score: float, duration_s: float | None = None
) -> list[Cue]:
    """Returns cues that are shown long enough to be read, in the order of their start.

    Each detection is extended to at least a second, evenly on both sides but within the video.
    Detections of a class that then overlap, or leave a pause below half a second, become one cue.
    So cues of one class never overlap; those of different classes may, and players stack them.

    Args:
      detections: detections of one video; those outside the video are left out.
      min_score: detections with a lower score are left out.
      duration_s: length of the video, seconds; None: unknown.
    """
    length = math.ceil(min(duration_s if duration_s is not None else MOST_S, MOST_S) * 1000)
    spans: dict[str, list[Cue]] = {}
    for detection in detections:
        start = math.floor(min(max(detection.start_s, 0.0), MOST_S) * 1000)
        end = min(math.ceil(min(detection.end_s, MOST_S) * 1000), length)
        if detection.score >= min_score and start < end:
            label = printable(" ".join(detection.label.split()))
            cue = Cue(*_extended(start, end, length), label, detection.score)
            spans.setdefault(label, []).append(cue)
    merged = (cue for cues in spans.values() for cue in _merged(cues))
    return sorted(merged, key=lambda cue: (cue.start_ms, -cue.score))


def _extended(start: int, end: int, length: int) -> tuple[int, int]:
    """Returns a span in [0, length] that is at least `SHORTEST` long, if `length` is."""
    least = min(SHORTEST, length)
    missing = max(least - (end - start), 0)
    start = max(min(start - missing // 2, length - least), 0)
    return start, max(end, start + least)


def _merged(cues: Sequence[Cue]) -> list[Cue]:
    """Joins cues of one class that overlap or leave too short a pause."""
    result: list[Cue] = []
    for cue in sorted(cues):
        if result and cue.start_ms - result[-1].end_ms < PAUSE:
            last = result[-1]
            end_ms, score = max(last.end_ms, cue.end_ms), max(last.score, cue.score)
            result[-1] = last._replace(end_ms=end_ms, score=score)
        else:
            result.append(cue)
    return result


def srt(spans: Sequence[Cue]) -> str:
    """Formats cues as SubRip."""
    blocks = [
        f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n"
        f"{_text(cue).translate(_ALIKE)}\n"
        for number, cue in enumerate(spans, start=1)
    ]
    return "\n".join(blocks)


def vtt(spans: Sequence[Cue]) -> str:
    """Formats cues as WebVTT."""
    blocks = [
        f"{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}\n"
        f"{html.escape(_text(cue), quote=False)}\n"
        for cue in spans
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _text(cue: Cue) -> str:
    return f"{cue.label} {cue.score:.2f}"


def _time(milliseconds: int, separator: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{separator}{rest:03}"
