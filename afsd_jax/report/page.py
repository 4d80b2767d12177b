"""A self-contained HTML page of detections: sample frames, timelines, tables, subtitles."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.report import subtitles
from afsd_jax.report.bars import bar_lanes, bar_ticks, moment
from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import data_url, jpeg_url, write_html
from afsd_jax.report.tracks import Track, clock, labels_of, strongest


class VideoReport(NamedTuple):
    """A video's track and some of its frames.

    frames: uint8 [N, height, width, 3], of any size; frames_s: [N], their times.
    """

    track: Track
    frames: NDArray[np.uint8] | None = None
    frames_s: Sequence[float] = ()


def write_page(
    path: str | os.PathLike[str],
    videos: Sequence[VideoReport],
    *,
    title: str = "Detected actions",
    min_score: float = 0.1,
    max_detections: int = 200,
    max_lanes: int = 6,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that shows the detections of one or several videos.

    It needs nothing but a browser: images, style and script are inside.

    Args:
      path: where to write it, in one piece or not at all.
      videos: what to show.
      title: the page's heading.
      min_score: weaker detections are hidden at first; the reader can change it.
      max_detections: only so many of a video, the best, are on the page.
      max_lanes: a detection that overlaps with so many better ones is only in the table.
      labels: all classes, to fix their colours; default: those that occur.

    Raises:
      ValueError: frames of another dtype or shape.
    """
    tracks = [video.track for video in videos]
    colors = class_colors(labels_of(tracks) if labels is None else labels)
    shown = {label for track in tracks for label in labels_of([track])}
    write_html(
        path,
        "page.html",
        title=title,
        min_score=min_score,
        legend=[(label, color) for label, color in colors.items() if label in shown],
        videos=[_video(video, colors, min_score, max_detections, max_lanes) for video in videos],
    )


def _video(
    video: VideoReport,
    colors: dict[str, str],
    min_score: float,
    max_detections: int,
    max_lanes: int,
) -> dict[str, Any]:
    """What the template needs of one video."""
    track = video.track
    detections = strongest(track.detections, 0.0, max_detections)
    actions = sorted(track.actions or (), key=lambda action: action.start_s)
    cues = subtitles.readable_cues(track.detections, min_score, track.duration_s)
    return {
        "name": track.name,
        "duration": clock(track.duration_s),
        "frames": _frames(video),
        "ticks": bar_ticks(track.duration_s),
        "annotated": track.actions is not None,
        "actions": bar_lanes(actions, len(actions), track.duration_s, colors),
        "lanes": bar_lanes(detections, max_lanes, track.duration_s, colors),
        "table": [
            {
                "label": detection.label,
                "color": colors[detection.label],
                "start": moment(detection.start_s),
                "end": moment(detection.end_s),
                "length": f"{detection.end_s - detection.start_s:.1f} s",
                "score": detection.score,
            }
            for detection in detections
        ],
        "subtitles": [
            ("SRT", "srt", data_url("text/plain", subtitles.srt(cues).encode())),
            ("VTT", "vtt", data_url("text/vtt", subtitles.vtt(cues).encode())),
        ],
    }


def _frames(video: VideoReport) -> list[tuple[str, str]]:
    """Each frame's time and data URL."""
    if video.frames is None:
        return []
    frames = video.frames
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [N,H,W,3], not {frames.dtype} {frames.shape}")
    return [
        (moment(time_s), jpeg_url(frame))
        for time_s, frame in zip(video.frames_s, frames, strict=True)
    ]
