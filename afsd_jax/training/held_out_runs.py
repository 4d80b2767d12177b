"""Runs before the final one: they search for settings, or measure on videos that it learns from.

Of few videos, the figure is that of cross-validation: of each fold, a short run learns from the
other folds and detects in this one (`RUN/folds/NUMBER`). With `train.refit`, a run on the training
split finds how long to train (`RUN/selection`), and the final one also learns from the validation
videos. Either way, the detections in videos that were held out become the evaluation of the final
run. Each of these runs resumes by itself, and none that has ended is repeated.
"""

import logging
import math
from pathlib import Path

import jax
import ml_collections
from jax.experimental import multihost_utils

from afsd_jax.data.folds import Fold, together
from afsd_jax.data.training_data import TrainingData
from afsd_jax.diagnosis.run_figure import figure_in_words
from afsd_jax.diagnosis.validation_files import (
    DETECTIONS,
    GROUND_TRUTH,
    Validation,
    how_measured,
    validated_step,
    write_validation,
)
from afsd_jax.evaluation import tabulate, tious_of
from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.run_log import read_records
from afsd_jax.training.fold_runs import TrainIn, fold_config, planned_steps
from afsd_jax.training.monitoring import scores
from afsd_jax.training.search import search
from afsd_jax.training.state import step_of_end
from afsd_jax.types import AnnotatedVideo, Detection

FOLDS, SELECTION, ENDED = "folds", "selection", "ended.json"
CHANCE = 0.01  # of average mAP; evaluations that differ by less are equally good
LEAST_SHARE = 0.5  # of the planned steps, for which a refit trains at least

log = logging.getLogger(__name__)


def run_before(
    config: ml_collections.ConfigDict, workdir: Path, train_in: TrainIn
) -> tuple[int, ml_collections.ConfigDict]:
    """Runs what precedes the final run, and writes its evaluation into the folder of the run.

    Args:
      config: the configuration, with all fields chosen.
      workdir: folder of the final run.
      train_in: trains a run.

    Returns:
      The exit code, 0 if the final run follows, and the configuration of that.

    Raises:
      UserError: as `train_in` does, or the final run has ended and cannot continue.
    """
    if config.train.search_minutes:
        code, config = search(config, workdir, train_in)
        if code:
            return code, config
    if config.train.refit:
        return _select(config, workdir, train_in)
    if config.train.cross_validation:
        return _cross_validate(config, workdir, train_in), config
    return 0, config


def _cross_validate(config: ml_collections.ConfigDict, workdir: Path, train_in: TrainIn) -> int:
    """Trains and evaluates a run for each fold; together they train as long as the final run."""
    count, split = config.train.cross_validation, config.data.train_split
    data = TrainingData(config)
    last = planned_steps(config, data)
    steps = math.ceil(last / count)
    how = f"cross-validation of {split}, {count} folds of {steps} steps each"
    if how_measured(workdir) == how and validated_step(workdir) == last:
        return 0
    step_of_end(config, workdir / "checkpoints", last)  # refused before, not after all folds
    folders = [workdir / FOLDS / str(number) for number in range(1, count + 1)]
    for number, folder in enumerate(folders, 1):
        if validated_step(folder) != steps:
            log.info(f"cross-validation: fold {number} of {count}, {steps} steps")
            code = train_in(fold_config(config, Fold(split, number, count), steps, data), folder)
            if code:
                return code
    _keep(config, workdir, folders, last, how)
    return 0


def _select(
    config: ml_collections.ConfigDict, workdir: Path, train_in: TrainIn
) -> tuple[int, ml_collections.ConfigDict]:
    """Finds the number of steps; returns the exit code and the configuration of the final run."""
    folder, first = workdir / SELECTION, config.copy_and_resolve_references()
    first.train.refit = False
    if not (folder / ENDED).exists():
        code = train_in(first, folder)
        if code:
            return code, config
        if jax.process_index() == 0:
            write_json(folder / ENDED, {"steps": _last_good_step(folder)})
    _wait_for_files()
    good = int(read_json(folder / ENDED)["steps"])
    final = first.copy_and_resolve_references()
    final.data.update(
        train_split=together(first.data.train_split, first.data.validation_split),
        validation_split="",
    )
    before, after = TrainingData(first), TrainingData(final)
    chosen = max(good, math.ceil(LEAST_SHARE * planned_steps(first, before)))
    steps = math.ceil(chosen * after.num_clips / before.num_clips)
    final.train.update(steps=steps, early_stop=0)
    how = (
        f"held out ({first.data.validation_split}) by the run in {SELECTION}, best until step "
        f"{good}; the detector then learned from all {len(after.videos)} videos for {steps} steps"
    )
    if how_measured(workdir) != how or validated_step(workdir) != steps:
        _keep(final, workdir, [folder], steps, how)
    return 0, final


def _last_good_step(folder: Path) -> int:
    """Returns the last step of a run whose evaluation is the best one, or worse by chance alone."""
    by_step = scores(read_records(folder))
    least = max(by_step.values(), default=0.0) - CHANCE
    return max((step for step, score in by_step.items() if score >= least), default=0)


def _keep(
    config: ml_collections.ConfigDict, workdir: Path, folders: list[Path], step: int, how: str
) -> None:
    """Writes the evaluations of runs as that of the final run, and says the figure."""
    if jax.process_index() == 0:
        truth: dict[str, AnnotatedVideo] = {}
        found: dict[str, list[Detection]] = {}
        for folder in folders:
            truth |= read_ground_truth(folder / GROUND_TRUTH)
            found |= read_predictions(folder / DETECTIONS)
        tious = tious_of(config.data.dataset)
        write_validation(workdir, truth, found, tious, step, config.data.dataset, how)
        log.info(figure_in_words(Validation(truth, tabulate(truth, found), tious, how)))
    _wait_for_files()


def _wait_for_files() -> None:
    """Waits until the first process has written its files."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("evaluation of held-out videos")
