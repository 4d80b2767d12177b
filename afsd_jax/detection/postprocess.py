"""From the network's outputs to detections: decoding, fusing streams, suppression.

`decode` and `decode_streams` are JAX and run where the network does; the rest is NumPy and handles
one video at a time. Source: AFSD §3.4.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from afsd_jax.detection import nms
from afsd_jax.types import Detection, Predictions, VideoLabel

# Segments [R, 2] in seconds and scores [R, C] of R priors that can become detections.
Candidates = tuple[NDArray[np.float32], NDArray[np.float32]]


def decode(
    predictions: Predictions, priors: ArrayLike, clip_length: int
) -> tuple[jax.Array, jax.Array]:
    """Turns raw predictions into segments and scores.

    Without refinement only coarse predictions are used, without quality only class scores.

    Args:
      predictions: the network's outputs, with any leading axes.
      priors: [K], fractions of the clip.
      clip_length: T, frames.

    Returns:
      segments [..., K, 2], frames in [0, T], and scores [..., K, C] in [0, 1], both float32.
    """
    loc, conf = (jnp.asarray(x, jnp.float32) for x in predictions[:2])
    prop_loc, prop_conf, center = (
        None if x is None else jnp.asarray(x, jnp.float32) for x in predictions[2:]
    )
    refined = loc
    if prop_loc is not None:
        refined = loc + 0.5 * jnp.sum(loc, axis=-1, keepdims=True) * prop_loc
    frames = jnp.asarray(priors, jnp.float32) * clip_length
    segments = jnp.stack([frames - refined[..., 0], frames + refined[..., 1]], axis=-1)
    scores = jax.nn.softmax(conf)
    if prop_conf is not None:
        scores = (scores + jax.nn.softmax(prop_conf)) / 2
    if center is not None:
        scores = scores * jax.nn.sigmoid(center)[..., None]
    return jnp.clip(segments, 0, clip_length), scores


def decode_streams(
    streams: Sequence[Predictions],
    priors: ArrayLike,
    clip_length: int,
    fusion: str = "mean",
) -> tuple[jax.Array, jax.Array]:
    """Decodes the fused predictions of one or more streams; for a single stream as `decode`.

    Args:
      streams: predictions of each stream, all of one shape.
      priors: [K], fractions of the clip.
      clip_length: T, frames.
      fusion: "mean" averages all raw outputs; "geometric" averages the logits, but takes the
        geometric mean of the streams' decoded segments.

    Returns:
      segments [..., K, 2], frames in [0, T], and scores [..., K, C] in [0, 1], both float32.

    Raises:
      ValueError: an unknown fusion, or no stream.
    """
    if fusion not in ("mean", "geometric"):
        raise ValueError(f"fusion must be mean or geometric, not {fusion!r}")
    if not streams:
        raise ValueError("there must be at least one stream")
    count = len(streams)
    mean = jax.tree.map(lambda *raw: sum(raw) / count, *streams)
    segments, scores = decode(mean, priors, clip_length)
    if fusion == "geometric":
        each = jnp.stack([decode(stream, priors, clip_length)[0] for stream in streams])
        segments = jnp.prod(each, axis=0) ** (1 / count)
    return segments, scores


def candidates_of_window(
    offset: int, segments: ArrayLike, scores: ArrayLike, fps: float, threshold: float
) -> Candidates:
    """Returns the priors of a window that can become detections.

    Args:
      offset: the window's first frame in the video.
      segments: [K, 2], decoded, frames of the window.
      scores: [K, C], decoded; class 0 is the background.
      fps: frames per second.
      threshold: priors without an action's score above it are left out.

    Returns:
      Their segments [R, 2], seconds of the video, and scores [R, C], both float32.
    """
    segments, scores = np.asarray(segments, np.float32), np.asarray(scores, np.float32)
    rows = np.flatnonzero((scores[:, 1:] > threshold).any(-1))
    return (segments[rows] + np.float32(offset)) / np.float32(fps), scores[rows]


def detections_of_video(
    segments: ArrayLike,
    scores: ArrayLike,
    class_names: Sequence[str],
    *,
    score_threshold: float,
    factor: nms.Factor,
    nms_threshold: float,
    max_detections: int,
    voting_tiou: float = 0.0,
    duration_s: float | None = None,
    video_label: VideoLabel | None = None,
) -> list[Detection]:
    """Suppresses, in each class, candidates that overlap better ones.

    Args:
      segments: [R, 2], candidates of all windows of a video, seconds.
      scores: [R, C], of these candidates; class 0 is the background.
      class_names: names of the C-1 actions.
      score_threshold: a candidate counts for a class if its score there is above this.
      factor, nms_threshold, max_detections: arguments of `nms.suppress`, for each class.
      voting_tiou: if positive, segments become means over the candidates of all classes; see
        `nms.vote`.
      duration_s: if given, detections are clipped to [0, duration_s].
      video_label: if given, its class replaces theirs, and its score multiplies theirs.

    Returns:
      The detections by descending score; those of no length are left out.

    Raises:
      ValueError: the number of names does not fit the number of classes.
    """
    segments, scores = np.asarray(segments, np.float32), np.asarray(scores, np.float32)
    if scores.shape[-1] != len(class_names) + 1:
        raise ValueError(f"{len(class_names)} class names for {scores.shape[-1]} scores")
    action_scores = scores[:, 1:]
    counts = action_scores > score_threshold
    rows_of_classes = [np.flatnonzero(column) for column in counts.T]
    suppressed = nms.suppress(
        [segments[rows] for rows in rows_of_classes],
        [action_scores[rows, column] for column, rows in enumerate(rows_of_classes)],
        factor,
        nms_threshold,
        max_detections,
    )
    weights = (action_scores * counts).sum(1)

    detections = []
    for name, rows, (picks, decayed) in zip(class_names, rows_of_classes, suppressed, strict=True):
        picked = segments[rows[picks]]
        if voting_tiou > 0:
            picked = nms.vote(picked, segments, weights, voting_tiou)
        detections += detections_of_class(picked, decayed, name, duration_s, video_label)
    return sorted(detections, key=lambda detection: -detection.score)


def detections_of_class(
    segments: NDArray[np.float32],
    scores: NDArray[np.float32],
    name: str,
    duration_s: float | None,
    video_label: VideoLabel | None,
) -> list[Detection]:
    """Returns the detections of one class, without those of no length.

    Args:
      segments: [M, 2], seconds.
      scores: [M].
      name: name of the class.
      duration_s, video_label: see `detections_of_video`.
    """
    label, factor = video_label or VideoLabel(name, 1.0)
    if duration_s is not None:
        segments = np.clip(segments, 0, duration_s)
    return [
        Detection(label, score * factor, start_s, end_s)
        for (start_s, end_s), score in zip(segments.tolist(), scores.tolist(), strict=True)
        if end_s > start_s
    ]


class Postprocessing:
    """From decoded windows to detections, as a configuration says.

    The configuration is read at each call, so that it may still be changed.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, class_names: Sequence[str], fused: bool = False
    ):
        """Takes the networks' configuration.

        Args:
          config: configuration of the (first) network.
          class_names: names of the C-1 actions.
          fused: whether predictions of two streams are fused, for which other thresholds apply.
        """
        self._data, self._inference = config.data, config.inference
        self._class_names, self._prefix = class_names, "fusion_" if fused else ""

    @property
    def score_threshold(self) -> float:
        """A candidate counts for a class if its score there is above this."""
        return self._inference[f"{self._prefix}score_threshold"]

    @property
    def nms_threshold(self) -> float:
        """Candidates are dropped when their score falls below this."""
        return self._inference[f"{self._prefix}nms_threshold"]

    @property
    def factor(self) -> nms.Factor:
        """The factor by which a candidate's score is multiplied if a better one overlaps it."""
        if self._inference.nms == "plain":
            return nms.plain(self._inference.nms_tiou)
        return nms.gaussian(self._inference.nms_sigma)

    def detections(
        self,
        windows: Sequence[Candidates],
        duration_s: float | None = None,
        video_label: VideoLabel | None = None,
    ) -> list[Detection]:
        """Returns a video's detections, best first.

        Args:
          windows: candidates of each of its windows, at least one.
          duration_s: length of the video, seconds; detections are clipped to it if
            `config.inference.clip_to_video` is set.
          video_label: class and score factor from a video-level classifier.
        """
        inference = self._inference
        segments, scores = (np.concatenate(parts) for parts in zip(*windows, strict=True))
        return detections_of_video(
            segments,
            scores,
            self._class_names,
            score_threshold=self.score_threshold,
            factor=self.factor,
            nms_threshold=self.nms_threshold,
            max_detections=inference.max_detections,
            voting_tiou=inference.voting_tiou,
            duration_s=duration_s if inference.clip_to_video else None,
            video_label=video_label,
        )
