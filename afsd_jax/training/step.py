"""One optimiser step on a sharded batch."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.sharding import Mesh

from afsd_jax.config import of_programs
from afsd_jax.models import Network, parameters
from afsd_jax.runtime import sharding
from afsd_jax.runtime.memory import give_back_memory
from afsd_jax.runtime.prefetch import in_short_turns
from afsd_jax.runtime.programs import Program
from afsd_jax.training.branch_losses import are_joint, branches, compute_losses, joint_losses
from afsd_jax.training.optimizer import Optimizer, Rates, is_trunk
from afsd_jax.training.state import TrainState

Arrays = dict[str, jax.Array]
Part = tuple[Callable[..., Any], Callable[[], str] | None]  # arguments of `Program`


class TrainStep:
    """One step of training: (state, batch) → (new state, loss terms before the step, health).

    It has two programs, compiled at the first call. The second needs none of the first one's
    memory, and donates the state.

    Attributes:
      programs: both programs once compiled, otherwise empty.
    """

    def __init__(
        self,
        gradients: Part,
        update: Part,
        rates: Callable[[optax.OptState], Rates],
        statistics: Sequence[str],
        clip_norm: float,
    ):
        """Takes the functions to compile.

        Args:
          gradients: (trainable, fixed, batch) → (gradients, loss terms, statistics).
          update: (state, gradients, statistics, total loss, learning rates) → (new state, whether
            it is finite).
          rates: returns the learning rates of the next update.
          statistics: names of the entries of `TrainState.fixed` that a batch changes.
          clip_norm: norm that gradients are clipped to; 0: they are not.
        """
        self._gradients, self._update, self._rates = gradients, update, rates
        self._statistics, self._clip_norm = statistics, clip_norm
        self._copy, self._norms = Program(_copy, str), Program(_norms, str)
        self.programs: tuple[Any, ...] = ()
        self._compiling: Future[None] | None = None

    def __call__(
        self, state: TrainState, batch: Arrays, norms: bool = False
    ) -> tuple[TrainState, Arrays, Arrays]:
        if self._compiling is not None:
            self._compiling.result()
            self._compiling = None
        if not self.programs:
            self.compile(state, batch)
        gradients, update = self.programs
        grads, terms, statistics = gradients(state.trainable, state.fixed, batch)
        before = self._copy(state.trainable) if norms else {}
        rates = self._rates(state.opt_state)
        state, finite = update(state, grads, statistics, terms["total"], rates)
        health = {"finite": finite}
        if norms:
            limit = jnp.asarray(self._clip_norm, jnp.float32)
            health |= self._norms(grads, before, state.trainable, limit)
        return state, terms, health

    def compile_early(self, arguments: Callable[[], tuple[Any, Any]]) -> None:
        """Begins to compile in a thread; the first call waits for its end.

        Args:
          arguments: returns the shapes and places of a state and of a batch, as
            `jax.ShapeDtypeStruct`s; it is called in the thread.
        """

        def work() -> None:
            with in_short_turns():
                self.compile(*arguments())

        pool = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._compiling = pool.submit(work)
        pool.shutdown(wait=False)

    def compile(self, state: TrainState, batch: Arrays) -> None:
        """Compiles both programs for such arrays, and returns the compiler's memory to the OS."""
        places = jax.tree.map(lambda x: x.sharding, state)
        # Gradients and statistics are placed as the weights are, so that both programs can be
        # compiled at once.
        fixed = {name: state.fixed[name] for name in self._statistics}
        shardings = places.trainable, places.step, {name: places.fixed[name] for name in fixed}
        gradients = Program(*self._gradients, out_shardings=shardings)
        update = Program(*self._update, donate_argnums=0, out_shardings=(places, None))

        def like(x: jax.Array) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

        dtype = jnp.result_type(jnp.float32, *state.trainable.values())
        total = jax.ShapeDtypeStruct((), dtype, sharding=places.step)
        rates = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=places.step),
            jax.eval_shape(self._rates, state.opt_state),
        )
        computed = *jax.tree.map(like, (state.trainable, fixed)), total, rates
        with ThreadPoolExecutor(1) as pool:
            compiling = pool.submit(gradients.prepare, state.trainable, state.fixed, batch)
            program = update.prepare(state, *computed)
            self.programs = compiling.result(), program
        give_back_memory()


def make_train_step(
    network: Network,
    optimizer: Optimizer,
    config: ml_collections.ConfigDict,
    mesh: Mesh | None = None,
    stored: bool = False,
) -> TrainStep:
    """Returns the step: (state, batch) → (new state, loss terms before the step, health).

    The step is compiled at its first call. It donates its state, which cannot be used afterwards.
    The batch may be sharded along its first axis. With train.accumulate the parts of a batch are
    computed one after another, and their losses and gradients are averaged. With train.shard_state
    the state is sharded over the devices of `mesh` (see `sharding.place`), and stays so.

    `health` has `finite`, whether loss and gradient are finite; if not, only the state's step
    number changes. With `norms` it also has the norms by part of the network:
    `gradient_norm/trunk`, `update_norm/heads`, `weight_norm/…`.

    Args:
      network: the network; its weights are not used.
      optimizer: see `optimizer.make_optimizer`.
      config: the resolved configuration.
      mesh: devices that hold the state; only used with train.shard_state.
      stored: whether network and optimizer are those of the configuration, so that compiled
        programs can be stored.
    """
    template = nnx.eval_shape(lambda: network)
    statistics = parameters.names(template, nnx.BatchStat)
    layout = _Layout(mesh if config.train.shard_state else None)
    of_loss = of_programs(config, "data", "model", "matching", "loss", "train")
    of_update = of_programs(config, "optimizer", "train")
    gradients = _make_gradients(template, of_loss, statistics, layout)
    update = _make_update(optimizer, of_update.optimizer.ema, layout)
    return TrainStep(
        (gradients, of_loss.to_json if stored else None),
        (update, of_update.to_json if stored else None),
        optimizer.rates,
        statistics,
        config.optimizer.clip_norm,
    )


class _Layout(NamedTuple):
    """Placement of arrays while a program runs; without a mesh the compiler decides."""

    mesh: Mesh | None

    def replicated(self, tree: Any) -> Any:
        if self.mesh is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, sharding.replicated(self.mesh))

    def sharded(self, tree: Any) -> Any:
        if self.mesh is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, sharding.fully_sharded(tree, self.mesh))


def _make_gradients(
    template: Network,
    config: ml_collections.ConfigDict,
    statistics: Sequence[str],
    layout: _Layout,
) -> Callable[..., Any]:
    """Returns the first program of a step; see `TrainStep`."""
    num_parts, joint = config.train.accumulate, are_joint(config)
    flags = None if joint else branches(config)

    def loss(
        trainable: Arrays, fixed: Arrays, batch: Arrays, is_consistency: jax.Array | None
    ) -> tuple[jax.Array, tuple[Arrays, Arrays]]:
        model = parameters.replace(template, {**trainable, **fixed})
        if joint:
            terms = joint_losses(model, batch, config)
        else:
            terms = compute_losses(model, batch, config, is_consistency)
        after = parameters.flatten(model)
        return terms["total"], (terms, {name: after[name] for name in statistics})

    def gradients(trainable: Arrays, fixed: Arrays, batch: Arrays) -> tuple[Any, Any, Any]:
        """Returns the gradients, the loss terms and the running statistics after the batch."""
        trainable, fixed = layout.replicated((trainable, fixed))
        # Part i takes every num_parts-th clip from i on, so that no clip moves between devices.
        parts = jax.tree.map(lambda x: x.reshape(-1, num_parts, *x.shape[1:]).swapaxes(0, 1), batch)

        def add(carry: tuple[Any, Any], part: Arrays, flag: jax.Array | None) -> tuple[Any, Any]:
            total, moved = carry
            gradient = jax.grad(loss, has_aux=True)
            grads, (terms, moved) = gradient(trainable, {**fixed, **moved}, part, flag)
            total = jax.tree.map(lambda a, b: a + b / num_parts, total, layout.sharded(grads))
            return (total, moved), terms

        def add_part(carry: tuple[Any, Any], part: Arrays) -> tuple[Any, Any]:
            if flags is None:
                return add(carry, part, None)
            carry, terms = jax.lax.scan(lambda carry, flag: add(carry, part, flag), carry, flags)
            return carry, jax.tree.map(lambda x: x.sum(0), terms)

        zeros = layout.sharded(jax.tree.map(jnp.zeros_like, trainable))
        start = zeros, {name: fixed[name] for name in statistics}
        (grads, moved), terms = jax.lax.scan(add_part, start, parts)
        return grads, jax.tree.map(lambda x: x.mean(0), terms), layout.sharded(moved)

    return gradients


def _make_update(optimizer: Optimizer, ema: float, layout: _Layout) -> Callable[..., Any]:
    """Returns the second program of a step; see `TrainStep`."""

    def update(
        state: TrainState, grads: Arrays, statistics: Arrays, total: jax.Array, rates: Rates
    ) -> tuple[TrainState, jax.Array]:
        def change(state: TrainState) -> TrainState:
            changes, opt_state = optimizer.update(grads, state.opt_state, state.trainable, rates)
            trainable = optax.apply_updates(state.trainable, changes)
            # optax.incremental_update rounds differently.
            average = {
                name: ema * value + (1 - ema) * trainable[name] for name, value in state.ema.items()
            }
            fixed = {**state.fixed, **statistics}
            return TrainState(state.step, trainable, fixed, opt_state, average)

        # The norm sums squares, as Adam's second moments do: if it is finite, they are, too.
        finite = jnp.isfinite(total) & jnp.isfinite(optax.tree.norm(grads))
        after = _changed_if(finite, change, state)
        return layout.sharded(after._replace(step=state.step + 1)), finite

    return update


def _changed_if(
    flag: jax.Array, change: Callable[[TrainState], TrainState], state: TrainState
) -> TrainState:
    """Returns the changed state if flag [], otherwise the state as it is."""
    if jax.default_backend() != "cpu":
        # With a branch the host would wait for the device.
        return jax.tree.map(lambda new, old: jnp.where(flag, new, old), change(state), state)
    # A branch overwrites the state; a choice value by value would read and copy it twice more.
    return jax.lax.cond(flag, change, lambda state: state, state)


def _copy(tree: Arrays) -> Arrays:
    return jax.tree.map(jnp.copy, tree)


def _norms(grads: Arrays, before: Arrays, after: Arrays, clip_norm: jax.Array) -> Arrays:
    """Returns the norms, by part, of a step's clipped gradients, its update and its weights."""
    changes = {name: value - before[name] for name, value in after.items()}
    trees = {"gradient": grads, "update": changes, "weight": after}
    norm = optax.tree.norm
    norms = {
        f"{name}_norm/{part}": norm({k: v for k, v in tree.items() if is_trunk(k) == trunk})
        for name, tree in trees.items()
        for part, trunk in (("trunk", True), ("heads", False))
    }
    factor = jnp.where(clip_norm > 0, jnp.minimum(1, clip_norm / norm(grads)), 1)
    return {name: factor * x if name.startswith("gradient") else x for name, x in norms.items()}
