"""Detection in videos: open them, cut windows, compute, decode, suppress, give the results."""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import ml_collections

from afsd_jax.detection.batching import BatchRunner, DecodedWindow
from afsd_jax.detection.postprocess import Candidates, Postprocessing, candidates_of_window
from afsd_jax.detection.video_windows import cut_features
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import OpenVideo, VideoSource
from afsd_jax.inputs.windows import (
    Event,
    VideoEnd,
    VideoStart,
    read_pieces,
    read_windows,
    unexpected_error,
)
from afsd_jax.models.video_trunk import VideoTrunk
from afsd_jax.runtime.prefetch import prefetch
from afsd_jax.types import Detection


class VideoResult(NamedTuple):
    """The outcome of detecting in one video.

    Attributes:
      name: name of the video's source.
      video: None if it could not be opened.
      detections: best first; empty if the video failed.
      error: why it failed, if it did.
    """

    name: str
    video: OpenVideo | None
    detections: list[Detection]
    error: UserError | None = None


def open_windows(
    sources: Iterable[VideoSource],
    window_offsets: Callable[[int], Iterable[int]],
    data: ml_collections.ConfigDict,
    trunks: Sequence[VideoTrunk] | None,
    ahead: int,
) -> Generator[Event, None, None]:
    """Yields the windows of videos; a thread reads their frames in advance.

    Args:
      sources: the videos.
      window_offsets: maps a video's number of frames to the first frames of its windows.
      data: part of the configuration, with the size of a window.
      trunks: the networks' trunks for whole videos; None: windows hold frames.
      ahead: most windows, or pieces of a video, that the thread reads in advance.
    """
    length, size = data.clip_length, data.crop_size

    def read(cancelled: threading.Event) -> Iterator[Event]:
        return read_windows(sources, window_offsets, length, size, cancelled)

    if trunks is None:
        with contextlib.closing(prefetch(read, ahead)) as events:
            yield from events
        return
    piece = trunks[0].piece
    pieces = prefetch(lambda cancelled: read_pieces(sources, piece, size, cancelled), ahead)
    with contextlib.closing(pieces):
        yield from cut_features(pieces, trunks, window_offsets, length)


def detect_videos(
    windows: Generator[Event, None, None], runner: BatchRunner, postprocessing: Postprocessing
) -> Iterator[VideoResult]:
    """Yields the result of each video; see `Detector.detect_sources`.

    Args:
      windows: the videos' windows, from `open_windows`.
      runner: computes and decodes windows.
      postprocessing: turns decoded windows into detections.
    """
    threshold = postprocessing.score_threshold
    fps, candidates = 0.0, list[Candidates]()  # of the current video
    with contextlib.closing(windows) as events:
        for event in runner.run(events):
            if isinstance(event, VideoStart):
                fps = event.video.fps
            elif isinstance(event, DecodedWindow):
                candidates.append(candidates_of_window(*event, fps, threshold))
            else:
                yield _result(event, candidates, postprocessing)
                candidates = []


def _result(
    end: VideoEnd, candidates: Sequence[Candidates], postprocessing: Postprocessing
) -> VideoResult:
    name, video, error = end
    if error or video is None:
        return VideoResult(name, video, [], error)
    try:
        detections = postprocessing.detections(candidates, video.duration_s, video.label)
    except Exception as raised:  # such as too little memory for this video
        return VideoResult(name, video, [], unexpected_error(name, raised))
    return VideoResult(name, video, detections)
