"""One optimiser step over a sharded batch."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.sharding import Mesh
from jax.typing import ArrayLike

from afsd_jax.models import PADDING, Network, normalise, parameters
from afsd_jax.runtime.compilation import compiled
from afsd_jax.runtime.memory import give_back_memory
from afsd_jax.runtime.sharding import fully_sharded, replicated
from afsd_jax.training.feature_cache import split
from afsd_jax.training.losses import losses
from afsd_jax.training.optimizer import is_trunk


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
    # In one program, not one for each shape.
    opt_state = jax.jit(optimizer.init)(trainable)
    return TrainState(step, trainable, fixed, opt_state, average)


def compute_losses(
    network: Network,
    batch: dict[str, jax.Array],
    config: ml_collections.ConfigDict,
    of_consistency: ArrayLike | None,
    training: bool = True,
) -> dict[str, jax.Array]:
    """Returns the loss terms of the clips of a batch, or those of its consistency clips.

    Args:
      batch: as the pipeline gives it, of frames, or of a frozen trunk's features of them.
      of_consistency: bool [], or None where there are no consistency clips; see `losses.losses`.
    """
    priors = jnp.asarray(network.priors)
    if "features" in batch:
        dtype = jnp.dtype(config.model.dtype)
        outputs = network.heads(split(batch["features"], network.feature_shapes, dtype))
    else:
        clips = normalise(batch["frames"], batch["num_frames"], PADDING[config.data.train_padding])
        if of_consistency is not None:
            as_it_is = jnp.arange(clips.shape[1])
            index = jnp.where(of_consistency, batch["consistency_index"], as_it_is)
            clips = jax.vmap(lambda clip, source: clip[source])(clips, index)
        outputs = network(clips, training)
    return losses(outputs, of_consistency, batch, priors, network.lengths, config)


def passes(config: ml_collections.ConfigDict) -> jax.Array | None:
    """Returns `of_consistency` of each pass of a batch through the network, None for a single one.

    Clips and consistency clips never meet in it, so they pass in turn, in half the memory.
    """
    consistency = config.loss.consistency_weight and config.model.refinement
    return jnp.array([False, True]) if consistency else None


class Step:
    """One step of training: (state, batch) → (new state, loss terms before the step, health).

    Two programs, compiled at the first call: the second needs none of the memory of the first, and
    writes over its state. `statistics` names those of `TrainState.fixed` that a batch changes;
    `clip_norm` is the norm that gradients are cut to, or 0.
    """

    def __init__(
        self,
        gradients: Callable[..., Any],
        update: Callable[..., Any],
        statistics: Sequence[str],
        clip_norm: float,
    ):
        self._gradients, self._update = gradients, update
        self._statistics, self._clip_norm = statistics, clip_norm
        self.programs: tuple[Any, ...] = ()

    def __call__(
        self, state: TrainState, batch: dict[str, jax.Array], norms: bool = False
    ) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
        if not self.programs:
            self.compile(state, batch)
        gradients, update = self.programs
        grads, terms, moved = gradients(state.trainable, state.fixed, batch)
        before = _copy(state.trainable) if norms else {}
        state, finite = update(state, grads, moved, terms["total"])
        health = {"finite": finite}
        if norms:
            limit = jnp.asarray(self._clip_norm, jnp.float32)
            health |= _norms(grads, before, state.trainable, limit)
        return state, terms, health

    def compile(self, state: TrainState, batch: dict[str, jax.Array]) -> None:
        """Compiles both programs for arrays like these, and gives the compiler's memory back."""
        places = jax.tree.map(lambda x: x.sharding, state)
        # Gradients and statistics lie as the weights do, so that no program waits for the other.
        shardings = (
            places.trainable,
            places.step,
            {name: places.fixed[name] for name in self._statistics},
        )
        gradients = compiled(self._gradients, out_shardings=shardings)
        gradients = gradients.lower(state.trainable, state.fixed, batch)
        with ThreadPoolExecutor(1) as beside:
            compiling = beside.submit(gradients.compile)
            update = compiled(self._update, donate_argnums=0, out_shardings=(places, None))
            grads, terms, moved = gradients.out_info
            program = update.lower(state, grads, moved, terms["total"]).compile()
            self.programs = compiling.result(), program
        give_back_memory()


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
    step's number). A step that is asked for norms gives those of what it did, too:
    `gradient_norm/trunk`, `update_norm/heads`, `weight_norm/…`.
    """
    template = nnx.eval_shape(lambda: network)
    parts, ema = config.train.accumulate, config.optimizer.ema
    shared = mesh if config.train.shard_state else None
    flags, statistics = passes(config), parameters.names(template, nnx.BatchStat)

    def gathered(tree: Any) -> Any:
        if shared is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, replicated(shared))

    def in_shares(tree: Any) -> Any:
        if shared is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, fully_sharded(tree, shared))

    def loss(
        trainable: dict[str, Any],
        fixed: dict[str, Any],
        batch: dict[str, Any],
        of_consistency: jax.Array | None,
    ) -> tuple[jax.Array, tuple[dict[str, Any], dict[str, Any]]]:
        model = parameters.replace(template, {**trainable, **fixed})
        terms = compute_losses(model, batch, config, of_consistency)
        after = parameters.flatten(model)
        return terms["total"], (terms, {name: after[name] for name in statistics})

    def gradients(
        trainable: dict[str, Any], fixed: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[Any, Any, Any]:
        """Returns the gradient, the loss terms and the running statistics after the batch."""
        trainable, fixed = gathered((trainable, fixed))
        # Every parts-th clip goes to the same part, so that no device sends any.
        pieces = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

        def add(carry: tuple[Any, Any], turn: tuple[Any, Any]) -> tuple[Any, Any]:
            total, moved = carry
            gradient = jax.grad(loss, has_aux=True)
            grads, (terms, moved) = gradient(trainable, {**fixed, **moved}, *turn)
            total = jax.tree.map(lambda a, b: a + b / parts, total, in_shares(grads))
            return (total, moved), terms

        def add_part(carry: tuple[Any, Any], piece: dict[str, jax.Array]) -> tuple[Any, Any]:
            if flags is None:
                return add(carry, (piece, None))
            carry, terms = jax.lax.scan(lambda carry, flag: add(carry, (piece, flag)), carry, flags)
            return carry, jax.tree.map(lambda x: x.sum(0), terms)

        zeros = in_shares(jax.tree.map(jnp.zeros_like, trainable))
        start = zeros, {name: fixed[name] for name in statistics}
        (grads, moved), terms = jax.lax.scan(add_part, start, pieces)
        return grads, jax.tree.map(lambda x: x.mean(0), terms), in_shares(moved)

    def update(
        state: TrainState, grads: dict[str, Any], moved: dict[str, Any], total: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        def change(state: TrainState) -> TrainState:
            changes, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
            trainable = optax.apply_updates(state.trainable, changes)
            average = {
                name: ema * value + (1 - ema) * trainable[name] for name, value in state.ema.items()
            }
            fixed = {**state.fixed, **moved}
            return TrainState(state.step, trainable, fixed, opt_state, average)

        # Of the gradient's squares, as Adam's moments are: what follows from them is finite, too.
        finite = jnp.isfinite(total) & jnp.isfinite(norm(grads))
        after = _changed_if(finite, change, state)
        return in_shares(after._replace(step=state.step + 1)), finite

    return Step(gradients, update, statistics, config.optimizer.clip_norm)


def _changed_if(
    flag: jax.Array, change: Callable[[TrainState], TrainState], state: TrainState
) -> TrainState:
    """Returns the changed state, or if not flag [] the state as it is."""
    if jax.default_backend() != "cpu":
        # A branch would make the host wait for the device.
        return jax.tree.map(lambda new, old: jnp.where(flag, new, old), change(state), state)
    # A branch writes over the state; choosing value by value would read and copy it twice more.
    return jax.lax.cond(flag, change, lambda state: state, state)


@jax.jit
def _copy(tree: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return jax.tree.map(jnp.copy, tree)


@jax.jit
def _norms(
    grads: dict[str, jax.Array],
    before: dict[str, jax.Array],
    after: dict[str, jax.Array],
    clip_norm: jax.Array,
) -> dict[str, jax.Array]:
    """Returns the norms, by part, of a step's gradients as cut, of its update and its weights."""
    changes = {name: value - before[name] for name, value in after.items()}
    trees = {"gradient": grads, "update": changes, "weight": after}
    norms = {
        f"{name}_norm/{part}": norm({k: v for k, v in tree.items() if is_trunk(k) == trunk})
        for name, tree in trees.items()
        for part, trunk in (("trunk", True), ("heads", False))
    }
    cut = jnp.where(clip_norm > 0, jnp.minimum(1, clip_norm / norm(grads)), 1)
    return {name: cut * x if name.startswith("gradient") else x for name, x in norms.items()}


def norm(tree: dict[str, jax.Array]) -> jax.Array:
    """Returns the L2 norm of all values together."""
    return jnp.sqrt(sum((jnp.square(x).sum() for x in tree.values()), jnp.zeros(())))
