"""The files that `afsd evaluate` writes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from afsd_jax.cli.evaluation_inputs import Evaluated
from afsd_jax.cli.printing import print_text
from afsd_jax.diagnosis.analysis import Diagnosis, diagnose
from afsd_jax.diagnosis.calibration import calibrate
from afsd_jax.diagnosis.evaluation_report import view_of
from afsd_jax.diagnosis.operating_points import find_operating_points
from afsd_jax.errors import UserError
from afsd_jax.evaluation import match, tabulate
from afsd_jax.io.files import atomic_write, write_json
from afsd_jax.weights.score_calibration import ScoreCalibration, write_calibration

NAME = "evaluation"  # of the files in a folder
_CALIBRATED_TIOU = 0.5
_FEWEST_ACTIONS = 10  # of which a threshold is chosen


def outputs_of(
    report: Path | None, formats: Sequence[str] | None, output: Path | None
) -> dict[str, Path]:
    """Returns the file of each format.

    Args:
      report: page to write.
      formats: formats to write into the folder `output`.
      output: the folder; without formats a JSON file; None: nothing else than the page.
    """
    if formats and output:
        return {name: output / f"{NAME}.{name}" for name in formats}
    files = {"html": report, "json": output}
    return {name: path for name, path in files.items() if path}


def calibrate_checkpoint(
    evaluated: Evaluated, split: str, diagnosis: Diagnosis | None = None
) -> None:
    """Keeps thresholds and a map of scores, at tIoU 0.5, with the checkpoint that detected.

    Args:
      evaluated: its detections and the ground truth.
      split: name of the split.
      diagnosis: the analysis of `evaluated`, if it is known.

    Raises:
      UserError: the checkpoint is no folder, nothing that it detects is right, or the file cannot
        be written.
    """
    if evaluated.folder is None:
        raise UserError(
            "--calibrate: needs a checkpoint folder; a PyTorch file cannot store thresholds"
        )
    if diagnosis and diagnosis.operating.tiou == _CALIBRATED_TIOU:
        operating, calibration = diagnosis.operating, diagnosis.calibration
    else:
        tables = tabulate(evaluated.truth, evaluated.found)
        (matched,) = match(tables, (_CALIBRATED_TIOU,))
        operating = find_operating_points(tables, _CALIBRATED_TIOU, matched=matched)
        calibration = calibrate(tables, _CALIBRATED_TIOU, matched)
    if math.isnan(operating.overall.threshold):
        raise UserError(f"no detection is right at tIoU {operating.tiou:g}: nothing to calibrate")
    if (count := operating.overall.curve.num_actions) < _FEWEST_ACTIONS:
        raise UserError(
            f"--calibrate: the split {split} has {count} actions, too few for a threshold; give a "
            f"split with {_FEWEST_ACTIONS} or more (--split)"
        )
    # From few actions, the best threshold is that of the accident that they were found.
    enough = {x: p for x, p in operating.classes.items() if p.curve.num_actions >= _FEWEST_ACTIONS}
    thresholds = {x: p.threshold for x, p in enough.items() if not math.isnan(p.threshold)}
    scores = tuple(calibration.scores.tolist())
    precision = tuple(calibration.values.tolist())
    kept = ScoreCalibration(
        split, operating.tiou, operating.overall.threshold, thresholds, scores, precision
    )
    path = write_calibration(evaluated.folder, kept)
    print_text(
        f"{path}: for detect --min-score auto; classes with a threshold of their own: "
        f"{len(thresholds)} of {len(operating.classes)}; all others (fewer than "
        f"{_FEWEST_ACTIONS} actions in {split}, or none found): {kept.threshold:.2f}"
    )


def analyse(evaluated: Evaluated, benchmark: str) -> Diagnosis:
    """Returns the whole analysis of detections.

    Args:
      evaluated: detections and ground truth.
      benchmark: name of the benchmark; "": none.

    Raises:
      UserError: the ground truth has no action, or a threshold is out of range.
    """
    tables = tabulate(evaluated.truth, evaluated.found)
    return diagnose(tables, evaluated.tious, benchmark=benchmark)


def write(
    evaluated: Evaluated,
    diagnosis: Diagnosis,
    outputs: Mapping[str, Path],
    files: Mapping[str, Path],
) -> None:
    """Writes the analysis of detections.

    Args:
      evaluated: detections and ground truth.
      diagnosis: its analysis.
      outputs: file of each format.
      files: video files for the page, by name of the video.

    Raises:
      UserError: a file cannot be written.
    """
    view = view_of(diagnosis)
    title = f"Evaluation of {evaluated.name}"
    for name, path in outputs.items():
        path.parent.mkdir(exist_ok=True)
        if name == "json":
            write_json(path, {**diagnosis.as_dict(), "notes": evaluated.notes})
        elif name == "csv":
            from afsd_jax.report.evaluation_table import csv_table

            with atomic_write(path) as temporary:
                temporary.write_text(csv_table(view), encoding="utf-8", newline="")
        elif name == "png":
            from afsd_jax.report.evaluation_figure import draw_evaluation

            draw_evaluation(path, view, title)
        else:
            from afsd_jax.report.evaluation_page import write_evaluation

            notes, classes = evaluated.notes, evaluated.classes
            write_evaluation(path, view, title=title, notes=notes, files=files, labels=classes)
        print_text(f"{path}: " + ("open it in a browser" if name == "html" else "written"))
