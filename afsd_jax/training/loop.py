"""Trains a detector, and goes on where an interrupted run stopped: the command `afsd train`."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from tqdm import tqdm

from afsd_jax import evaluation
from afsd_jax.config import check, resolve, steps_between
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.run_log import LOSS, VALIDATION, RunLog
from afsd_jax.kernels import load_triton
from afsd_jax.models import parameters
from afsd_jax.report import run_page
from afsd_jax.runtime.sharding import data_mesh, place, shard_batch
from afsd_jax.runtime.signals import Interruption
from afsd_jax.training import feature_cache
from afsd_jax.training.auto_config import Choice, adapt
from afsd_jax.training.guard import Guard
from afsd_jax.training.meter import Meter
from afsd_jax.training.optimizer import is_trunk, learning_rates, make_optimizer
from afsd_jax.training.profiling import Profile
from afsd_jax.training.step import TrainState, init_state, make_train_step
from afsd_jax.training.validation import ClipLosses, FeaturePredictor, Validator
from afsd_jax.types import ANY_ACTION
from afsd_jax.weights import checkpoint
from afsd_jax.weights.loading import load_initial
from afsd_jax.weights.run_checkpoints import RunCheckpoints, set_damaged_aside


def train(
    config: ml_collections.ConfigDict, workdir: str | os.PathLike[str], profiled: int = 0
) -> int:
    """Trains from the configuration, or goes on with what `workdir` holds, to the last step.

    Args:
      config: of the run.
      workdir: its folder.
      profiled: steps to trace with JAX's profiler, on the first host.

    Returns:
      The exit code: 0; 1 if the last checkpoint could not be saved; 128 and the signal's number
      after SIGTERM or Ctrl-C.

    Raises:
      UserError: the configuration, the data or the folder do not fit together, or loss or gradient
        is not finite.
    """
    load_triton()  # TensorFlow, which the pipeline imports, must come after it
    config, choices, warnings = adapt(config, jax.device_count())
    check(config)
    is_main = jax.process_index() == 0
    if is_main:
        print_choices(choices, warnings)
    mesh = data_mesh()
    multiple = mesh.size * config.train.accumulate
    if config.train.batch_size % multiple:
        raise UserError(
            f"config.train.batch_size={config.train.batch_size} cannot be spread evenly over "
            f"{mesh.size} devices, in config.train.accumulate={config.train.accumulate} parts; "
            f"make it a multiple of {multiple}"
        )
    data = TrainingData(config, jax.process_index(), jax.process_count())
    config = resolve(config, len(data.class_names))
    feature_cache.check_frozen(config)
    class_names = [ANY_ACTION] if config.data.class_agnostic else data.class_names
    total_steps = config.train.steps or config.train.epochs * data.steps_per_epoch
    evaluate_every, checkpoint_every = (
        steps_between(config.train[name], data.steps_per_epoch) or 0
        for name in ("evaluate_every", "checkpoint_every")
    )
    kept = {epoch * data.steps_per_epoch for epoch in config.train.keep_epochs}

    folder = Path(workdir) / "checkpoints"
    if is_main:
        for line in set_damaged_aside(folder):
            print(line, file=sys.stderr)
    if jax.process_count() > 1:  # all see the folder as it is now
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")
    state = initial_state(config, folder, total_steps, class_names, mesh)
    features = None
    if config.data.feature_cache:
        features = feature_cache.of_training(config, weights_of(state, mesh), data)
    validator = None
    if config.data.validation_split and evaluate_every:
        cached = config.data.feature_cache
        weights = weights_of(state, mesh)
        predict = FeaturePredictor(config, class_names, weights) if cached else None
        validator = Validator(config, class_names, predict)
        clip_losses = ClipLosses(config, weights)
    first = int(state.step)
    network = parameters.abstract_network(config)
    step = make_train_step(network, make_optimizer(config.optimizer, total_steps), config, mesh)
    rates = learning_rates(config.optimizer, total_steps)

    if is_main:
        print("\n".join(overview(state)))
    checkpoints = RunCheckpoints(folder, config.train.keep_last, config.train.keep_best, kept)
    log = RunLog(workdir, first, is_main)
    described = json.loads(config.to_json())
    log.attempt(lambda: files.write_json(Path(workdir) / "config.json", described))
    guard = Guard(config.train.nan_limit, data.clips_of)
    meter = Meter(config.train.batch_size)
    profile = Profile(Path(workdir) / "profile", first, profiled if is_main else 0)
    bar = tqdm(total=total_steps, initial=first, unit="step", desc="training", disable=not is_main)
    shown: dict[str, str] = {}
    ended = stops_early(log, config.train.early_stop)
    batches = data.batches(first, features)
    stop = 0

    def due(number: int, interval: int) -> bool:
        return interval > 0 and (number % interval == 0 or number == total_steps)

    with Interruption() as interruption, bar:
        for number in range(first + 1, first + 1 if ended else total_steps + 1):
            with meter.waiting():
                batch = next(batches)
            profile.begin(number)
            logs = due(number, config.train.log_every)
            state, terms, health = step(state, shard_batch(batch, mesh), norms=logs)
            profile.end(number, health)
            guard.look(number, terms, health["finite"])
            bar.update()
            if logs:
                guard.settle()
                values = {name: float(x) for name, x in terms.items()}
                values |= {name: float(x) for name, x in health.items() if name != "finite"}
                values |= {f"learning_rate/{k}": float(f(number - 1)) for k, f in rates.items()}
                values |= {**meter.read(), "skipped_steps": float(guard.skipped)}
                log.write(number, values)
                shown["loss"] = f"{values['total']:.3f}"
                shown["clips_per_s"] = f"{values['clips_per_s']:.1f}"
            stop = agreed(interruption.signum, logs)
            with meter.paused():
                metrics = None
                if validator and due(number, evaluate_every) and not stop:
                    guard.settle()
                    weights = weights_of(state, mesh)
                    metrics = validator(weights, lambda: interruption.signum)
                    stop = agreed(interruption.signum, True)
                if metrics is not None:
                    on_clips = {LOSS + name: x for name, x in clip_losses(weights).items()}
                    log.write(number, {VALIDATION: metrics.as_dict() | on_clips})
                    shown["mAP"] = f"{100 * metrics.average_map:.2f}"
                    ended = stops_early(log, config.train.early_stop)
                    log.attempt(lambda: run_page.write_page(workdir))
                saves = due(number, checkpoint_every) or number in kept or number == total_steps
                if saves or stop or metrics is not None:
                    guard.settle()
                    description = checkpoint.describe(config, class_names, metrics)
                    save(checkpoints, state, description)
            if logs or metrics is not None:
                bar.set_postfix(shown)
            if stop or ended:
                break
    profile.close()
    checkpoints.close()
    log.close()
    log.attempt(lambda: run_page.write_page(workdir))
    return finish(checkpoints, log, stop or interruption.signum, ended, is_main)


def print_choices(choices: Sequence[Choice], warnings: Sequence[str]) -> None:
    """Says what was chosen for the data set and what is odd about it."""
    if choices:
        print("chosen for this data set (set a field yourself to have it otherwise):")
    width = max((len(choice.field) for choice in choices), default=0)
    for choice in choices:
        value = repr(choice.value) if isinstance(choice.value, str) else f"{choice.value:g}"
        print(f"  config.{choice.field:<{width}} = {value:<6} {choice.reason}")
    for warning in warnings:
        print(f"note: {warning}")


def initial_state(
    config: ml_collections.ConfigDict,
    folder: Path,
    total_steps: int,
    class_names: list[str],
    mesh: Mesh,
) -> TrainState:
    """Returns the state that the run goes on or begins with, on the devices of the mesh.

    Raises:
      UserError: as `resume` and `load_initial` do.
    """
    optimizer = make_optimizer(config.optimizer, total_steps)
    network = parameters.build_network(config, config.seed)
    last = max(checkpoint.steps(folder), default=None)
    if last is None and config.train.init_from:
        initial = load_initial(config.train.init_from, config, class_names)
        network = parameters.replace(network, {**parameters.flatten(network), **initial})
    state = init_state(network, optimizer, config.optimizer.ema > 0)
    state = place(state, mesh, config.train.shard_state)
    if last is None:
        return state
    return place(resume(state, folder, last, config), mesh, config.train.shard_state)


def weights_of(state: TrainState, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns the weights to detect with, whole on every device; of several hosts on one of its."""
    weights = place(state.weights, mesh)
    if jax.process_count() == 1:
        return weights
    return {name: value.addressable_data(0) for name, value in weights.items()}


def save(checkpoints: RunCheckpoints, state: TrainState, description: Mapping[str, Any]) -> None:
    """Saves everything from which the run can go on."""
    weights = {**state.trainable, **state.fixed}
    items = {"optimizer": state.opt_state, "ema": state.ema}
    checkpoints.save(int(state.step), weights, description, **items)


def resume(
    state: TrainState, folder: Path, step: int, config: ml_collections.ConfigDict
) -> TrainState:
    """Returns the state saved at `step`, shaped like `state`, and its optimiser sharded like it.

    Raises:
      UserError: the checkpoint is of a network or optimiser other than the configuration's.
    """
    saved = checkpoint.read(folder, step, averaged=False)
    fields = [name for name in config.model if saved.config.model[name] != config.model[name]]
    if set(fields) - {"remat"}:
        raise UserError(
            f"{folder}: holds a run whose config.model differs in {', '.join(fields)}; "
            "give another --workdir, or the configuration that the run began with"
        )
    return TrainState(
        jax.numpy.asarray(step, jax.numpy.int32),
        {name: saved.weights[name] for name in state.trainable},
        {name: saved.weights[name] for name in state.fixed},
        checkpoint.read_item(folder, step, "optimizer", state.opt_state),
        checkpoint.read_item(folder, step, "ema", state.ema) if state.ema else {},
    )


def overview(state: TrainState) -> list[str]:
    """Returns a line about the parameters of each part of the network."""
    lines = []
    for part in ("trunk", "heads"):
        learned, fixed = (
            sum(x.size for name, x in weights.items() if is_trunk(name) == (part == "trunk"))
            for weights in (state.trainable, state.fixed)
        )
        lines.append(f"{part}: {learned:,} parameters learn, {fixed:,} do not")
    return lines


def agreed(signum: int, now: bool) -> int:
    """Returns the signal on which to stop, if any; several hosts agree on it, where `now`."""
    if jax.process_count() == 1:
        return signum
    if not now:
        return 0
    return int(np.max(multihost_utils.process_allgather(np.int32(signum))))


def evaluated(log: RunLog) -> dict[int, float]:
    """Returns the average mAP of each evaluated step."""
    return {r["step"]: r[VALIDATION][evaluation.SCORE] for r in log.records if VALIDATION in r}


def stops_early(log: RunLog, patience: int) -> bool:
    """Says whether the last `patience` evaluations, 0: none, were no better than one before."""
    scores = list(evaluated(log).values())
    return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])


def finish(checkpoints: RunCheckpoints, log: RunLog, signum: int, ended: bool, says: bool) -> int:
    """Returns the exit code and, where it `says` so, tells in a line how the run ended."""
    scores = evaluated(log)
    if not says:
        return 1 if checkpoints.failed else 128 + signum if signum else 0
    if scores:
        best = max(scores, key=lambda step: (scores[step], step))
        print(f"best average mAP {100 * scores[best]:.2f} at step {best}")
    if checkpoints.failed:
        last = f"step {checkpoints.last} is the last one" if checkpoints.last else "there is none"
        print(f"error: the last checkpoint was not saved; {last}", file=sys.stderr)
        return 1
    if signum:
        print(f"saved at step {checkpoints.last}; the same command goes on from there")
        return 128 + signum
    if ended:
        print(f"stopped at step {checkpoints.last}: no better average mAP since the best one")
    return 0
