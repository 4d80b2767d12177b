"""Detections as subtitles, SubRip (.srt) or WebVTT (.vtt), for any video player."""

import html
import itertools
import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.files import atomic_write
from afsd_jax.report.tracks import strongest
from afsd_jax.types import Detection

MAX_LINES = 3  # of one cue


class Cue(NamedTuple):
    """Lines of text shown during a span of milliseconds."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def write_subtitles(
    path: str | os.PathLike[str], detections: Sequence[Detection], min_score: float = 0.1
) -> None:
    """Writes a video's detections as subtitles, in one piece or not at all.

    Args:
      path: ends in .srt or .vtt, which chooses the format.
      detections: of one video.
      min_score: detections below it are left out.

    Raises:
      UserError: the path ends otherwise or cannot be written.
    """
    formats = {".srt": srt, ".vtt": vtt}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise UserError(f"{path}: subtitles end in .srt or .vtt")
    with atomic_write(path) as temporary:
        temporary.write_text(formats[suffix](cues(detections, min_score)), encoding="utf-8")


def cues(detections: Sequence[Detection], min_score: float) -> list[Cue]:
    """Turns detections, which may overlap, into cues that do not.

    A cue shows every class detected during its span, best score first, at most three.
    """
    shown = [
        (round(max(d.start_s, 0.0) * 1000), round(d.end_s * 1000), d)
        for d in strongest(detections, min_score, len(detections))
    ]
    times = sorted({time for start, end, _ in shown if start < end for time in (start, end)})
    scores: list[dict[str, float]] = [{} for _ in times]  # of the span that starts at each time
    for start, end, detection in shown:
        label = " ".join(detection.label.split())
        for span in scores[bisect_left(times, start) : bisect_left(times, end)]:
            span.setdefault(label, detection.score)
    result: list[Cue] = []
    for (start_ms, end_ms), best in zip(itertools.pairwise(times), scores, strict=False):
        lines = tuple(f"{label} {score:.0%}" for label, score in list(best.items())[:MAX_LINES])
        if not lines:
            continue
        if result and result[-1].end_ms == start_ms and result[-1].lines == lines:
            result[-1] = result[-1]._replace(end_ms=end_ms)
        else:
            result.append(Cue(start_ms, end_ms, lines))
    return result


def srt(spans: Sequence[Cue]) -> str:
    """Formats cues as SubRip."""
    blocks = [
        f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n"
        + "".join(f"{line}\n" for line in cue.lines)
        for number, cue in enumerate(spans, start=1)
    ]
    return "\n".join(blocks)


def vtt(spans: Sequence[Cue]) -> str:
    """Formats cues as WebVTT."""
    blocks = [
        f"{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}\n"
        + "".join(f"{html.escape(line, quote=False)}\n" for line in cue.lines)
        for cue in spans
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _time(milliseconds: int, separator: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{separator}{rest:03}"
