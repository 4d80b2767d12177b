"""From the network's outputs to detections: decoding, fusing streams, soft-NMS.

`decode` and `decode_streams` are JAX and run where the network does; the rest is NumPy and sees
one video at a time. Sources: AFSD §3.4 (decoding), Bodla et al., ICCV 2017 (soft-NMS).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from afsd_jax.types import Detection, Predictions

MIN_WIDTH_S = 1e-5  # the reference implementation's floor of a segment's width in soft-NMS


class VideoLabel(NamedTuple):
    """A video-level classifier's verdict: the class of all its actions and a score factor."""

    label: str
    score: float


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


def soft_nms(
    segments: NDArray[np.floating],
    scores: NDArray[np.floating],
    sigma: float,
    threshold: float,
    max_kept: int,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Gaussian soft non-maximum suppression.

    Repeatedly keeps the highest-scoring candidate and multiplies every other one's score by
    exp(-tIoU² / sigma) of their tIoU, until no score is left that reaches the threshold. (The
    reference implementation stops with one candidate left, which it loses; here it is kept.)

    Args:
      segments: [N, 2], seconds.
      scores: [N].
      sigma: > 0, the width of the Gaussian.
      threshold: candidates whose score is, or falls, below it are dropped.
      max_kept: at most so many are kept.

    Returns:
      The kept candidates' indices [M], in the order of picking (equal scores: the earliest
      first), and their decayed scores [M].
    """
    # By start: whatever overlaps a candidate then lies in one slice around it, so the work per
    # pick does not grow with the length of the video, but for the search of the maximum.
    order = np.argsort(segments[:, 0], kind="stable")
    start, end = np.asarray(segments, np.float32)[order].T.copy()
    score = np.asarray(scores, np.float32)[order].copy()
    score[~(score >= threshold)] = -np.inf
    width = end - start
    longest = np.max(width, initial=0)
    first = np.searchsorted(start, start - longest, side="left")
    last = np.searchsorted(start, end, side="right")

    kept: list[int] = []
    kept_scores: list[np.float32] = []
    while len(kept) < min(max_kept, len(order)):
        top = int(np.argmax(score))
        if score[top] == -np.inf:
            break
        kept.append(top)
        kept_scores.append(score[top])
        score[top] = -np.inf
        near = slice(first[top], last[top])
        overlap = np.minimum(end[near], end[top]) - np.maximum(start[near], start[top])
        overlap = np.maximum(overlap, 0)
        union = max(width[top], np.float32(MIN_WIDTH_S)) + width[near] - overlap
        tiou = np.divide(overlap, union, out=overlap, where=overlap > 0)
        decay = np.exp(-(tiou**2) / np.float32(sigma))
        nearby = score[near]
        np.multiply(nearby, decay, out=nearby, where=nearby > -np.inf)
        nearby[nearby < threshold] = -np.inf
    return order[kept], np.array(kept_scores, np.float32)


def detections_of_video(
    segments: ArrayLike,
    scores: ArrayLike,
    offsets: ArrayLike,
    fps: float,
    class_names: Sequence[str],
    *,
    score_threshold: float,
    nms_sigma: float,
    nms_threshold: float,
    max_detections: int,
    duration_s: float | None = None,
    video_label: VideoLabel | None = None,
) -> list[Detection]:
    """Pools the windows of one video and applies soft-NMS to each class.

    Args:
      segments: [W, K, 2], decoded, frames of their window.
      scores: [W, K, C], decoded; class 0 is the background.
      offsets: [W], the windows' first frames in the video.
      fps: frames per second.
      class_names: the C-1 names of the actions.
      score_threshold: only candidates above it enter soft-NMS.
      nms_sigma, nms_threshold, max_detections: of `soft_nms`, per class.
      duration_s: if given, detections are clipped to [0, duration_s].
      video_label: if given, names every detection, and its score multiplies theirs.

    Returns:
      The detections by descending score; those of no length are left out.

    Raises:
      ValueError: the number of names does not fit the number of classes.
    """
    segments, scores = np.asarray(segments, np.float32), np.asarray(scores, np.float32)
    if scores.shape[-1] != len(class_names) + 1:
        raise ValueError(f"{len(class_names)} class names for {scores.shape[-1]} scores")
    first_frames = np.asarray(offsets, np.float32)[:, None, None]
    seconds = ((segments + first_frames) / np.float32(fps)).reshape(-1, 2)
    scores = scores.reshape(-1, scores.shape[-1])

    detections = []
    for name, class_scores in zip(class_names, scores.T[1:], strict=True):
        candidates = np.flatnonzero(class_scores > score_threshold)
        kept, kept_scores = soft_nms(
            seconds[candidates], class_scores[candidates], nms_sigma, nms_threshold, max_detections
        )
        label, factor = video_label or VideoLabel(name, 1.0)
        ends = seconds[candidates[kept]]
        if duration_s is not None:
            ends = np.clip(ends, 0, duration_s)
        detections += [
            Detection(label, score * factor, start_s, end_s)
            for (start_s, end_s), score in zip(ends.tolist(), kept_scores.tolist(), strict=True)
            if end_s > start_s
        ]
    return sorted(detections, key=lambda detection: -detection.score)
