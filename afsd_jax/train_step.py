"""One optimiser step over a sharded batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx

from afsd_jax.compiling import compiled
from afsd_jax.losses import losses
from afsd_jax.models import PADDING, Network, normalise
from afsd_jax.optimizer import B1, is_trunk
from afsd_jax.trunk_features import split
from afsd_jax.weights import parameters


class TrainState(NamedTuple):
    """Everything a run consists of; flat dictionaries of arrays, the optimiser's tree aside.

    trainable: the weights that learn; fixed: frozen weights and running statistics; ema: averages
    of those that learn, or none.
    """

    step: jax.Array
    trainable: dict[str, jax.Array]
    fixed: dict[str, jax.Array]
    opt_state: optax.OptState
    ema: dict[str, jax.Array]

    @property
    def weights(self) -> dict[str, jax.Array]:
        """The weights to detect with."""
        return {**self.trainable, **self.fixed, **self.ema}


def init_state(
    network: Network, optimizer: optax.GradientTransformation, averaged: bool = False
) -> TrainState:
    """Returns the state of a run that begins with the network's present weights."""
    learns = set(parameters.names(network, nnx.Param))
    every = parameters.flatten(network)
    trainable = {name: value for name, value in every.items() if name in learns}
    fixed = {name: value for name, value in every.items() if name not in learns}
    # Copies, for a step is given its whole state to write over.
    average = jax.tree.map(jnp.array, trainable) if averaged else {}
    step = jnp.zeros((), jnp.int32)
    return TrainState(step, trainable, fixed, optimizer.init(trainable), average)


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


Step = Callable[
    [TrainState, dict[str, jax.Array]],
    tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]],
]


def make_train_step(
    network: Network, optimizer: optax.GradientTransformation, config: ml_collections.ConfigDict
) -> Step:
    """Returns the step: (state, batch) → (new state, loss terms before the step, health).

    It is compiled at its first call. The batch may be sharded along its first axis. With
    train.accumulate it is worked on in parts, whose losses and gradients are averaged.

    health: `finite`, whether loss and gradient are (else the state stays as it was, but for the
    step's number), and the norms `gradient_norm/trunk`, `update_norm/heads`, `weight_norm/…`.
    """
    template = nnx.eval_shape(lambda: network)
    parts, ema = config.train.accumulate, config.optimizer.ema

    def loss(
        trainable: dict[str, Any], fixed: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[jax.Array, tuple[dict[str, Any], dict[str, Any]]]:
        model = parameters.replace(template, {**trainable, **fixed})
        terms = compute_losses(model, batch, config)
        after = parameters.flatten(model)
        return terms["total"], (terms, {name: after[name] for name in fixed})

    def gradients(state: TrainState, batch: dict[str, jax.Array]) -> tuple[Any, Any, Any]:
        """Returns the gradient, the loss terms and the running statistics after the batch."""
        gradient = jax.grad(loss, has_aux=True)
        if parts == 1:
            grads, (terms, fixed) = gradient(state.trainable, state.fixed, batch)
            return grads, terms, fixed
        # Every parts-th clip goes to the same part, so that no device sends any.
        pieces = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

        def add(carry: tuple[Any, Any], part: dict[str, jax.Array]) -> tuple[Any, Any]:
            total, fixed = carry
            grads, (terms, fixed) = gradient(state.trainable, fixed, part)
            return (jax.tree.map(lambda a, b: a + b / parts, total, grads), fixed), terms

        zeros = jax.tree.map(jnp.zeros_like, state.trainable)
        (grads, fixed), terms = jax.lax.scan(add, (zeros, state.fixed), pieces)
        return grads, jax.tree.map(lambda x: x.mean(0), terms), fixed

    def advance(
        state: TrainState, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        grads, terms, fixed = gradients(state, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, updates)
        return TrainState(state.step + 1, trainable, fixed, opt_state, state.ema), terms

    def judge(
        before: TrainState, after: TrainState, total: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        average = {
            name: ema * value + (1 - ema) * after.trainable[name]
            for name, value in before.ema.items()
        }
        after = after._replace(ema=average)
        finite = jnp.isfinite(total)
        for value in jax.tree.leaves(after):  # Adam's moments pass on what the gradient has
            finite &= jnp.isfinite(value).all()
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
        trees = {
            "gradient": gradient_seen(before, after, config.optimizer),
            "update": jax.tree.map(jnp.subtract, after.trainable, before.trainable),
            "weight": after.trainable,
        }
        norms = {
            f"{name}_norm/{part}": norm({k: v for k, v in tree.items() if is_trunk(k) == trunk})
            for name, tree in trees.items()
            for part, trunk in (("trunk", True), ("heads", False))
        }
        return kept._replace(step=after.step), {"finite": finite, **norms}

    # Two programs: what is said of a step must not change, by other fusions, how it is rounded.
    advance_jit, judge_jit = compiled(advance), compiled(judge, donate_argnums=1)

    def step(
        state: TrainState, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
        after, terms = advance_jit(state, batch)
        state, health = judge_jit(state, after, terms["total"])
        return state, terms, health

    return step


def gradient_seen(
    before: TrainState, after: TrainState, optimizer: ml_collections.ConfigDict
) -> dict[str, jax.Array]:
    """Returns the gradient of a step, clipped if it was, from Adam's first moments around it."""
    old, new = (optax.tree_utils.tree_get(state.opt_state, "mu") for state in (before, after))
    # Adam, unlike AdamW, sees the decay as part of the gradient.
    decay = optimizer.weight_decay if optimizer.name == "adam" else 0.0
    return {
        name: (new[name] - B1 * old[name]) / (1 - B1) - decay * weight
        for name, weight in before.trainable.items()
    }


def norm(tree: dict[str, jax.Array]) -> jax.Array:
    """Returns the L2 norm of all values together."""
    return jnp.sqrt(sum((jnp.square(x).sum() for x in tree.values()), jnp.zeros(())))
