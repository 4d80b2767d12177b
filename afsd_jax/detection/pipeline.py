"""Detection in videos: open them, cut windows, compute, decode, suppress, give the results."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import ml_collections

from afsd_jax.detection.batching import BatchRunner, DecodedWindow
from afsd_jax.detection.postprocess import Candidates, Postprocessing, candidates_of_window
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import OpenVideo, VideoSource
from afsd_jax.inputs.windows import Event, VideoEnd, VideoStart, read_windows, unexpected_error
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


def detect_videos(
    sources: Iterable[VideoSource],
    window_offsets: Callable[[int], Iterable[int]],
    data: ml_collections.ConfigDict,
    runner: BatchRunner,
    postprocessing: Postprocessing,
) -> Iterator[VideoResult]:
    """Yields the result of each video; see `Detector.detect_sources`.

    Args:
      sources: the videos.
      window_offsets: maps a video's number of frames to the first frames of its windows.
      data: part of the configuration, with the size of a window.
      runner: computes and decodes windows.
      postprocessing: turns decoded windows into detections.
    """

    def read(cancelled: threading.Event) -> Iterator[Event]:
        return read_windows(sources, window_offsets, data.clip_length, data.crop_size, cancelled)

    threshold = postprocessing.score_threshold
    fps, candidates = 0.0, list[Candidates]()  # of the current video
    with contextlib.closing(prefetch(read, runner.size)) as events:
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
