"""The least scores to show and what scores mean, measured for a checkpoint on one split."""

import math
from pathlib import Path

from afsd_jax.diagnosis.calibration import Calibration, calibrate
from afsd_jax.diagnosis.operating_points import OperatingPoints, find_operating_points
from afsd_jax.diagnosis.validation_files import read_validation, validated_step
from afsd_jax.errors import UserError
from afsd_jax.evaluation import Tables, match
from afsd_jax.weights.score_calibration import NAME, ScoreCalibration, write_calibration

TIOU = 0.5  # from which a detection is right
FEWEST_ACTIONS = 10  # of which a threshold is chosen


def measure(
    tables: Tables, split: str, known: tuple[OperatingPoints, Calibration] | None = None
) -> ScoreCalibration:
    """Returns the thresholds of best F1 and the map from scores to precision, at tIoU `TIOU`.

    A class has a threshold of its own from `FEWEST_ACTIONS` actions on: from fewer, the best one is
    that of the accident that they were found.

    Args:
      tables: ground truth and detections of the split.
      split: its name.
      known: operating points and calibration at `TIOU`, if they have been computed.

    Raises:
      UserError: no detection is right, or the split has too few actions.
    """
    if known is None:
        (matched,) = match(tables, (TIOU,))
        known = (
            find_operating_points(tables, TIOU, matched=matched),
            calibrate(tables, TIOU, matched),
        )
    operating, calibration = known
    if math.isnan(operating.overall.threshold):
        raise UserError(f"no detection is right at tIoU {TIOU:g}: nothing to calibrate")
    if (count := operating.overall.curve.num_actions) < FEWEST_ACTIONS:
        raise UserError(
            f"the split {split} has {count} actions, too few for a threshold; choose a split with "
            f"{FEWEST_ACTIONS} or more"
        )
    enough = {x: p for x, p in operating.classes.items() if p.curve.num_actions >= FEWEST_ACTIONS}
    thresholds = {x: p.threshold for x, p in enough.items() if not math.isnan(p.threshold)}
    return ScoreCalibration(
        split,
        TIOU,
        operating.overall.threshold,
        thresholds,
        tuple(calibration.scores.tolist()),
        tuple(calibration.values.tolist()),
    )


def calibrate_run(workdir: Path, split: str) -> Path | None:
    """Measures the checkpoint of a run's best evaluation with the detections that the run keeps.

    Args:
      workdir: folder of the run.
      split: name of the validation split.

    Returns:
      The file that was written; None if the run keeps no evaluation or not its checkpoint, if that
      has been measured, or if the evaluation says too little.

    Raises:
      UserError: a file is malformed or cannot be written.
    """
    validation, step = read_validation(workdir), validated_step(workdir)
    folder = workdir / "checkpoints" / str(step)
    if validation is None or not folder.is_dir() or (folder / NAME).exists():
        return None
    try:
        measured = measure(validation.tables, split)
    except UserError:  # too few actions, or nothing is right
        return None
    return write_calibration(folder, measured)
