"""Builds what a training run needs."""

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from tqdm import tqdm

from afsd_jax.config import check, resolve, steps_between
from afsd_jax.data.training_data import TrainingData
from afsd_jax.diagnosis.run_report import write_training_classes
from afsd_jax.errors import UserError
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io import files
from afsd_jax.io.run_log import RunLog
from afsd_jax.models import parameters
from afsd_jax.runtime.sharding import data_mesh
from afsd_jax.training import feature_cache, monitoring
from afsd_jax.training.auto_config import choice_lines, choose_fields
from afsd_jax.training.disk_needs import check_disk
from afsd_jax.training.early_compilation import compile_early
from afsd_jax.training.monitoring import NonFiniteGuard, Profile, Throughput
from afsd_jax.training.optimizer import is_trunk, learning_rates, make_optimizer
from afsd_jax.training.run_identity import Allowed, RunIdentity, Splits, check_resumed
from afsd_jax.training.state import (
    TrainState,
    detection_weights,
    init_or_resume,
    network_classes,
    trunk_to_leave_out,
)
from afsd_jax.training.step import TrainStep, make_train_step
from afsd_jax.training.validation import ClipLosses, Validator, open_validation
from afsd_jax.types import ANY_ACTION
from afsd_jax.weights.run_checkpoints import RunCheckpoints, set_damaged_aside

log = logging.getLogger(__name__)


class Schedule(NamedTuple):
    """The steps, counted from 1, that a log entry, an evaluation or a checkpoint follows.

    last: last step of the run.
    log_every, evaluate_every, save_every: steps from one to the next; 0: never.
    kept: steps whose checkpoints are kept.
    """

    last: int
    log_every: int
    evaluate_every: int
    save_every: int
    kept: frozenset[int]

    def logs(self, step: int) -> bool:
        """Returns whether the step is logged."""
        return self._is_due(step, self.log_every)

    def evaluates(self, step: int) -> bool:
        """Returns whether the weights are evaluated after the step."""
        return self._is_due(step, self.evaluate_every)

    def saves(self, step: int) -> bool:
        """Returns whether a checkpoint is saved after the step, evaluated or not."""
        return self._is_due(step, self.save_every) or step in self.kept or step == self.last

    def saves_after(self, step: int) -> int:
        """Returns how many checkpoints are saved after a step."""
        steps = range(step + 1, self.last + 1)
        return sum(self.saves(number) or self.evaluates(number) for number in steps)

    def _is_due(self, step: int, interval: int) -> bool:
        return interval > 0 and (step % interval == 0 or step == self.last)


@dataclasses.dataclass
class Run:
    """A training run.

    Attributes:
      config: the resolved configuration.
      workdir: folder of the run.
      class_names: names of the network's classes.
      splits: digests of the videos, for the checkpoints.
      is_main: whether this process reports and logs.
      mesh: all devices.
      data: the training clips.
      features: features of the training clips, if they are cached.
      state: the current state; the loop replaces it.
      first: last step before this run began or was resumed.
      schedule: when to log, evaluate and save.
      step: computes one step.
      learning_rates: schedules of the learning rates, by part of the network.
      validator, clip_losses: evaluate the weights; None: nothing is evaluated.
      checkpoints: saves the state.
      log: writes losses and metrics.
      guard, throughput, profile: see `monitoring`.
      bar: progress bar.
    """

    config: ml_collections.ConfigDict
    workdir: Path
    class_names: list[str]
    splits: Splits
    is_main: bool
    mesh: Mesh
    data: TrainingData
    features: feature_cache.TrunkFeatures | None
    state: TrainState
    first: int
    schedule: Schedule
    step: TrainStep
    learning_rates: dict[str, optax.Schedule]
    validator: Validator | None
    clip_losses: ClipLosses | None
    checkpoints: RunCheckpoints
    log: RunLog
    guard: NonFiniteGuard
    throughput: Throughput
    profile: Profile
    bar: Any
    shown: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def stops_early(self) -> bool:
        """Whether training ends because the last evaluations were no better."""
        return monitoring.stops_early(self.log, self.config.train.early_stop)

    def show(self, **values: str) -> None:
        """Shows values beside the progress bar."""
        self.shown |= values
        self.bar.set_postfix(self.shown)


def setup(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    profile_steps: int,
    allowed: Allowed,
) -> Run:
    """Builds what the run needs, from its configuration without open fields and its folder.

    Raises:
      UserError: the configuration, the data or the folder do not fit together.
    """
    workdir, is_main, mesh = Path(workdir), jax.process_index() == 0, data_mesh()
    check_batch_size(config.train, mesh)
    data = TrainingData(config, jax.process_index(), jax.process_count())
    config = resolve(config, len(data.class_names), data.videos[0].shape[2])
    feature_cache.check_frozen(config)
    class_names = network_classes(config, data.class_names)
    schedule = make_schedule(config, data.steps_per_epoch)
    split, saved = validation_split(config, schedule), workdir / "checkpoints"
    set_damaged_checkpoints_aside(saved, is_main)
    videos = {"train": data.videos, **({"validation": split.videos} if split else {})}
    identity = RunIdentity(class_names, data.class_names, videos)
    order = check_resumed(saved, config, identity, allowed)
    state = init_or_resume(config, saved, schedule.last, class_names, mesh, order)
    trunk, first, train = trunk_to_leave_out(config, state), int(state.step), config.train
    if is_main:
        saves, evaluates = schedule.saves_after(first), split is not None
        check_disk(saved, train, state, trunk, saves, evaluates)
    step = train_step(config, schedule, mesh, state, data)
    features = cached_features(config, state, mesh, data)
    validator = clip_losses = None
    if split:  # with a sharded state, its weights are a copy, and not kept
        weights = detection_weights(state, mesh)
        validator, clip_losses = open_validation(config, class_names, split, weights)
        del weights
    if is_main:
        log.info("\n".join(parameter_counts(state)))
    return Run(
        config=config,
        workdir=workdir,
        class_names=class_names,
        splits=identity.splits(config),
        is_main=is_main,
        mesh=mesh,
        data=data,
        features=features,
        state=state,
        first=first,
        schedule=schedule,
        step=step,
        learning_rates=learning_rates(config.optimizer, schedule.last),
        validator=validator,
        clip_losses=clip_losses,
        checkpoints=RunCheckpoints(saved, train.keep_last, train.keep_best, schedule.kept, trunk),
        log=open_log(config, workdir, first, is_main, data),
        guard=NonFiniteGuard(train.nan_limit, data.clips_of),
        throughput=Throughput(train.batch_size),
        profile=Profile(workdir / "profile", first, profile_steps if is_main else 0),
        bar=progress_bar(schedule.last, first, is_main),
    )


def with_chosen_fields(
    config: ml_collections.ConfigDict, is_main: bool
) -> tuple[ml_collections.ConfigDict, set[str]]:
    """Chooses open fields and reports the choices; returns the checked result and their names."""
    config, choices, warnings = choose_fields(config, jax.device_count())
    check(config)
    if is_main:
        for line in [*choice_lines(choices), *(f"note: {warning}" for warning in warnings)]:
            log.info(line)
    return config, {choice.field for choice in choices}


def check_batch_size(train: ml_collections.ConfigDict, mesh: Mesh) -> None:
    """Raises UserError if the devices cannot share each part of a batch evenly."""
    multiple = mesh.size * train.accumulate
    if train.batch_size % multiple:
        raise UserError(
            f"config.train.batch_size={train.batch_size} cannot be spread evenly over "
            f"{mesh.size} devices, in config.train.accumulate={train.accumulate} parts; "
            f"make it a multiple of {multiple}"
        )


def make_schedule(config: ml_collections.ConfigDict, steps_per_epoch: int) -> Schedule:
    """Returns the schedule of a run; without a validation split nothing is evaluated."""
    train = config.train
    evaluate_every = train.evaluate_every if config.data.validation_split else 0
    return Schedule(
        last=train.steps or train.epochs * steps_per_epoch,
        log_every=train.log_every,
        evaluate_every=steps_between(evaluate_every, steps_per_epoch) or 0,
        save_every=steps_between(train.checkpoint_every, steps_per_epoch) or 0,
        kept=frozenset(epoch * steps_per_epoch for epoch in train.keep_epochs),
    )


def train_step(
    config: ml_collections.ConfigDict,
    schedule: Schedule,
    mesh: Mesh,
    state: TrainState,
    data: TrainingData,
) -> TrainStep:
    """Returns the function that computes a step of the run, and begins to compile it."""
    network = parameters.abstract_network(config)
    optimizer = make_optimizer(config.optimizer, schedule.last)
    step = make_train_step(network, optimizer, config, mesh, stored=True)
    compile_early(step, state, config, data, mesh)
    return step


def validation_split(config: ml_collections.ConfigDict, schedule: Schedule) -> PreparedSplit | None:
    """Opens the split that is evaluated; None: there is none."""
    if not schedule.evaluate_every:
        return None
    return PreparedSplit([config], config.data.validation_split)


def set_damaged_checkpoints_aside(folder: Path, is_main: bool) -> None:
    """Renames damaged checkpoints after the last good one, before any process reads the folder."""
    if is_main:
        for line in set_damaged_aside(folder):
            log.warning(line)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")


def cached_features(
    config: ml_collections.ConfigDict, state: TrainState, mesh: Mesh, data: TrainingData
) -> feature_cache.TrunkFeatures | None:
    """Returns the features of the training clips, or None if the configuration has no cache."""
    if not config.data.feature_cache:
        return None
    return feature_cache.of_training(config, detection_weights(state, mesh), data)


def parameter_counts(state: TrainState) -> list[str]:
    """Returns a line about the parameters of each part of the network."""
    lines = []
    for part in ("trunk", "heads"):
        learned, fixed = (
            sum(x.size for name, x in weights.items() if is_trunk(name) == (part == "trunk"))
            for weights in (state.trainable, state.fixed)
        )
        lines.append(f"{part}: {learned:,} parameters learn, {fixed:,} do not")
    return lines


def open_log(
    config: ml_collections.ConfigDict, workdir: Path, first: int, is_main: bool, data: TrainingData
) -> RunLog:
    """Opens the run's log, and writes its configuration and its classes beside it."""
    run_log, fields = RunLog(workdir, first, is_main), json.loads(config.to_json())
    if is_main:
        files.write_json(workdir / "config.json", fields)
        write_training_classes(workdir, example_lengths(config, data))
    return run_log


def example_lengths(
    config: ml_collections.ConfigDict, data: TrainingData
) -> dict[str, list[float]]:
    """Returns the lengths of each class's training actions, seconds."""
    found: dict[str, list[float]] = {name: [] for name in data.class_names}
    for video in data.videos:
        for label, (start, end) in zip(video.labels.tolist(), video.segments, strict=True):
            found[data.class_names[label - 1]].append(float(end - start) / video.fps)
    if config.data.class_agnostic:
        return {ANY_ACTION: [length for lengths in found.values() for length in lengths]}
    return found


def progress_bar(total: int, first: int, is_main: bool) -> Any:
    """Returns a progress bar over the steps of a run, which only the main process shows."""
    return tqdm(total=total, initial=first, unit="step", desc="training", disable=not is_main)
