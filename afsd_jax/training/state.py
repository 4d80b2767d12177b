"""The state of a training run: its beginning, its place on the devices, saving and resuming."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.sharding import Mesh

from afsd_jax.errors import UserError
from afsd_jax.io.run_log import RunLog
from afsd_jax.models import Network, parameters
from afsd_jax.runtime.sharding import place
from afsd_jax.training.monitoring import stops_early
from afsd_jax.training.optimizer import Optimizer, make_optimizer
from afsd_jax.training.run_identity import elsewhere, reorder_classes
from afsd_jax.types import ANY_ACTION
from afsd_jax.weights import checkpoint, frozen_trunk
from afsd_jax.weights.frozen_trunk import FrozenTrunk
from afsd_jax.weights.loading import load_initial
from afsd_jax.weights.run_checkpoints import RunCheckpoints


class TrainState(NamedTuple):
    """Everything that training changes: flat dictionaries of arrays, and the optimiser's tree.

    trainable: weights that learn.
    fixed: frozen weights and running statistics.
    ema: averages of the weights that learn; empty without averaging.
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


def init_state(network: Network, optimizer: Optimizer, averaged: bool = False) -> TrainState:
    """Returns the state of a new run, with the network's weights."""
    learned = set(parameters.names(network, nnx.Param))
    weights = parameters.flatten(network)
    trainable = {name: value for name, value in weights.items() if name in learned}
    fixed = {name: value for name, value in weights.items() if name not in learned}

    @jax.jit  # as one program, not as one for each shape
    def begin(weights: dict[str, jax.Array]) -> tuple[optax.OptState, dict[str, jax.Array]]:
        # Copied, because a step donates its state.
        return optimizer.init(weights), jax.tree.map(jnp.copy, weights) if averaged else {}

    opt_state, ema = begin(trainable)
    return TrainState(jnp.zeros((), jnp.int32), trainable, fixed, opt_state, ema)


def network_classes(config: ml_collections.ConfigDict, class_names: list[str]) -> list[str]:
    """Returns the names of the classes that a network learns from a data set's classes."""
    return [ANY_ACTION] if config.data.class_agnostic else class_names


def initial_network(config: ml_collections.ConfigDict, class_names: list[str]) -> Network:
    """Returns the network of a new run, with the weights that it starts from.

    Args:
      config: the resolved configuration.
      class_names: names of the network's classes.

    Raises:
      UserError: the weights to start from cannot be read.
    """
    network = parameters.build_network(config, config.seed)
    if not config.train.init_from:
        return network
    initial = load_initial(config.train.init_from, config, class_names)
    return parameters.replace(network, {**parameters.flatten(network), **initial})


def init_or_resume(
    config: ml_collections.ConfigDict,
    folder: Path,
    total_steps: int,
    class_names: list[str],
    mesh: Mesh,
    class_order: Sequence[int] | None = None,
) -> TrainState:
    """Returns the last saved state of a run, or that of a new run, on the devices of the mesh.

    Args:
      config: the resolved configuration.
      folder: folder of the run's checkpoints.
      total_steps: number of steps of the run.
      class_names: names of the network's classes.
      mesh: devices.
      class_order: for each class its index in the saved state; None: the same.

    Raises:
      UserError: the weights to start from cannot be read, or the saved state is of another network
        or optimiser, or it cannot continue to the last step.
    """
    end = step_of_end(config, folder, total_steps)
    optimizer = make_optimizer(config.optimizer, total_steps)
    last = max(checkpoint.steps(folder), default=None)
    if last is None:
        network = initial_network(config, class_names)
    else:
        network = parameters.build_network(config, config.seed)
    state = init_state(network, optimizer, config.optimizer.ema > 0)
    state = place(state, mesh, config.train.shard_state)
    if last is None:
        return state
    state = state if end is None else state._replace(step=jnp.asarray(end, jnp.int32))
    state = reorder_classes(_resume(state, folder, last, config), class_order)
    return place(state, mesh, config.train.shard_state)


def step_of_end(config: ml_collections.ConfigDict, folder: Path, last: int) -> int | None:
    """Returns the step at which a run ended that cannot continue; None: it is new, or it can.

    Raises:
      UserError: the run cannot continue, but its last step would come later.
    """
    saved = max(checkpoint.steps(folder), default=None)
    if saved is None or checkpoint.can_continue(folder, saved):
        return None
    run_log = RunLog(folder.parent, last, writes=False)
    end = max((record["step"] for record in run_log.records), default=saved)
    if end < last and not stops_early(run_log, config.train.early_stop):
        raise UserError(
            f"{folder}: the run ended at step {end} and kept only the weights to detect with "
            f"(config.train.keep_optimizer), so it cannot continue to step {last}; "
            f"{elsewhere(folder)}"
        )
    return end


def trunk_to_leave_out(config: ml_collections.ConfigDict, state: TrainState) -> FrozenTrunk | None:
    """Returns the frozen trunk that checkpoints leave out; None: they hold all weights.

    Checkpoints that several processes write hold all weights.
    """
    if config.train.whole_checkpoints or jax.process_count() > 1:
        return None
    constant = {name: state.fixed[name] for name in frozen_trunk.constant_shapes(config)}
    return FrozenTrunk(frozen_trunk.refer(config, constant), config) if constant else None


def _resume(
    state: TrainState, folder: Path, step: int, config: ml_collections.ConfigDict
) -> TrainState:
    """Returns the state saved at `step`, with the shapes and the optimiser's sharding of `state`.

    Raises:
      UserError: the checkpoint is of a network or optimiser other than the configuration's.
    """
    saved = checkpoint.read(folder, step, averaged=False)
    fields = [name for name in config.model if saved.config.model[name] != config.model[name]]
    if set(fields) - {"remat"}:
        raise UserError(
            f"{folder}: holds a run whose config.model differs in {', '.join(fields)}; "
            "choose another folder, or the configuration that the run began with"
        )
    trainable, fixed = (
        {name: saved.weights[name] for name in part} for part in (state.trainable, state.fixed)
    )
    if not checkpoint.can_continue(folder, step):
        return TrainState(state.step, trainable, fixed, state.opt_state, {})
    return TrainState(
        jnp.asarray(step, jnp.int32),
        trainable,
        fixed,
        checkpoint.read_item(folder, step, "optimizer", state.opt_state),
        checkpoint.read_item(folder, step, "ema", state.ema) if state.ema else {},
    )


def save_state(
    checkpoints: RunCheckpoints, state: TrainState, description: Mapping[str, Any]
) -> None:
    """Saves everything that is needed to resume the run."""
    weights = {**state.trainable, **state.fixed}
    items = {"optimizer": state.opt_state, "ema": state.ema}
    checkpoints.save(int(state.step), weights, description, **items)


def detection_weights(state: TrainState, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns the weights to detect with, replicated on all devices.

    With several hosts they are on one device of this host.
    """
    weights = place(state.weights, mesh)
    if jax.process_count() == 1:
        return weights
    return {name: value.addressable_data(0) for name, value in weights.items()}
