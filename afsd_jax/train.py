"""Trains a detector, and goes on where an interrupted run stopped: the command `afsd train`."""

import itertools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import ml_collections
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from afsd_jax import trunk_features
from afsd_jax.adapt import Choice, adapt
from afsd_jax.config import check, resolve
from afsd_jax.data.pipeline import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.kernels import load_triton
from afsd_jax.optimizer import make_optimizer
from afsd_jax.sharding import data_mesh, replicate, shard_batch
from afsd_jax.train_step import PADDING, TrainState, init_state, make_train_step
from afsd_jax.weights import checkpoint, parameters
from afsd_jax.weights.loading import load_initial


def train(config: ml_collections.ConfigDict, workdir: str | os.PathLike[str]) -> TrainState:
    """Trains from the configuration, or goes on with what `workdir` holds, to the last step.

    Raises:
      UserError: the configuration, the data or the folder do not fit together.
    """
    load_triton()  # TensorFlow, which the pipeline imports, must come after it
    config, choices, warnings = adapt(config, jax.device_count())
    check(config)
    print_choices(choices, warnings)
    mesh = data_mesh()
    if config.train.batch_size % mesh.size:
        raise UserError(
            f"config.train.batch_size={config.train.batch_size} cannot be spread evenly over "
            f"{mesh.size} devices; make it a multiple of {mesh.size}"
        )
    data = TrainingData(config, jax.process_index(), jax.process_count())
    config = resolve(config, len(data.class_names))
    if config.model.frozen_until and not config.train.init_from:
        raise UserError(
            "config.train.init_from is empty: a frozen trunk needs weights from somewhere; set "
            "it to kinetics"
        )
    if config.data.feature_cache:
        trunk_features.check_frozen(config)
        if config.loss.consistency_weight:
            print("the consistency loss is off: its clips' features are not those in the cache")
            config.loss.consistency_weight = 0.0
    total_steps = config.train.steps or config.train.epochs * data.steps_per_epoch

    network = parameters.build_network(config, config.seed)
    optimizer = make_optimizer(config.optimizer, total_steps)
    folder = Path(workdir) / "checkpoints"
    last = checkpoint.latest_step(folder)
    if last is None and config.train.init_from:
        initial = load_initial(config.train.init_from, config)
        network = parameters.replace(network, {**parameters.flatten(network), **initial})
    state = init_state(network, optimizer)
    if last is not None:
        state = resume(state, folder, last, config)
    features = None
    if config.data.feature_cache:
        weights = {**state.trainable, **state.fixed}
        padding = PADDING[config.data.train_padding]
        features = trunk_features.cached(
            config, weights, data.videos, data.offsets, data.views, padding
        )
    state = replicate(state, mesh)
    step = make_train_step(network, optimizer, config)

    description = checkpoint.describe(config, data.class_names)
    first = int(state.step)
    is_main = jax.process_index() == 0
    writer = SummaryWriter(str(workdir)) if is_main else None
    manager = checkpoint.open_manager(folder, config.train.keep_checkpoints)
    bar = tqdm(total=total_steps, initial=first, unit="step", desc="training", disable=not is_main)
    with manager, bar:
        log_time, log_step = time.monotonic(), first
        batches = itertools.islice(data.batches(first, features), total_steps - first)
        for number, batch in enumerate(batches, first + 1):
            state, terms = step(state, shard_batch(batch, mesh))
            bar.update()
            if number % config.train.log_every == 0 or number == total_steps:
                values = {name: float(value) for name, value in terms.items()}
                now = time.monotonic()
                rate = (number - log_step) * config.train.batch_size / (now - log_time)
                log_time, log_step = now, number
                bar.set_postfix(loss=f"{values['total']:.3f}", clips_per_s=f"{rate:.1f}")
                if writer:
                    for name, value in {**values, "clips_per_s": rate}.items():
                        writer.add_scalar(name, value, number)
                    writer.flush()
                if not np.isfinite(values["total"]):
                    raise UserError(
                        f"the loss is {values['total']} at step {number}; lower "
                        "config.optimizer.learning_rate or set config.optimizer.clip_norm"
                    )
            if number % config.train.checkpoint_every == 0 or number == total_steps:
                save(manager, state, description)
    if writer:
        writer.close()
    return state


def print_choices(choices: Sequence[Choice], warnings: Sequence[str]) -> None:
    """Says what was chosen for the data set and what is odd about it."""
    if choices:
        print("chosen for this data set (set a field yourself to have it otherwise):")
    width = max((len(choice.field) for choice in choices), default=0)
    for choice in choices:
        print(f"  config.{choice.field:<{width}} = {choice.value:<6g} {choice.reason}")
    for warning in warnings:
        print(f"note: {warning}")


def save(
    manager: "checkpoint.ocp.CheckpointManager", state: TrainState, description: Mapping
) -> None:
    """Saves everything from which the run can go on."""
    weights = {**state.trainable, **state.fixed}
    checkpoint.save(manager, int(state.step), weights, description, state.opt_state)


def resume(
    state: TrainState, folder: Path, step: int, config: ml_collections.ConfigDict
) -> TrainState:
    """Returns the state saved at `step`, shaped like `state`.

    Raises:
      UserError: the checkpoint is of a network or optimiser other than the configuration's.
    """
    saved = checkpoint.read(folder, step)
    if saved.config.model != config.model:
        fields = [name for name in config.model if saved.config.model[name] != config.model[name]]
        raise UserError(
            f"{folder}: holds a run whose config.model differs in {', '.join(fields)}; "
            "give another --workdir, or the configuration that the run began with"
        )
    opt_state = checkpoint.read_optimizer(folder, step, state.opt_state)
    return TrainState(
        jax.numpy.asarray(step, jax.numpy.int32),
        {name: saved.weights[name] for name in state.trainable},
        {name: saved.weights[name] for name in state.fixed},
        opt_state,
    )


if __name__ == "__main__":
    from afsd_jax.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
