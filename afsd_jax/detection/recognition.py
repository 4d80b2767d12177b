"""Dense recognition of Kinetics' 400 classes: what an I3D sees at each moment of a video.

A sliding window, and a baseline: nothing here has learnt where actions begin and end.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from afsd_jax.detection import nms
from afsd_jax.models import streaming
from afsd_jax.runtime.compilation import compiled
from afsd_jax.types import Detection
from afsd_jax.weights import kinetics

MOMENT = streaming.STRIDE  # frames that are classified together
PIECE = 16  # frames taken at once: larger pieces are no faster on CPUs and take more memory
CLIP_S = 2.56  # of the clips the trunk was trained on: 64 frames
NMS_SIGMA = 0.5  # as in Bodla et al., ICCV 2017


class Recognizer:
    """Classifies each moment of a video, from all of the frames around it that the trunk sees.

    Attributes:
      class_names: of Kinetics.
    """

    def __init__(self, size: int = 224):
        """Reads the weights, for frames of `size`×`size` pixels.

        Raises:
          UserError: they are not installed; see `kinetics.load`.
        """
        weights = streaming.fold_norms(kinetics.load().parameters)
        kernel, bias, self.class_names = kinetics.classifier()
        self._weights = jax.tree.map(jnp.asarray, (weights, kernel, bias))
        self._shape = (1, PIECE, size, size, 3)

        def step(weights, kept, frames, first, total):
            trunk, kernel, bias = weights
            cells, kept = streaming.trunk_step(trunk, kept, frames / 127.5 - 1, first, total)
            return cells[0].mean((1, 2)) @ kernel + bias, kept

        self._step = compiled(step, donate_argnums=1)
        self._nothing_kept = streaming.empty(self._weights[0], self._shape)

    def logits(self, frames: Iterable[NDArray[np.uint8]], num_frames: int) -> NDArray[np.float32]:
        """Returns logits [ceil(num_frames / MOMENT), 400] of a video.

        They are those of the trunk on all frames at once, the last one repeated up to a whole
        moment.

        Args:
          frames: RGB [size, size, 3], 25 a second as in training; taken one after another.
          num_frames: that come.
        """
        frames = iter(frames)
        moments = -(-num_frames // MOMENT)
        kept = jax.tree.map(jnp.zeros_like, self._nothing_kept)
        last: Any = None
        found: list[Any] = []
        for first in range(0, (moments + streaming.DELAY) * MOMENT, PIECE):
            taken = list(itertools.islice(frames, PIECE))
            last = taken[-1] if taken else last
            piece = np.stack(taken + [last] * (PIECE - len(taken)))[None]
            logits, kept = self._step(self._weights, kept, piece, first, moments * MOMENT)
            found.append(logits)
            if len(found) > 1:  # frames are decoded while the piece before them is computed
                found[-2] = np.asarray(found[-2])
        return np.concatenate(found)[streaming.DELAY :][:moments]


def probabilities(logits: NDArray[np.float32], moment_s: float) -> NDArray[np.float32]:
    """Smooths logits over time and applies softmax.

    The usual head averages two neighbouring cells of Mixed_5c and then its logits over a clip; here
    a clip of `CLIP_S` seconds slides over the video and stays within it.

    Args:
      logits: [T, classes], of each moment.
      moment_s: length of a moment, seconds.

    Returns:
      [T, classes], sums over classes are 1.
    """
    moments, half = np.arange(len(logits)), max(1, round(CLIP_S / moment_s / 2))
    start = np.clip(moments + 1 - half, 0, max(len(logits) + 1 - 2 * half, 0))
    end = np.minimum(start + 2 * half, len(logits) + 1)
    smooth = np.empty(logits.shape, np.float32)
    for first in range(0, logits.shape[1], 50):  # long videos take no more memory than they must
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
    moment_s: float,
    duration_s: float,
    threshold: float,
) -> list[Detection]:
    """Turns runs of moments in which a class is likely into segments.

    A run scores its mean probability. Softmax lets classes compete, so soft-NMS sees all of them
    together: of several names for one part of the video the best stays.

    Args:
      probabilities: [T, classes], of each moment.
      class_names: of the classes.
      moment_s: length of a moment, seconds.
      duration_s: of the video; the last segment ends there.
      threshold: the least probability and the least score.

    Returns:
      The detections by descending score.
    """
    labels, ends, means = [], [], []
    for label in np.flatnonzero(probabilities.max(axis=0) >= threshold).tolist():
        for start, end in _runs(probabilities[:, label] >= threshold):
            labels.append(class_names[label])
            ends.append((start * moment_s, min(end * moment_s, duration_s)))
            means.append(probabilities[start:end, label].mean())
    segments = np.array(ends).reshape(-1, 2)
    given = [segments], [np.array(means)], nms.gaussian(NMS_SIGMA)
    ((kept, scores),) = nms.suppress(*given, threshold, len(means))
    return [
        Detection(labels[i], score, *ends[i])
        for i, score in zip(kept.tolist(), scores.tolist(), strict=True)
        if ends[i][0] < ends[i][1]
    ]


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns [start, end) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def video_scores(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns each class's score in the whole video [classes]: its mean in its best eighth.

    An action fills only part of an untrimmed video. Source: Paul et al., "W-TALC", ECCV 2018, §3.2.
    """
    best = -(-len(probabilities) // 8)
    return np.array([np.sort(of_class)[-best:].mean() for of_class in probabilities.T])
