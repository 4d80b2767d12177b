"""The losses of a batch's two branches: its clips, and their consistency clips (AFSD §3.6)."""

import jax
import jax.numpy as jnp
import ml_collections
from jax.typing import ArrayLike

from afsd_jax.models import PADDING, Network, Outputs, normalise
from afsd_jax.training.feature_cache import split
from afsd_jax.training.losses import losses

Arrays = dict[str, jax.Array]


def compute_losses(
    network: Network,
    batch: Arrays,
    config: ml_collections.ConfigDict,
    is_consistency: ArrayLike | None,
    training: bool = True,
) -> Arrays:
    """Returns the loss terms of a batch's clips, or those of its consistency clips.

    Args:
      network: the network.
      batch: a batch of `TrainingData`, with frames or with a frozen trunk's features of them.
      config: the configuration.
      is_consistency: bool [], or None if there are no consistency clips; see `losses.losses`.
      training: whether batch norm uses the batch's statistics, if it is trained.
    """
    priors = jnp.asarray(network.priors)
    inputs = _inputs(network, batch, config, is_consistency)
    outputs = _outputs(network, batch, config, inputs, training)
    return losses(outputs, is_consistency, batch, priors, network.lengths, config)


def joint_losses(network: Network, batch: Arrays, config: ml_collections.ConfigDict) -> Arrays:
    """Returns the sums of the loss terms of both branches, which pass the network as one batch.

    That is what the calls of `compute_losses` with False and with True add up to, if no norm uses
    the batch's statistics.
    """
    priors = jnp.asarray(network.priors)
    pair = [_inputs(network, batch, config, flag) for flag in (None, True)]
    # A clip lies beside its consistency clip, so that a sharded batch stays where it is.
    inputs = jnp.stack(pair, axis=1).reshape(-1, *pair[0].shape[1:])
    outputs = _outputs(network, batch, config, inputs, training=True)

    def terms(branch: int) -> Arrays:
        part = jax.tree.map(lambda x: x.reshape(-1, 2, *x.shape[1:])[:, branch], outputs)
        return losses(part, bool(branch), batch, priors, network.lengths, config)

    return jax.tree.map(jnp.add, terms(0), terms(1))


def _inputs(
    network: Network,
    batch: Arrays,
    config: ml_collections.ConfigDict,
    is_consistency: ArrayLike | None,
) -> jax.Array:
    """Returns the batch's normalised clips or their features, in the order of a branch."""
    if "features" in batch:
        features = batch["features"]
        if is_consistency is not None:
            unit = network.clip_length // features.shape[1]
            index = batch["consistency_index"][:, ::unit] // unit
            features = _rearranged(features, index, is_consistency)
        return features
    clips = normalise(batch["frames"], batch["num_frames"], PADDING[config.data.train_padding])
    if is_consistency is not None:
        clips = _rearranged(clips, batch["consistency_index"], is_consistency)
    return clips


def _outputs(
    network: Network,
    batch: Arrays,
    config: ml_collections.ConfigDict,
    inputs: jax.Array,
    training: bool,
) -> Outputs:
    if "features" in batch:
        dtype = jnp.dtype(config.model.dtype)
        return network.heads(split(inputs, network.feature_shapes, dtype))
    return network(inputs, training)


def _rearranged(x: jax.Array, index: jax.Array, is_consistency: ArrayLike) -> jax.Array:
    """Returns x [B,T,...] in the order of index [B,T] if `is_consistency`, otherwise as it is."""
    index = jnp.where(is_consistency, index, jnp.arange(x.shape[1]))
    return jax.vmap(lambda clip, source: clip[source])(x, index)


def branches(config: ml_collections.ConfigDict) -> jax.Array | None:
    """Returns `is_consistency` of each branch of the loss, bool [2]; None if there is only one.

    Clips and consistency clips do not depend on each other, so on CPUs the network computes one
    branch after the other, which halves the memory; see also `are_joint`.
    """
    consistency = config.loss.consistency_weight and config.model.refinement
    return jnp.array([False, True]) if consistency else None


def are_joint(config: ml_collections.ConfigDict) -> bool:
    """Returns whether both branches are computed as one batch.

    On GPUs this halves the number of kernels, which limits the speed of small batches. Trained
    norms would mix the statistics of both branches.
    """
    frozen = config.model.batch_norm == "frozen"
    return frozen and jax.default_backend() != "cpu" and branches(config) is not None
