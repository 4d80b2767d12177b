"""Targets and outputs → scalars. Source: AFSD §3.5; each function names its equation or rule.

Losses of predictions keep their per-prior terms until `normalised_sum`, so that counting positives
over the batch and over each clip are one path.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.matching import EPS, Targets, match, prior_length_ranges, proposal_labels, tiou
from afsd_jax.models.network import Outputs
from afsd_jax.models.refinement import frame_regions


def giou_loss(loc: jax.Array, target: jax.Array) -> jax.Array:
    """Returns 1 - GIoU [...] of distance pairs [..., 2] around one prior."""
    hull = jnp.maximum(jnp.maximum(loc, target).sum(-1), EPS)
    union = jnp.maximum(loc.sum(-1) + target.sum(-1) - jnp.minimum(loc, target).sum(-1), EPS)
    return 1 - (tiou(loc, target) - (hull - union) / hull)


def focal_loss(logits: jax.Array, labels: jax.Array, alpha: float, gamma: float) -> jax.Array:
    """Returns the softmax focal loss [...] of logits [..., C] against labels [...].

    -w (1 - p)^gamma log p, p = softmax + 1e-6, w = alpha for actions and 1 - alpha for class 0.
    """
    chosen = jnp.take_along_axis(jax.nn.softmax(logits), labels[..., None], axis=-1)[..., 0]
    p = chosen + 1e-6
    weight = jnp.where(labels > 0, alpha, 1 - alpha)
    return -weight * (1 - p) ** gamma * jnp.log(p)


def offset_loss(offsets: jax.Array, target: jax.Array, kind: str) -> jax.Array:
    """Returns the "l1" or "smooth_l1" (beta 1) loss [...] of offset pairs [..., 2], summed."""
    if kind == "smooth_l1":
        return optax.losses.huber_loss(offsets, target).sum(-1)
    return abs(offsets - target).sum(-1)


def boundary_loss(features: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the mean binary cross-entropy of boundary-sensitive features [B,t,C].

    The probability is the mean of tanh over the channels; logarithms are cut at -100.

    Args:
      target: [B,t] 1 near a boundary, else 0.
    """
    p = jnp.tanh(features).mean(-1)

    def log(x: jax.Array) -> jax.Array:
        # A double where, so that the gradient of log 0 is no NaN.
        positive = x > 0
        return jnp.where(positive, jnp.maximum(jnp.log(jnp.where(positive, x, 1)), -100), -100)

    return -(target * log(p) + (1 - target) * log(1 - p)).mean()


def triplet_loss(
    features: jax.Array, segments: jax.Array, divisor: float, margin: float, pooling: str | None
) -> jax.Array:
    """Returns the boundary consistency loss [B] of consistency clips (AFSD §3.6).

    Two parts of one cut action should meet alike, and unlike the background put between them: the
    end of the first part is the anchor, the start of the second the positive, the start of the
    background the negative.

    Args:
      features: [B,t,C] boundary features, start-sensitive half first.
      segments: [B,3,2] first part, second part, background; frames of the clip.
      divisor: frames per cell of `features`.
    """
    regions = frame_regions(segments[..., 0], segments[..., 1]) / divisor
    pooled = boundary_max_pooling(features, regions, pooling)
    start, end = jnp.split(pooled, 2, axis=-1)
    anchor, positive, negative = end[:, 0], start[:, 1], start[:, 2]

    def distance(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.linalg.norm(a - b + 1e-6, axis=-1)

    return jnp.maximum(distance(anchor, positive) - distance(anchor, negative) + margin, 0)


def normalised_sum(terms: jax.Array, positive: jax.Array, normalise: str) -> jax.Array:
    """Sums per-prior terms [B,K] over the number of positives (at least 1).

    `normalise` is "batch": one count over the batch; or "clip": each clip by its own, then a mean.
    """
    if normalise == "batch":
        return terms.sum() / jnp.maximum(positive.sum(), 1)
    return (terms.sum(-1) / jnp.maximum(positive.sum(-1), 1)).mean()


class DetectionLosses(NamedTuple):
    """The five losses of the predictions; scalars."""

    loc: jax.Array
    conf: jax.Array
    prop_loc: jax.Array
    prop_conf: jax.Array
    center: jax.Array


def detection_losses(
    outputs: Outputs,
    targets: Targets,
    loss: ml_collections.ConfigDict,
    matching: ml_collections.ConfigDict,
) -> DetectionLosses:
    """Returns the losses of coarse and refined predictions (AFSD Eq. 7-10).

    Args:
      outputs: only its first five fields are used.
      targets: of the priors.
      loss, matching: those parts of the configuration.
    """
    prior_positive = targets.labels > 0
    labels = proposal_labels(outputs.loc, targets, matching.proposal_tiou, matching.proposal_best)
    positive = labels > 0

    def total(terms: jax.Array, counted: jax.Array, where: jax.Array | None = None) -> jax.Array:
        terms = terms if where is None else jnp.where(where, terms, 0)
        return normalised_sum(terms, counted, loss.normalise)

    half_width = 0.5 * outputs.loc.sum(-1, keepdims=True)
    coarse_half_width = jax.lax.stop_gradient(half_width)
    coarse = jax.lax.stop_gradient(outputs.loc)
    offset_target = (targets.loc - coarse) / jnp.maximum(coarse_half_width, EPS)
    refined = outputs.loc + half_width * outputs.prop_loc
    # Unmatched priors have targets far away; keep them out of the gradient, not only of the sum.
    safe_target = jnp.where(prior_positive[..., None], targets.loc, 1.0)
    quality = jnp.maximum(tiou(refined, safe_target), 0)
    focal = (loss.focal_alpha, loss.focal_gamma)
    return DetectionLosses(
        loc=total(giou_loss(outputs.loc, safe_target), prior_positive, prior_positive),
        conf=total(focal_loss(outputs.conf, targets.labels, *focal), prior_positive),
        prop_loc=total(
            offset_loss(outputs.prop_loc, offset_target, loss.offset), positive, positive
        ),
        prop_conf=total(focal_loss(outputs.prop_conf, labels, *focal), positive),
        center=total(
            optax.losses.sigmoid_binary_cross_entropy(outputs.center, quality),
            prior_positive,
            prior_positive,
        ),
    )


def boundary_losses(
    outputs: Outputs, start_target: jax.Array, end_target: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the start and end losses of the frame-level and level-0 features.

    Args:
      start_target, end_target: [B,T] 1 near a boundary, else 0.
    """
    step = start_target.shape[1] // outputs.level_loc.shape[1]
    levels = (outputs.level_loc, outputs.level_conf)

    def loss(half: int, target: jax.Array) -> jax.Array:
        def of(features: jax.Array) -> jax.Array:
            return jnp.split(features, 2, axis=-1)[half]

        fine = boundary_loss(of(outputs.frame_level), target)
        coarse = sum(boundary_loss(of(level), target[:, ::step]) for level in levels)
        return fine + 0.1 * coarse

    return loss(0, start_target), loss(1, end_target)


def consistency_loss(
    outputs: Outputs,
    segments: jax.Array,
    mask: jax.Array,
    stride: float,
    margin: float,
    pooling: str | None = None,
) -> jax.Array:
    """Returns the mean triplet loss of the consistency clips of a batch; 0 if there is none.

    Args:
      outputs: of the consistency clips.
      segments: [B,3,2] frames; mask: bool [B], whether there is such a clip.
      stride: frames per cell at which level 0 is pooled.
    """

    def loss(features: jax.Array, divisor: float) -> jax.Array:
        return triplet_loss(features, segments, divisor, margin, pooling)

    terms = loss(outputs.frame_level, 1) + 0.1 * (
        loss(outputs.level_loc, stride) + loss(outputs.level_conf, stride)
    )
    return jnp.where(mask, terms, 0).sum() / jnp.maximum(mask.sum(), 1)


def losses(
    outputs: Outputs,
    consistency_outputs: Outputs | None,
    batch: dict[str, jax.Array],
    priors: jax.Array,
    lengths: tuple[int, ...],
    config: ml_collections.ConfigDict,
) -> dict[str, jax.Array]:
    """Returns all eight loss terms and their weighted `total`; scalars, float32.

    Args:
      outputs, consistency_outputs: of the batch's clips and of its consistency clips; without
        the latter the triplet loss is 0.
      batch: `segments` [B,M,2] frames, `labels` [B,M], `start_target`, `end_target` [B,T],
        `consistency_segments` [B,3,2], `consistency_mask` [B].
      priors: [K]; lengths: cells of each level.
      config: the whole configuration.
    """
    loss = config.loss
    ranges = prior_length_ranges(config.matching.length_ranges, lengths)
    targets = match(priors, batch["segments"], batch["labels"], config.data.clip_length, ranges)
    terms = detection_losses(outputs, targets, loss, config.matching)._asdict()
    terms["start"], terms["end"] = boundary_losses(
        outputs,
        batch["start_target"].astype(jnp.float32),
        batch["end_target"].astype(jnp.float32),
    )
    terms["triplet"] = jnp.zeros(())
    if consistency_outputs is not None:
        terms["triplet"] = consistency_loss(
            consistency_outputs,
            batch["consistency_segments"],
            batch["consistency_mask"],
            config.model.consistency_stride,
            loss.margin,
            config.model.pooling or None,
        )
    terms["total"] = (
        loss.loc_weight * (terms["loc"] + terms["prop_loc"])
        + loss.conf_weight * (terms["conf"] + terms["prop_conf"] + terms["center"])
        + loss.boundary_weight * (terms["start"] + terms["end"])
        + loss.consistency_weight * terms["triplet"]
    )
    return terms
