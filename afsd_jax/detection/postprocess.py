"""From the network's outputs to detections: decoding, fusing streams, pooling windows.

`decode` and `decode_streams` are JAX and run where the network does; the rest is NumPy and sees
one video at a time. Source: AFSD §3.4.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from afsd_jax.detection import nms
from afsd_jax.types import Detection, Predictions, VideoLabel


def decode(
    predictions: Predictions, priors: ArrayLike, clip_length: int
) -> tuple[jax.Array, jax.Array]:
    """Turns raw predictions into segments and scores.

    Where the network has no refinement or no quality, coarse predictions or class scores do alone.

    Args:
      predictions: of the network, any leading axes.
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
    """Decodes the fused predictions of one or more streams; of one stream alone it is `decode`.

    Args:
      streams: each stream's predictions, alike in shape.
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


def in_seconds(segments: ArrayLike, offsets: ArrayLike, fps: float) -> NDArray[np.float32]:
    """Returns [W, K, 2], frames of windows that begin at `offsets` [W], as seconds of the video."""
    first_frames = np.asarray(offsets, np.float32)[:, None, None]
    seconds: NDArray[np.float32] = (np.asarray(segments, np.float32) + first_frames) / np.float32(
        fps
    )
    return seconds


def detections_of_video(
    segments: ArrayLike,
    scores: ArrayLike,
    offsets: ArrayLike,
    fps: float,
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
    """Pools the windows of one video and suppresses what is found twice, in each class.

    Args:
      segments: [W, K, 2], decoded, frames of their window.
      scores: [W, K, C], decoded; class 0 is the background.
      offsets: [W], the windows' first frames in the video.
      fps: frames per second.
      class_names: the C-1 names of the actions.
      score_threshold: only candidates above it count.
      factor, nms_threshold, max_detections: of `nms.suppress`, per class.
      voting_tiou: if positive, ends become means of candidates of all classes; see `nms.vote`.
      duration_s: if given, detections are clipped to [0, duration_s].
      video_label: if given, names every detection, and its score multiplies theirs.

    Returns:
      The detections by descending score; those of no length are left out.

    Raises:
      ValueError: the number of names does not fit the number of classes.
    """
    scores = np.asarray(scores, np.float32)
    if scores.shape[-1] != len(class_names) + 1:
        raise ValueError(f"{len(class_names)} class names for {scores.shape[-1]} scores")
    seconds = in_seconds(segments, offsets, fps).reshape(-1, 2)
    of_actions = scores.reshape(-1, scores.shape[-1])[:, 1:]
    counts = of_actions > score_threshold
    candidates = [np.flatnonzero(column) for column in counts.T]
    found = nms.suppress(
        [seconds[rows] for rows in candidates],
        [of_actions[rows, column] for column, rows in enumerate(candidates)],
        factor,
        nms_threshold,
        max_detections,
    )
    weights = (of_actions * counts).sum(1)

    detections = []
    for name, rows, (kept, kept_scores) in zip(class_names, candidates, found, strict=True):
        ends = seconds[rows[kept]]
        if voting_tiou > 0:
            ends = nms.vote(ends, seconds, weights, voting_tiou)
        detections += as_detections(ends, kept_scores, name, duration_s, video_label)
    return sorted(detections, key=lambda detection: -detection.score)


def as_detections(
    ends: NDArray[np.float32],
    scores: NDArray[np.float32],
    name: str,
    duration_s: float | None,
    video_label: VideoLabel | None,
) -> list[Detection]:
    """Returns detections of one class, but for those of no length; see `detections_of_video`.

    Args:
      ends: [M, 2], seconds.
      scores: [M].
      name: of the class.
      duration_s, video_label: as there.
    """
    label, factor = video_label or VideoLabel(name, 1.0)
    if duration_s is not None:
        ends = np.clip(ends, 0, duration_s)
    return [
        Detection(label, score * factor, start_s, end_s)
        for (start_s, end_s), score in zip(ends.tolist(), scores.tolist(), strict=True)
        if end_s > start_s
    ]
