"""Ground truth → targets of each prior and each proposal. Source: AFSD §3.5.

Distances are (left, right) pairs in frames, both measured from a prior outwards.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

EPS = np.finfo(np.float32).eps


class Targets(NamedTuple):
    """Targets of priors.

    loc: [B,K,2] distances to the ends of the matched action, frames.
    labels: int32 [B,K], 0 without a matched action.
    """

    loc: jax.Array
    labels: jax.Array


def prior_length_ranges(length_ranges: tuple, lengths: tuple[int, ...]) -> np.ndarray | None:
    """Repeats each level's (above, up to) pair, in frames, for its priors: [K,2], or None."""
    if not length_ranges:
        return None
    return np.repeat(np.asarray(length_ranges, np.float32), lengths, axis=0)


def match(
    priors: jax.Array,
    segments: jax.Array,
    labels: jax.Array,
    clip_length: int,
    length_ranges: np.ndarray | None = None,
) -> Targets:
    """Matches each prior with the shortest action that contains it, the first among equals.

    Args:
      priors: [K], fractions of the clip.
      segments: [B,M,2], (start, end) of actions, frames.
      labels: int32 [B,M], 0 where there is no action.
      clip_length: frames.
      length_ranges: [K,2], frames, or None; an action is a candidate only if the distance of its
        farther end lies in (range[0], range[1]].
    """
    centre = priors[:, None] * clip_length
    distances = jnp.stack(
        [centre - segments[:, None, :, 0], segments[:, None, :, 1] - centre], axis=-1
    )  # [B,K,M,2]
    candidate = (labels[:, None, :] > 0) & (distances >= 0).all(-1)
    if length_ranges is not None:
        farther = distances.max(-1)
        candidate &= (farther > length_ranges[:, :1]) & (farther <= length_ranges[:, 1:])
    length = jnp.where(candidate, (segments[..., 1] - segments[..., 0])[:, None], jnp.inf)
    best = length.argmin(-1)
    loc = jnp.take_along_axis(distances, best[..., None, None], axis=2)[:, :, 0]
    matched = jnp.take_along_axis(labels, best, axis=1)
    return Targets(loc, jnp.where(candidate.any(-1), matched, 0))


def tiou(loc: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the temporal IoU [...] of distance pairs [..., 2] from the same prior."""
    intersection = jnp.minimum(loc, target).sum(-1)
    union = loc.sum(-1) + target.sum(-1) - intersection
    return intersection / jnp.maximum(union, EPS)


def proposal_labels(loc: jax.Array, targets: Targets, min_tiou: float, best: bool) -> jax.Array:
    """Returns the labels [B,K] of coarse proposals: the prior's label, or 0 if the tIoU is too low.

    Args:
      loc: [B,K,2], coarse distances.
      targets: targets of the priors.
      min_tiou: a proposal is positive if its tIoU with its action is at least this.
      best: True: if the highest tIoU of the clip's positive priors is lower, it is the limit
        instead.
    """
    positive = targets.labels > 0
    overlap = jax.lax.stop_gradient(tiou(loc, targets.loc))
    threshold = jnp.full(loc.shape[0], min_tiou)
    if best:
        threshold = jnp.minimum(threshold, jnp.where(positive, overlap, -jnp.inf).max(-1))
    good = overlap >= threshold[:, None]
    return jnp.where(positive & good, targets.labels, 0)
