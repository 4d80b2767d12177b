"""Online detection in a pipe: each action is reported once no later window can change it."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from afsd_jax.detection.batching import DecodedWindow
from afsd_jax.detection.detector import Detector
from afsd_jax.detection.nms import Floats
from afsd_jax.detection.online_nms import OnlineNms
from afsd_jax.detection.pipeline import VideoResult
from afsd_jax.detection.postprocess import candidates_of_window, detections_of_class
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import OpenVideo, VideoSource
from afsd_jax.inputs.windows import VideoEnd, VideoStart, Window
from afsd_jax.types import Detection

_PREFETCHED = 2  # windows, or pieces, that wait for the network


def detect_online(
    detector: Detector,
    source: VideoSource,
    on_detection: Callable[[Detection], None],
    keep: bool = True,
) -> VideoResult:
    """Detects in one video of unknown length while it is read, one window at a time.

    Several threads may do so with one detector; `on_detection` is called in the thread that calls.

    Args:
      detector: a detector whose network sees windows, not whole videos.
      source: the video.
      on_detection: called with each detection once it is final, in no particular order.
      keep: whether to return the detections, too; otherwise memory does not grow with the video.

    Returns:
      The result that `Detector.detect_sources` would give: the same detections.

    Raises:
      UserError: `config.inference.voting_tiou` is set.
    """
    inference = detector.config.inference
    if inference.voting_tiou > 0:
        raise UserError(
            f"config.inference.voting_tiou={inference.voting_tiou:g}: voting needs all candidates "
            "of a video, which a pipe does not have before its end; set it to 0"
        )

    def offsets(_: int) -> Iterable[int]:
        return [0] if inference.one_window else itertools.count(0, inference.window_stride)

    runner = detector.batch_runner(1)
    windows = detector.open_windows([source], offsets, _PREFETCHED)
    with contextlib.closing(windows) as events:
        for event in events:
            if isinstance(event, VideoStart):
                suppression = _OnlineSuppression(detector, event.video)
                runner.prepare()  # while the first window is read
            elif isinstance(event, Window):
                suppression.add(*runner.compute([event]))
                for detection in suppression.finalize(event.offset + 1, keep):
                    on_detection(detection)
    assert isinstance(event, VideoEnd)  # the last event of a video
    name, video, error = event
    if error or video is None:
        return VideoResult(name, video, [], error)
    suppression.video = video  # now with its duration
    for detection in suppression.finalize(math.inf, keep):
        on_detection(detection)
    return VideoResult(name, video, suppression.detections())


class _OnlineSuppression:
    """Online NMS of the candidates of a video, in each class.

    Attributes:
      video: the video; its duration is known at its end only.
    """

    def __init__(self, detector: Detector, video: OpenVideo):
        self.video = video
        self._postprocessing = detector.postprocessing
        self._inference, self._names = detector.config.inference, detector.class_names
        rule = self._postprocessing.factor, self._postprocessing.nms_threshold
        self._classes = [OnlineNms(*rule) for _ in self._names]
        self._kept: list[list[tuple[Floats, Floats]]] = [[] for _ in self._names]

    def add(self, window: DecodedWindow) -> None:
        """Adds a window's candidates."""
        threshold = self._postprocessing.score_threshold
        segments, scores = candidates_of_window(*window, self.video.fps, threshold)
        for online_nms, column in zip(self._classes, scores.T[1:], strict=True):
            rows = np.flatnonzero(column > threshold)
            online_nms.add(segments[rows], column[rows])

    def finalize(self, next_frame: float, keep: bool) -> Iterator[Detection]:
        """Yields the detections that become final if no later window begins before a frame.

        Args:
          next_frame: that frame; infinity at the end of the video.
          keep: whether `detections` is to return them, too.
        """
        horizon_s = float(np.float32(next_frame) / np.float32(self.video.fps))
        for number, online_nms in enumerate(self._classes):
            final = online_nms.finalize(horizon_s)
            if keep and len(final[0]):
                self._kept[number].append(final)
            yield from self._detections(number, *final)

    def detections(self) -> list[Detection]:
        """Returns all final detections that were kept, best first."""
        detections: list[Detection] = []
        for number, parts in enumerate(self._kept):
            if parts:
                segments, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
                best = np.lexsort((segments[:, 0], -scores))[: self._inference.max_detections]
                detections += self._detections(number, segments[best], scores[best])
        return sorted(detections, key=lambda detection: -detection.score)

    def _detections(self, number: int, segments: Floats, scores: Floats) -> list[Detection]:
        clip = self._inference.clip_to_video and self.video.duration_s > 0
        duration_s, label = self.video.duration_s if clip else None, self.video.label
        return detections_of_class(segments, scores, self._names[number], duration_s, label)
