"""A self-contained HTML page of detections: player, timeline, table, subtitles."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.report import subtitles
from afsd_jax.report.colors import class_colors
from afsd_jax.report.playback import playback
from afsd_jax.report.render import Script, data_url, write_html
from afsd_jax.report.thumbnails import Picture, picture
from afsd_jax.report.tracks import MIN_SCORE, Track, classes_of, clock, labels_of, strongest
from afsd_jax.types import Action, Detection

SCRIPTS = (
    "words_and_colors.js",
    "lanes.js",
    "timeline.js",
    "gestures.js",
    "filmstrip.js",
    "player.js",
    "page.js",
)


class VideoReport(NamedTuple):
    """A video's track and some of its frames.

    frames: uint8 [N, height, width, 3], of any size; frames_s: [N], their times in seconds.
    path: video file to play in the page; None: no file.
    damaged: number of damaged packets and frames.
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
    note: str = "",
    min_score: float = MIN_SCORE,
    max_detections: int = 50_000,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that shows the detections of one or several videos.

    The page contains its images, styles and scripts, so a browser is enough. It refers to the video
    files by relative paths, so a folder with the page and the videos can be moved.

    Args:
      path: file to write, completely or not at all.
      videos: the videos to show.
      title: heading of the page.
      note: what a reader should know, below the heading.
      min_score: initial minimum score; the reader can change it.
      max_detections: maximum number of detections per video; only the best are on the page.
      labels: all classes, which fix the colours; default: the classes that occur.

    Raises:
      ValueError: frames have another dtype or shape.
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
        note=note,
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
    """Returns the template's values for one video."""
    track = video.track
    cues = subtitles.readable_cues(track.detections, min_score, track.duration_s)
    left_out = len(track.detections) - max_detections
    return {
        "name": track.name,
        "duration": clock(track.duration_s),
        "playback": None if video.path is None else playback(video.path, page),
        "frames": sample_frames(video),
        "annotated": track.actions is not None,
        "left_out": f", without the {left_out:,} weakest" if left_out > 0 else "",
        "subtitles": [
            ("SRT", "srt", data_url("text/plain", subtitles.srt(cues).encode())),
            ("VTT", "vtt", data_url("text/vtt", subtitles.vtt(cues).encode())),
        ],
    }


def _data(track: Track, numbers: Mapping[str, int], max_detections: int) -> dict[str, Any]:
    """Returns the script's data of one video: its segments, detections best first."""
    detections = strongest(track.detections, 0.0, max_detections)
    return {
        "duration": track.duration_s,
        "detections": _columns(detections, numbers),
        "truth": None if track.actions is None else _columns(track.actions, numbers),
    }


def _columns(
    segments: Sequence[Action | Detection], numbers: Mapping[str, int]
) -> dict[str, list[Any]]:
    """Returns segments as columns, which take a third of the size of named rows."""
    return {
        "labels": [numbers[segment.label] for segment in segments],
        "starts": [round(segment.start_s, 3) for segment in segments],
        "ends": [round(segment.end_s, 3) for segment in segments],
        "scores": [round(s.score, 6) for s in segments if isinstance(s, Detection)],
    }


def sample_frames(video: VideoReport) -> list[Picture]:
    """Returns a video's frames as pictures.

    Raises:
      ValueError: frames have another dtype or shape.
    """
    if video.frames is None:
        return []
    frames = video.frames
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [N,H,W,3], not {frames.dtype} {frames.shape}")
    return [
        picture(frame, time_s, video.track.duration_s)
        for time_s, frame in zip(video.frames_s, frames, strict=True)
    ]
