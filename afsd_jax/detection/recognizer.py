"""Dense recognition of Kinetics' 400 classes by an I3D, at each time step of a video.

This is a sliding window and a baseline: no part of it was trained to find where actions begin and
end.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from afsd_jax.detection import nms
from afsd_jax.detection.backends import chosen_backend, open_video_trunk
from afsd_jax.detection.video_slices import video_slices
from afsd_jax.models import i3d
from afsd_jax.runtime import devices
from afsd_jax.types import Detection
from afsd_jax.weights import kinetics

ENDPOINT = "Mixed_5c"
STEP, _ = i3d.endpoint_stride(ENDPOINT)  # frames of a time step, which are classified together
CLIP_S = 2.56  # length of the clips that the trunk was trained on: 64 frames
NMS_SIGMA = 0.5  # as in Bodla et al., ICCV 2017


class Recognizer:
    """Classifies each time step of a video from all frames in the trunk's receptive field.

    Several threads may call `logits` of one recognizer at once.

    Attributes:
      class_names: names of Kinetics' classes.
      backend: software that computes the trunk.
    """

    def __init__(self, size: int = 224, backend: str | None = None):
        """Reads the weights, for frames of `size`×`size` pixels.

        Args:
          size: height and width of the frames, pixels.
          backend: one of `backends.BACKENDS`; None: OpenVINO on CPUs where it is installed.

        Raises:
          UserError: the weights are not installed (see `kinetics.load`), or JAX finds no device.
        """
        devices.start_jax()
        self.backend = chosen_backend(backend)
        weights = kinetics.load().parameters
        self._trunk = open_video_trunk(self.backend, weights, (size, size, 3), (ENDPOINT,))
        kernel, self._bias, self.class_names = kinetics.classifier()
        self._kernel = np.asarray(kernel, np.float32)

    def logits(self, frames: Iterable[NDArray[np.uint8]], num_frames: int) -> NDArray[np.float32]:
        """Returns logits [ceil(num_frames / STEP), 400] of a video.

        They equal those of the trunk on all frames at once, with the last frame repeated to fill
        the last time step.

        Args:
          frames: RGB [size, size, 3], 25 per second as in training; read one after another.
          num_frames: number of frames.
        """
        filled = _filled(itertools.islice(frames, num_frames), STEP)
        computed = [
            cells.mean((1, 2)) @ self._kernel + self._bias
            for slices in video_slices(self._trunk, filled)
            for cells in slices
        ]
        return np.concatenate(computed)


def _filled(frames: Iterable[NDArray[np.uint8]], step: int) -> Iterator[NDArray[np.uint8]]:
    """Yields the frames, and the last one again until their number is a multiple of `step`."""
    count = 0
    for frame in frames:
        count += 1
        yield frame
    yield from itertools.repeat(frame, -count % step)


def probabilities(logits: NDArray[np.float32], step_s: float) -> NDArray[np.float32]:
    """Smooths logits over time and applies softmax.

    The usual head averages two neighbouring cells of Mixed_5c, and then the logits over a clip;
    here a clip of `CLIP_S` seconds slides over the video without leaving it.

    Args:
      logits: [T, classes], one row for each time step.
      step_s: length of a time step, seconds.

    Returns:
      [T, classes]; each row sums to 1.
    """
    steps, half = np.arange(len(logits)), max(1, round(CLIP_S / step_s / 2))
    start = np.clip(steps + 1 - half, 0, max(len(logits) + 1 - 2 * half, 0))
    end = np.minimum(start + 2 * half, len(logits) + 1)
    smooth = np.empty(logits.shape, np.float32)
    for first in range(0, logits.shape[1], 50):  # in parts, to save memory in long videos
        classes = slice(first, first + 50)
        padded = np.pad(logits[:, classes].astype(np.float64), ((1, 1), (0, 0)), mode="edge")
        pairs = (padded[1:] + padded[:-1]) / 2
        sums = np.pad(np.cumsum(pairs, axis=0), ((1, 0), (0, 0)))
        smooth[:, classes] = (sums[end] - sums[start]) / (end - start)[:, None]
    smooth -= smooth.max(axis=1, keepdims=True)
    np.exp(smooth, out=smooth)
    smooth /= smooth.sum(axis=1, keepdims=True)
    return smooth


def segments(
    probabilities: NDArray[np.floating],
    class_names: Sequence[str],
    step_s: float,
    duration_s: float,
    threshold: float,
) -> list[Detection]:
    """Turns runs of time steps in which a class is likely into segments.

    A run's score is its mean probability. Softmax lets classes compete, so soft-NMS handles all
    classes together: of several classes in one part of the video only the best stays.

    Args:
      probabilities: [T, classes], one row for each time step.
      class_names: names of the classes.
      step_s: length of a time step, seconds.
      duration_s: length of the video, seconds; the last segment ends there.
      threshold: least probability of a time step, and least score of a segment.

    Returns:
      The detections by descending score.
    """
    labels, bounds, means = [], [], []
    for label in np.flatnonzero(probabilities.max(axis=0) >= threshold).tolist():
        for start, end in _runs(probabilities[:, label] >= threshold):
            labels.append(class_names[label])
            bounds.append((start * step_s, min(end * step_s, duration_s)))
            means.append(probabilities[start:end, label].mean())
    segments = [np.array(bounds).reshape(-1, 2)]
    factor = nms.gaussian(NMS_SIGMA)
    ((rows, scores),) = nms.suppress(segments, [np.array(means)], factor, threshold, len(means))
    return [
        Detection(labels[row], score, *bounds[row])
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        if bounds[row][0] < bounds[row][1]
    ]


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns (start, end) of each run of True; `end` is the first index after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def video_scores(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns scores of a video [classes]: each class's mean over its best eighth of the video.

    An action fills only a part of an untrimmed video. Source: Paul et al., "W-TALC", ECCV 2018,
    §3.2.
    """
    best = -(-len(probabilities) // 8)
    return np.array([np.sort(of_class)[-best:].mean() for of_class in probabilities.T])
