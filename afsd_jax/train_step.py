"""One optimiser step over a sharded batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.sharding import Mesh

from afsd_jax.compiling import compiled
from afsd_jax.losses import losses
from afsd_jax.models import PADDING, Network, normalise
from afsd_jax.optimizer import is_trunk
from afsd_jax.sharding import shares, whole
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
    network: Network,
    batch: dict[str, jax.Array],
    config: ml_collections.ConfigDict,
    training: bool = True,
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
    if config.loss.consistency_weight and config.model.refinement:
        # One pass over both: each clip beside its consistency clip, so that no device sends one.
        pairs = jnp.stack([clips, consistency_frames(clips, batch["consistency_index"])], axis=1)
        both = network(pairs.reshape(-1, *clips.shape[1:]), training)
        outputs = jax.tree.map(lambda x: x[0::2], both)
        consistency = jax.tree.map(lambda x: x[1::2], both)
    else:
        outputs, consistency = network(clips, training), None
    return losses(outputs, consistency, batch, priors, network.lengths, config)


Step = Callable[
    [TrainState, dict[str, jax.Array]],
    tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]],
]


def make_train_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    config: ml_collections.ConfigDict,
    mesh: Mesh | None = None,
) -> Step:
    """Returns the step: (state, batch) → (new state, loss terms before the step, health).

    It is compiled at its first call and takes the state's buffers for the new one: what was given
    cannot be used again. The batch may be sharded along its first axis. With train.accumulate it is
    worked on in parts, whose losses and gradients are averaged. With train.shard_state the state
    lies in shares on the devices of `mesh` (see `sharding.place`), and stays so.

    health: `finite`, whether loss and gradient are (else the state stays as it was, but for the
    step's number), and the norms `gradient_norm/trunk`, `update_norm/heads`, `weight_norm/…`.
    """
    template = nnx.eval_shape(lambda: network)
    parts, ema, limit = config.train.accumulate, config.optimizer.ema, config.optimizer.clip_norm
    shared = mesh if config.train.shard_state else None

    def gathered(tree: Any) -> Any:
        return tree if shared is None else jax.lax.with_sharding_constraint(tree, whole(shared))

    def in_shares(tree: Any) -> Any:
        if shared is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, shares(tree, shared))

    def loss(
        trainable: dict[str, Any], fixed: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[jax.Array, tuple[dict[str, Any], dict[str, Any]]]:
        model = parameters.replace(template, {**trainable, **fixed})
        terms = compute_losses(model, batch, config)
        after = parameters.flatten(model)
        moved = {name: after[name] for name in fixed if after[name] is not fixed[name]}
        return terms["total"], (terms, moved)

    def gradients(
        trainable: dict[str, Any], fixed: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[Any, Any, Any]:
        """Returns the gradient, the loss terms and the running statistics after the batch."""
        gradient = jax.grad(loss, has_aux=True)
        trainable, fixed = gathered((trainable, fixed))
        if parts == 1:
            grads, (terms, moved) = gradient(trainable, fixed, batch)
            return in_shares(grads), terms, in_shares(moved)
        # Every parts-th clip goes to the same part, so that no device sends any.
        pieces = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

        def add(carry: tuple[Any, Any], part: dict[str, jax.Array]) -> tuple[Any, Any]:
            total, fixed = carry
            grads, (terms, moved) = gradient(trainable, fixed, part)
            total = jax.tree.map(lambda a, b: a + b / parts, total, in_shares(grads))
            return (total, {**fixed, **moved}), terms

        zeros = in_shares(jax.tree.map(jnp.zeros_like, trainable))
        (grads, moved), terms = jax.lax.scan(add, (zeros, fixed), pieces)
        return grads, jax.tree.map(lambda x: x.mean(0), terms), in_shares(moved)

    def update(
        state: TrainState, grads: dict[str, Any], moved: dict[str, Any], total: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        changes, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, changes)
        average = {
            name: ema * value + (1 - ema) * trainable[name] for name, value in state.ema.items()
        }
        after = TrainState(state.step + 1, trainable, {**state.fixed, **moved}, opt_state, average)
        finite = jnp.isfinite(total)
        for value in jax.tree.leaves(after):  # Adam's moments pass on what the gradient has
            finite &= jnp.isfinite(value).all()
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, state)
        trees = {"gradient": grads, "update": changes, "weight": trainable}
        norms = {
            f"{name}_norm/{part}": norm({k: v for k, v in tree.items() if is_trunk(k) == trunk})
            for name, tree in trees.items()
            for part, trunk in (("trunk", True), ("heads", False))
        }
        if limit:
            scale = jnp.minimum(1, limit / norm(grads))
            norms |= {name: scale * x for name, x in norms.items() if name.startswith("gradient")}
        return in_shares(kept._replace(step=after.step)), {"finite": finite, **norms}

    # Two programs: the second, which needs none of the memory of the first, writes over its state.
    gradients_jit, update_jit = compiled(gradients), compiled(update, donate_argnums=0)

    def step(
        state: TrainState, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
        grads, terms, moved = gradients_jit(state.trainable, state.fixed, batch)
        state, health = update_jit(state, grads, moved, terms["total"])
        return state, terms, health

    return step


def norm(tree: dict[str, jax.Array]) -> jax.Array:
    """Returns the L2 norm of all values together."""
    return jnp.sqrt(sum((jnp.square(x).sum() for x in tree.values()), jnp.zeros(())))
