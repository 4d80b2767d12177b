"""The losses. Source: AFSD §3.5; each function gives its formula.

(l, r) are coarse distances with width w = l + r, (l*, r*) their target with width w*. Losses of
predictions stay per prior until `normalised_sum`, which counts positives over the batch or in each
clip. The examples use names of this module.
"""

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jax.typing import ArrayLike

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.models.network import BoundaryFeatures, Outputs
from afsd_jax.models.refinement import frame_regions
from afsd_jax.training.focal_loss import focal_loss
from afsd_jax.training.matching import (
    EPS,
    Targets,
    match,
    prior_length_ranges,
    proposal_labels,
    tiou,
)
from afsd_jax.types import Predictions


def giou_loss(loc: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the GIoU loss [...] of distance pairs [..., 2] from the same prior (AFSD §3.5).

    1 - (tIoU - (hull - union) / hull), hull = max(l, l*) + max(r, r*), union = w + w* - inter,
    inter = min(l, l*) + min(r, r*); hull and union are at least the float32 eps.

    Example:
      >>> loc = jnp.array([[2.0, 2.0], [2.0, 6.0], [0.0, 0.0]])
      >>> giou_loss(loc, jnp.array([2.0, 2.0])).tolist()
      [0.0, 0.5, 1.0]
    """
    hull = jnp.maximum(jnp.maximum(loc, target).sum(-1), EPS)
    union = jnp.maximum(loc.sum(-1) + target.sum(-1) - jnp.minimum(loc, target).sum(-1), EPS)
    return 1 - (tiou(loc, target) - (hull - union) / hull)


def offset_loss(offsets: jax.Array, target: jax.Array, kind: str) -> jax.Array:
    """Returns the loss [...] of offset pairs [..., 2], summed over the pair (AFSD §3.5).

    With the error e, "l1" is |e|; "smooth_l1" is e² / 2 where |e| < 1 and |e| - 1/2 elsewhere.

    Example:
      >>> offsets, target = jnp.array([0.5, 2.0]), jnp.zeros(2)
      >>> tuple(float(offset_loss(offsets, target, kind)) for kind in ("l1", "smooth_l1"))
      (2.5, 1.625)
    """
    if kind == "smooth_l1":
        return optax.losses.huber_loss(offsets, target).sum(-1)
    return abs(offsets - target).sum(-1)


def boundary_loss(features: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the boundary loss of boundary-sensitive features [B,t,C], a scalar (AFSD §3.5).

    The mean of -(y log p + (1 - y) log(1 - p)) over cells, p = mean over channels of tanh(feature),
    y the target; logarithms are at least -100.

    Args:
      features: [B,t,C], boundary-sensitive features.
      target: [B,t], 1 near a boundary, else 0.

    Example:
      >>> features = jnp.arctanh(jnp.array([[[0.9], [0.1]]]))  # one clip, two cells, one channel
      >>> print(f"{boundary_loss(features, jnp.array([[1.0, 0.0]])):.4f}")
      0.1054
    """
    p = jnp.tanh(features).mean(-1)

    def log(x: jax.Array) -> jax.Array:
        # Two wheres, so that the gradient of log 0 is not NaN.
        positive = x > 0
        return jnp.where(positive, jnp.maximum(jnp.log(jnp.where(positive, x, 1)), -100), -100)

    return -(target * log(p) + (1 - target) * log(1 - p)).mean()


def triplet_loss(
    features: jax.Array, segments: jax.Array, divisor: float, margin: float, pooling: str | None
) -> jax.Array:
    """Returns the boundary consistency loss [B] of consistency clips (AFSD §3.6).

    max(|a - p + 1e-6| - |a - n + 1e-6| + margin, 0) with L2 norms over the pooled channels. An
    action is cut in two and background is put between the parts. The end of the first part (anchor
    a) should resemble the start of the second part (positive p), but not the start of the
    background (negative n).

    Args:
      features: [B,t,C], boundary features, start-sensitive half first.
      segments: [B,3,2], first part, second part and background; frames of the clip.
      divisor: frames per cell of `features`.
      margin: margin of the loss.
      pooling: implementation of boundary max pooling; None: the backend's fastest.

    Example:
      >>> segments = jnp.array([[[0.0, 8.0], [16.0, 24.0], [8.0, 16.0]]])
      >>> features = jnp.ones((1, 32, 4))  # alike everywhere: the loss is the margin
      >>> triplet_loss(features, segments, divisor=1.0, margin=0.5, pooling="xla").tolist()
      [0.5]
    """
    regions = frame_regions(segments[..., 0], segments[..., 1]) / divisor
    pooled = boundary_max_pooling(features, regions, pooling)
    start, end = jnp.split(pooled, 2, axis=-1)
    anchor, positive, negative = end[:, 0], start[:, 1], start[:, 2]

    def distance(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.linalg.norm(a - b + 1e-6, axis=-1)

    return jnp.maximum(distance(anchor, positive) - distance(anchor, negative) + margin, 0)


def normalised_sum(terms: jax.Array, positive: jax.Array, normalise: str) -> jax.Array:
    """Sums per-prior terms [B,K] and divides by the number of positives, at least 1.

    `normalise` is "batch": sum / N over the batch; or "clip": the mean of each clip's sum / N.

    Example:
      >>> terms = jnp.array([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
      >>> positive = jnp.array([[True, True, True], [True, False, False]])
      >>> [float(normalised_sum(terms, positive, by)) for by in ("batch", "clip")]
      [2.5, 3.0]
    """
    if normalise == "batch":
        return terms.sum() / jnp.maximum(positive.sum(), 1)
    return (terms.sum(-1) / jnp.maximum(positive.sum(-1), 1)).mean()


def detection_losses(
    predictions: Predictions,
    targets: Targets,
    loss: ml_collections.ConfigDict,
    matching: ml_collections.ConfigDict,
) -> dict[str, jax.Array]:
    """Returns the losses of coarse and refined predictions by name, scalars (AFSD §3.5).

    N counts positive priors, PN positive proposals (see `normalised_sum`):
      loc: GIoU loss over positive priors / N.
      conf: focal loss over all priors / N.
      prop_loc: offset loss over positive proposals / PN; target (l* - l) / (w / 2), the same for r.
      prop_conf: focal loss over all proposals / PN.
      center: binary cross-entropy over positive priors / N. Its target is the tIoU, at least 0, of
        the refined distances l + (w / 2) prop_loc (the same for r). Gradients flow through it.
    Terms of predictions that the network does not make are 0.

    Args:
      predictions, targets: predictions [B,K,...], and the targets of the priors.
      loss, matching: these sections of the configuration.

    Example:
      >>> from afsd_jax.config import default_config
      >>> target = Targets(jnp.array([[[2.0, 2.0], [0.0, 0.0]]]), jnp.array([[1, 0]]))
      >>> exact = Predictions(target.loc, jnp.zeros((1, 2, 2)), None, None, None)
      >>> config = default_config()
      >>> print(f"{detection_losses(exact, target, config.loss, config.matching)['conf']:.3f}")
      0.173
    """
    prior_positive = targets.labels > 0
    loc, conf, prop_loc, prop_conf, center = predictions

    def total(terms: jax.Array, counted: jax.Array, where: jax.Array | None = None) -> jax.Array:
        terms = terms if where is None else jnp.where(where, terms, 0)
        return normalised_sum(terms, counted, loss.normalise)

    # Targets of unmatched priors can be huge; keep them out of the gradient, not only of the sum.
    safe_target = jnp.where(prior_positive[..., None], targets.loc, 1.0)
    focal = (loss.focal_alpha, loss.focal_gamma, loss.label_smoothing)
    terms = {
        "loc": total(giou_loss(loc, safe_target), prior_positive, prior_positive),
        "conf": total(focal_loss(conf, targets.labels, *focal), prior_positive),
        **dict.fromkeys(("prop_loc", "prop_conf", "center"), jnp.zeros(())),
    }
    refined = loc
    if prop_loc is not None and prop_conf is not None:
        labels = proposal_labels(loc, targets, matching.proposal_tiou, matching.proposal_best)
        positive = labels > 0
        half_width = 0.5 * loc.sum(-1, keepdims=True)
        coarse, coarse_half_width = jax.lax.stop_gradient((loc, half_width))
        offset_target = (targets.loc - coarse) / jnp.maximum(coarse_half_width, EPS)
        refined = loc + half_width * prop_loc
        offsets = offset_loss(prop_loc, offset_target, loss.offset)
        terms["prop_loc"] = total(offsets, positive, positive)
        terms["prop_conf"] = total(focal_loss(prop_conf, labels, *focal), positive)
    if center is not None:
        quality = jnp.maximum(tiou(refined, safe_target), 0)
        quality_loss = optax.losses.sigmoid_binary_cross_entropy(center, quality)
        terms["center"] = total(quality_loss, prior_positive, prior_positive)
    return terms


def boundary_losses(
    boundary: BoundaryFeatures, start_target: jax.Array, end_target: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the start and end losses, scalars (AFSD §3.5).

    The boundary loss of the frame-level half, plus 0.1 times that of level 0's halves for loc and
    conf, whose target is taken at every (T / t)-th frame.

    Args:
      boundary: boundary features.
      start_target, end_target: [B,T], 1 near a boundary, else 0.

    Example:
      >>> features = jnp.full((1, 4, 2), jnp.arctanh(0.5))  # 0.5 everywhere: log 2 in each cell
      >>> target = jnp.array([[1.0, 0.0, 0.0, 0.0]])
      >>> both = boundary_losses(BoundaryFeatures(features, features, features), target, 1 - target)
      >>> [round(float(loss), 4) for loss in both]  # (1 + 0.1 + 0.1) log 2
      [0.8318, 0.8318]
    """
    step = start_target.shape[1] // boundary.level_loc.shape[1]
    levels = (boundary.level_loc, boundary.level_conf)

    def loss(half: int, target: jax.Array) -> jax.Array:
        def of(features: jax.Array) -> jax.Array:
            return jnp.split(features, 2, axis=-1)[half]

        fine = boundary_loss(of(boundary.frame_level), target)
        coarse = sum(boundary_loss(of(level), target[:, ::step]) for level in levels)
        return fine + 0.1 * coarse

    return loss(0, start_target), loss(1, end_target)


def consistency_loss(
    boundary: BoundaryFeatures,
    segments: jax.Array,
    mask: jax.Array,
    stride: float,
    margin: float,
    pooling: str | None = None,
) -> jax.Array:
    """Returns the mean triplet loss of the consistency clips of a batch (AFSD §3.6); 0 without any.

    The loss of a clip is that of frame_level + 0.1 times those of level_loc and level_conf.

    Args:
      boundary: features of the consistency clips.
      segments: [B,3,2], frames; see `triplet_loss`.
      mask: bool [B], whether a clip has a consistency clip.
      stride: frames per cell when level 0 is pooled.
      margin, pooling: see `triplet_loss`.

    Example:
      >>> segments = jnp.array([[[0.0, 8.0], [16.0, 24.0], [8.0, 16.0]]] * 2)
      >>> features = BoundaryFeatures(*[jnp.ones((2, size, 4)) for size in (32, 8, 8)])
      >>> mask = jnp.array([True, False])
      >>> print(f"{consistency_loss(features, segments, mask, 4.0, 0.5, 'xla'):.4f}")  # 1.2 margins
      0.6000
    """

    def loss(features: jax.Array, divisor: float) -> jax.Array:
        return triplet_loss(features, segments, divisor, margin, pooling)

    terms = loss(boundary.frame_level, 1) + 0.1 * (
        loss(boundary.level_loc, stride) + loss(boundary.level_conf, stride)
    )
    return jnp.where(mask, terms, 0).sum() / jnp.maximum(mask.sum(), 1)


def losses(
    outputs: Outputs,
    is_consistency: ArrayLike | None,
    batch: dict[str, jax.Array],
    priors: jax.Array,
    lengths: tuple[int, ...],
    config: ml_collections.ConfigDict,
) -> dict[str, jax.Array]:
    """Returns all eight loss terms and their weighted `total`; scalars, float32.

    total = loc_weight (loc + prop_loc) + conf_weight (conf + prop_conf + center)
    + boundary_weight (start + end) + consistency_weight triplet.

    Args:
      outputs: outputs for the batch's clips or for its consistency clips. Without boundary
        features there are no start, end and triplet losses.
      is_consistency: bool [], whether the outputs are for consistency clips, which have the triplet
        loss alone; clips have all other losses. None: for clips, without consistency clips.
      batch: `segments` [B,M,2] frames, `labels` [B,M], `start_target`, `end_target` [B,T],
        `consistency_segments` [B,3,2], `consistency_mask` [B].
      priors: [K], fractions of the clip; lengths: number of cells of each level.
      config: the configuration.

    Example:
      >>> from afsd_jax.config import default_config
      >>> batch = {"segments": jnp.array([[[64.0, 192.0]]]), "labels": jnp.array([[1]])}
      >>> exact = Predictions(jnp.full((1, 1, 2), 64.0), jnp.zeros((1, 1, 2)), None, None, None)
      >>> config, outputs = default_config(), Outputs(exact, boundary=None)
      >>> print(f"{losses(outputs, None, batch, jnp.array([0.5]), (1,), config)['total']:.3f}")
      0.130
    """
    loss = config.loss
    ranges = prior_length_ranges(config.matching.length_ranges, lengths)
    targets = match(priors, batch["segments"], batch["labels"], config.data.clip_length, ranges)
    terms = detection_losses(outputs.predictions, targets, loss, config.matching)
    terms |= dict.fromkeys(("start", "end", "triplet"), jnp.zeros(()))
    if outputs.boundary is not None:
        terms["start"], terms["end"] = boundary_losses(
            outputs.boundary,
            batch["start_target"].astype(jnp.float32),
            batch["end_target"].astype(jnp.float32),
        )
    if outputs.boundary is not None and is_consistency is not None:
        triplet = consistency_loss(
            outputs.boundary,
            batch["consistency_segments"],
            batch["consistency_mask"],
            config.model.consistency_stride,
            loss.margin,
            config.model.pooling or None,
        )
        terms = {name: jnp.where(is_consistency, 0, term) for name, term in terms.items()}
        terms["triplet"] = jnp.where(is_consistency, triplet, 0)
    return terms | {"total": _weighted_total(terms, loss)}


def _weighted_total(terms: dict[str, jax.Array], loss: ml_collections.ConfigDict) -> jax.Array:
    return (
        loss.loc_weight * (terms["loc"] + terms["prop_loc"])
        + loss.conf_weight * (terms["conf"] + terms["prop_conf"] + terms["center"])
        + loss.boundary_weight * (terms["start"] + terms["end"])
        + loss.consistency_weight * terms["triplet"]
    )
