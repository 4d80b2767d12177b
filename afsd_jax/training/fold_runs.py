"""Short runs that learn from all folds of a split but one, and are evaluated on that one."""

from collections.abc import Callable
from pathlib import Path

import jax
import ml_collections

from afsd_jax.data.folds import Fold
from afsd_jax.data.splits import read_part
from afsd_jax.data.training_data import TrainingData

AVERAGED = 3  # averages of weights reach back over at most one part in so many of a run's steps
WARMUP = 10  # the learning rate rises during at most one part in so many

# Trains in a folder to the last step, and returns the exit code.
TrainIn = Callable[[ml_collections.ConfigDict, Path], int]


def fold_config(
    config: ml_collections.ConfigDict, fold: Fold, steps: int, data: TrainingData
) -> ml_collections.ConfigDict:
    """Returns the configuration of a fold's run, which evaluates its last step only.

    The warm-up and the memory of the averaged weights are shortened with the run, and a batch has
    no more clips than there are.

    Args:
      config: the configuration of the run that the short one stands for.
      fold: the fold to be evaluated on.
      steps: number of steps.
      data: the training clips of the whole split.
    """
    config = config.copy_and_resolve_references()
    config.data.update(train_split=str(fold._replace(rest=True)), validation_split=str(fold))
    train, optimizer = config.train, config.optimizer
    every = steps if isinstance(train.evaluate_every, int) else f"{steps} epochs"
    train.update(cross_validation=0, search_minutes=0.0, refit=False, early_stop=0)
    train.update(steps=steps, evaluate_every=every, keep_best=1)
    optimizer.ema = max(min(optimizer.ema, 1 - AVERAGED / steps), 0.0)
    optimizer.warmup_steps = min(optimizer.warmup_steps, steps // WARMUP)
    clips, parts = _num_clips(config, fold, data), train.accumulate * jax.device_count()
    if clips < train.batch_size:
        train.batch_size = max(clips // parts, 1) * parts
    return config


def planned_steps(config: ml_collections.ConfigDict, data: TrainingData) -> int:
    """Returns the last step of a run that is not stopped early."""
    return config.train.steps or config.train.epochs * data.steps_per_epoch


def _num_clips(config: ml_collections.ConfigDict, fold: Fold, data: TrainingData) -> int:
    config = config.copy_and_resolve_references()
    config.train.batch_size = 1
    videos = read_part(data.folder, config.data.train_split, {fold.split: data.videos})
    return TrainingData(config, split=(data.folder, videos)).num_clips
