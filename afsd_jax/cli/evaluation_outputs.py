"""The files that `afsd evaluate` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from afsd_jax.cli.evaluation_inputs import Evaluated
from afsd_jax.cli.printing import print_text
from afsd_jax.diagnosis.analysis import Diagnosis, diagnose
from afsd_jax.diagnosis.checkpoint_calibration import FEWEST_ACTIONS, TIOU, measure
from afsd_jax.diagnosis.evaluation_report import view_of
from afsd_jax.errors import UserError
from afsd_jax.evaluation import tabulate
from afsd_jax.io.files import atomic_write, write_json
from afsd_jax.weights.score_calibration import write_calibration

NAME = "evaluation"  # of the files in a folder


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
            "--calibrate: needs a checkpoint folder; a file cannot store thresholds afterwards"
        )
    known = None
    if diagnosis and diagnosis.operating.tiou == TIOU:
        known = diagnosis.operating, diagnosis.calibration
    kept = measure(tabulate(evaluated.truth, evaluated.found), split, known)
    path = write_calibration(evaluated.folder, kept)
    num_classes = len(
        {action.label for video in evaluated.truth.values() for action in video.actions}
    )
    print_text(
        f"{path}: for detect --min-score auto; classes with a threshold of their own: "
        f"{len(kept.thresholds)} of {num_classes}; all others (fewer than "
        f"{FEWEST_ACTIONS} actions in {split}, or none found): {kept.threshold:.2f}"
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
