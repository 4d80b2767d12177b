"""A self-contained HTML page of detections: player, time axis, table, subtitles."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.report import subtitles
from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import Script, data_url, jpeg_url, relative_url, write_html
from afsd_jax.report.tracks import Track, classes_of, clock, clock_tenths, labels_of, strongest
from afsd_jax.types import Action, Detection

SCRIPTS = ("words_and_colors.js", "timeline.js", "gestures.js", "page.js")


class VideoReport(NamedTuple):
    """A video's track and some of its frames.

    frames: uint8 [N, height, width, 3], of any size; frames_s: [N], their times.
    path: the video file, to be played beside the page; None: there is none.
    damaged: packets and frames of it that are damaged.
    """

    track: Track
    frames: NDArray[np.uint8] | None = None
    frames_s: Sequence[float] = ()
    path: str | os.PathLike[str] | None = None
    damaged: int = 0


def write_page(
    path: str | os.PathLike[str],
    videos: Sequence[VideoReport],
    *,
    title: str = "Detected actions",
    min_score: float = 0.1,
    max_detections: int = 50_000,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that shows the detections of one or several videos.

    It needs nothing but a browser: images, style and script are inside. Only the videos are not:
    they are found from where the page lies, so that a folder with both can be moved.

    Args:
      path: where to write it, in one piece or not at all.
      videos: what to show.
      title: the page's heading.
      min_score: weaker detections are hidden at first; the reader can change it.
      max_detections: only so many of a video, the best, are on the page.
      labels: all classes, to fix their colours; default: those that occur.

    Raises:
      ValueError: frames of another dtype or shape.
    """
    tracks = [video.track for video in videos]
    colors = class_colors(classes_of(tracks, labels))
    occurring = set(labels_of(tracks))
    names = [label for label in colors if label in occurring]
    numbers = {label: number for number, label in enumerate(names)}
    script = Script.of_files(*SCRIPTS)
    write_html(
        path,
        "page.html",
        title=title,
        min_score=min_score,
        policy=script.policy,
        script=script.text,
        videos=[_video(video, path, min_score, max_detections) for video in videos],
        data={
            "classes": [{"name": label, "color": colors[label]} for label in names],
            "videos": [_data(track, numbers, max_detections) for track in tracks],
        },
    )


def _video(
    video: VideoReport, page: str | os.PathLike[str], min_score: float, max_detections: int
) -> dict[str, Any]:
    """What the template needs of one video."""
    track = video.track
    cues = subtitles.readable_cues(track.detections, min_score, track.duration_s)
    left_out = len(track.detections) - max_detections
    return {
        "name": track.name,
        "duration": clock(track.duration_s),
        "url": None if video.path is None else relative_url(video.path, page),
        "frames": sample_frames(video),
        "annotated": track.actions is not None,
        "left_out": f", without the {left_out:,} weakest" if left_out > 0 else "",
        "subtitles": [
            ("SRT", "srt", data_url("text/plain", subtitles.srt(cues).encode())),
            ("VTT", "vtt", data_url("text/vtt", subtitles.vtt(cues).encode())),
        ],
    }


def _data(track: Track, numbers: Mapping[str, int], max_detections: int) -> dict[str, Any]:
    """What the script needs of one video: its segments, detections best first."""
    detections = strongest(track.detections, 0.0, max_detections)
    return {
        "duration": track.duration_s,
        "detections": _columns(detections, numbers),
        "truth": None if track.actions is None else _columns(track.actions, numbers),
    }


def _columns(
    segments: Sequence[Action | Detection], numbers: Mapping[str, int]
) -> dict[str, list[Any]]:
    """Returns segments as columns, a third of the size of rows with names."""
    return {
        "labels": [numbers[segment.label] for segment in segments],
        "starts": [round(segment.start_s, 3) for segment in segments],
        "ends": [round(segment.end_s, 3) for segment in segments],
        "scores": [round(s.score, 6) for s in segments if isinstance(s, Detection)],
    }


def sample_frames(video: VideoReport) -> list[tuple[str, str]]:
    """Returns each frame's time, as text, and data URL.

    Raises:
      ValueError: frames of another dtype or shape.
    """
    if video.frames is None:
        return []
    frames = video.frames
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [N,H,W,3], not {frames.dtype} {frames.shape}")
    return [
        (clock_tenths(time_s), jpeg_url(frame))
        for time_s, frame in zip(video.frames_s, frames, strict=True)
    ]
