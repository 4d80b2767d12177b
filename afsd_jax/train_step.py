"""One optimiser step over a sharded batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx

from afsd_jax.losses import losses
from afsd_jax.models import Network, normalise
from afsd_jax.trunk_features import split
from afsd_jax.weights import parameters

PADDING = {"black": -1.0, "grey": 0.0}


class TrainState(NamedTuple):
    """Everything a run consists of; flat dictionaries of arrays, the optimiser's tree aside.

    trainable: the weights that learn; fixed: frozen weights and running statistics.
    """

    step: jax.Array
    trainable: dict[str, jax.Array]
    fixed: dict[str, jax.Array]
    opt_state: optax.OptState


def init_state(network: Network, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state of a run that begins with the network's present weights."""
    learns = set(parameters.names(network, nnx.Param))
    every = parameters.flatten(network)
    trainable = {name: value for name, value in every.items() if name in learns}
    fixed = {name: value for name, value in every.items() if name not in learns}
    return TrainState(jnp.zeros((), jnp.int32), trainable, fixed, optimizer.init(trainable))


def consistency_frames(frames: jax.Array, index: jax.Array) -> jax.Array:
    """Rearranges frames [B,T,...] to the consistency clips that `index` [B,T] describes."""
    return jax.vmap(lambda clip, source: clip[source])(frames, index)


def compute_losses(
    network: Network, batch: dict[str, jax.Array], config: ml_collections.ConfigDict
) -> dict[str, jax.Array]:
    """Returns the loss terms of a batch as the pipeline gives it; see `losses.losses`.

    Of frames, or of a frozen trunk's features of them, which have no consistency loss.
    """
    priors = jnp.asarray(network.priors)
    if "features" in batch:
        dtype = jnp.dtype(config.model.dtype)
        outputs = network.heads(split(batch["features"], network.feature_shapes, dtype))
        return losses(outputs, None, batch, priors, network.lengths, config)
    clips = normalise(batch["frames"], batch["num_frames"], PADDING[config.data.train_padding])
    if config.loss.consistency_weight:
        # One pass over both: each clip beside its consistency clip, so that no device sends one.
        pairs = jnp.stack([clips, consistency_frames(clips, batch["consistency_index"])], axis=1)
        both = network(pairs.reshape(-1, *clips.shape[1:]), training=True)
        outputs = jax.tree.map(lambda x: x[0::2], both)
        consistency = jax.tree.map(lambda x: x[1::2], both)
    else:
        outputs, consistency = network(clips, training=True), None
    return losses(outputs, consistency, batch, priors, network.lengths, config)


Step = Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, dict[str, jax.Array]]]


def make_train_step(
    network: Network, optimizer: optax.GradientTransformation, config: ml_collections.ConfigDict
) -> Step:
    """Returns the jitted step: (state, batch) → (new state, loss terms before the step).

    The batch may be sharded along its first axis; the state is donated.
    """
    template = nnx.eval_shape(lambda: network)

    def loss(
        trainable: dict[str, Any], fixed: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[jax.Array, tuple[dict[str, Any], dict[str, Any]]]:
        model = parameters.replace(template, {**trainable, **fixed})
        terms = compute_losses(model, batch, config)
        after = parameters.flatten(model)
        return terms["total"], (terms, {name: after[name] for name in fixed})

    def step(
        state: TrainState, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        grads, (terms, fixed) = jax.grad(loss, has_aux=True)(state.trainable, state.fixed, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, updates)
        return TrainState(state.step + 1, trainable, fixed, opt_state), terms

    return jax.jit(step, donate_argnums=0)
