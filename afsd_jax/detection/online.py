"""Detection in a stream: actions are told as soon as nothing that is still to come changes them."""

import contextlib
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from afsd_jax.detection.batching import Decoded
from afsd_jax.detection.detector import Detector, Found
from afsd_jax.detection.nms import Floats
from afsd_jax.detection.online_nms import Settling
from afsd_jax.detection.postprocess import as_detections, in_seconds
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import Input, Source
from afsd_jax.inputs.windows import End, Event, Opened, read_windows
from afsd_jax.runtime.prefetch import prefetch
from afsd_jax.types import Detection

_AHEAD = 2  # windows that wait for the network


def detect_live(
    detector: Detector, source: Source, tell: Callable[[Detection], None], keep: bool = True
) -> Found:
    """Detects in one video whose end nobody knows, a window at a time, as it comes.

    Args:
      detector: whose network looks at windows, not at whole videos.
      source: of the stream.
      tell: is called with each detection as soon as it is certain, in no order.
      keep: whether to return them, too; memory does not grow where they are not kept.

    Returns:
      What `Detector.detect_sources` would find in the same video: the same detections.

    Raises:
      UserError: the ends of the detections are voted on.
    """
    data, inference = detector.config.data, detector.config.inference
    if inference.voting_tiou > 0:
        raise UserError("--voting-tiou: not of a stream, where votes are still to come")
    opened: list[Input] = []

    def open_source() -> Input:
        opened.append(source.open())
        return opened[0]

    def offsets(_: int) -> Iterable[int]:
        return [0] if inference.one_window else itertools.count(0, inference.window_stride)

    def events(unwanted: threading.Event) -> Iterator[Event]:
        sources = [Source(source.name, open_source)]
        return read_windows(sources, offsets, data.clip_length, data.crop_size, unwanted)

    batches, classes = detector.batches(1), _Classes(detector, keep)
    with contextlib.closing(prefetch(events, _AHEAD)) as coming:
        for event in coming:
            if isinstance(event, Opened):
                batches.prepare()  # while the first window is read
                continue
            if isinstance(event, End):
                end = event
                break
            (decoded,) = batches.compute([event])
            classes.add(event.offset, decoded, opened[0].fps)
            for detection in classes.settled(event.offset + 1, opened[0]):
                tell(detection)
    name, video, error = end
    if error or video is None:
        return Found(name, video, [], error)
    for detection in classes.settled(math.inf, video):
        tell(detection)
    return Found(name, video, classes.all(video))


class _Classes:
    """What is found of each class, settled or not."""

    def __init__(self, detector: Detector, keep: bool):
        self._detector, self._keep = detector, keep
        rule = detector.nms_factor, detector.nms_threshold
        self._open = [Settling(*rule) for _ in detector.class_names]
        self._found: list[list[tuple[Floats, Floats]]] = [[] for _ in detector.class_names]

    def add(self, offset: int, decoded: Decoded, fps: float) -> None:
        """Takes what was found in the window that begins at a frame."""
        segments, scores = decoded
        seconds = in_seconds(segments[None], np.array([offset]), fps)[0]
        for settling, column in zip(self._open, scores.T[1:], strict=True):
            rows = np.flatnonzero(column > self._detector.score_threshold)
            settling.add(seconds[rows], column[rows])

    def settled(self, next_frame: float, video: Input) -> Iterator[Detection]:
        """Yields what is certain if no later window begins before a frame."""
        horizon_s = float(np.float32(next_frame) / np.float32(video.fps))
        for number, settling in enumerate(self._open):
            new = settling.settle(horizon_s)
            if self._keep and len(new[0]):
                self._found[number].append(new)
            yield from self._detections(number, *new, video)

    def all(self, video: Input) -> list[Detection]:
        """Returns all that was kept, best first."""
        detections = []
        for number, parts in enumerate(self._found):
            if parts:
                ends, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
                most = self._detector.config.inference.max_detections
                best = np.lexsort((ends[:, 0], -scores))[:most]
                detections += self._detections(number, ends[best], scores[best], video)
        return sorted(detections, key=lambda detection: -detection.score)

    def _detections(
        self, number: int, ends: Floats, scores: Floats, video: Input
    ) -> list[Detection]:
        cut = self._detector.config.inference.clip_to_video and video.duration_s > 0
        duration_s = video.duration_s if cut else None
        name = self._detector.class_names[number]
        return as_detections(ends, scores, name, duration_s, video.label)
