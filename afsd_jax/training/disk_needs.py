"""The disk that a run's checkpoints will need, said and checked before training starts."""

import logging
from pathlib import Path

import jax
import ml_collections

from afsd_jax.errors import UserError
from afsd_jax.io.disk_space import free_bytes, size_in_words
from afsd_jax.training.state import TrainState
from afsd_jax.weights.frozen_trunk import FrozenTrunk

log = logging.getLogger(__name__)


def checkpoint_bytes(state: TrainState, trunk: FrozenTrunk | None) -> int:
    """Returns the most bytes of a checkpoint that leaves out the trunk; None: it holds all."""
    stored = (state.trainable, state.opt_state, state.ema, {} if trunk else state.fixed)
    return sum(x.nbytes for x in jax.tree.leaves(stored))


def detector_bytes(state: TrainState, trunk: FrozenTrunk | None) -> int:
    """Returns the most bytes of a checkpoint that holds only the weights to detect with."""
    fixed = (
        {} if trunk else {**state.fixed, **(state.trainable if state.ema else {})}
    )  # with the trunk, the weights that learn stay beside their averages
    return sum(x.nbytes for x in jax.tree.leaves((state.ema or state.trainable, fixed)))


def check_disk(
    folder: Path,
    train: ml_collections.ConfigDict,
    state: TrainState,
    trunk: FrozenTrunk | None,
    saves: int,
    evaluates: bool,
) -> None:
    """Reports what the checkpoints of a run will need, and what is free.

    Args:
      folder: folder of the checkpoints; what it holds is replaced in time, and counts as free.
      train: section `train` of the configuration.
      state: the state of the run.
      trunk: the frozen trunk, if checkpoints leave it out.
      saves: number of checkpoints that will be saved.
      evaluates: whether checkpoints are evaluated, so that the best ones are kept.

    Raises:
      UserError: not even one checkpoint fits.
    """
    one = checkpoint_bytes(state, trunk)
    shared = sum(x.nbytes for x in state.fixed.values()) if trunk and trunk.folder else 0
    best = train.keep_best if evaluates else 0
    # One more is being written before the oldest one is removed.
    most = shared + one * min(train.keep_last + best + len(train.keep_epochs) + 1, saves)
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = free_bytes(folder)
    if saves and shared + one > free + present:
        raise UserError(
            f"{folder}: a checkpoint has {size_in_words(shared + one)}, but "
            f"{size_in_words(free)} are free; free some, or give the run another folder"
        )
    needs = f"{folder}: checkpoints need at most {size_in_words(most)}"
    if not train.keep_optimizer:
        kept = max(best, 1) + len(train.keep_epochs)
        after = shared + kept * detector_bytes(state, trunk)
        needs += f" during training and {size_in_words(min(after, most))} afterwards"
    needs += f"; {size_in_words(free)} are free"
    if most > free + present:
        log.warning("%s: the last ones may not fit; keep fewer (config.train.keep_last)", needs)
    elif saves:
        log.info(needs)
