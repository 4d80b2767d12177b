"""Files of a run's best evaluation: detections, ground truth, and their page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.diagnosis.evaluation_report import view_of
from afsd_jax.evaluation import Tables, tabulate, tious_of
from afsd_jax.io.activitynet_json import read_ground_truth, write_ground_truth, write_predictions
from afsd_jax.io.files import read_json
from afsd_jax.io.json_fields import field, require_dict, text
from afsd_jax.io.predictions_file import read_detections
from afsd_jax.report.evaluation_page import write_evaluation
from afsd_jax.types import AnnotatedVideo, Detection

PAGE = "evaluation.html"
DETECTIONS = "validation_detections.json"
GROUND_TRUTH = "validation_truth.json"
MOST_DETECTIONS = 200_000  # that are kept, the best
SAMPLES = 1000  # of videos, for intervals


class Validation(NamedTuple):
    """The kept evaluation of a run.

    Attributes:
      truth: annotations of the videos.
      tables: the same and the detections, as arrays.
      tious: thresholds.
      how: how the figure was measured, if the run itself had no validation split; else "".
    """

    truth: dict[str, AnnotatedVideo]
    tables: Tables
    tious: tuple[float, ...]
    how: str = ""


def write_validation(
    workdir: Path,
    truth: Mapping[str, AnnotatedVideo],
    found: Mapping[str, Sequence[Detection]],
    tious: Sequence[float],
    step: int,
    dataset: str = "",
    how: str = "",
) -> None:
    """Writes the detections, the ground truth and the page of an evaluation into a run's folder.

    Args:
      workdir: folder of the run.
      truth: annotations of the validation videos.
      found: their detections.
      tious: thresholds.
      step: training step of the weights.
      dataset: name of the data set.
      how: see `Validation`.

    Raises:
      UserError: a file cannot be written.
    """
    scores = np.array([item.score for items in found.values() for item in items])
    least = -np.inf
    if len(scores) > MOST_DETECTIONS:
        least = np.partition(scores, -MOST_DETECTIONS)[-MOST_DETECTIONS]
    kept = {
        name: [detection for detection in items if detection.score >= least]
        for name, items in found.items()
    }
    write_predictions(
        workdir / DETECTIONS, kept, external_data={"step": step, **({"how": how} if how else {})}
    )
    write_ground_truth(workdir / GROUND_TRUTH, truth)
    view = view_of(diagnose(tabulate(truth, found), tious, benchmark=dataset, samples=SAMPLES))
    kind = f": {how}" if how else f", step {step:,}"
    title = f"Validation of {workdir.absolute().name}{kind}"
    write_evaluation(workdir / PAGE, view, title=title)


def validated_step(workdir: Path) -> int | None:
    """Returns the step of the evaluation that a run keeps; None if it keeps none."""
    step = _external_data(workdir).get("step")
    return step if isinstance(step, int) else None


def how_measured(workdir: Path) -> str:
    """Returns how the evaluation that a run keeps was measured; see `Validation`."""
    how = _external_data(workdir).get("how", "")
    return how if isinstance(how, str) else ""


def _external_data(workdir: Path) -> dict[str, Any]:
    """Returns what a run has added to the detections of its evaluation; nothing without any."""
    if not (workdir / DETECTIONS).exists():
        return {}
    place = str(workdir / DETECTIONS)
    content = require_dict(read_json(workdir / DETECTIONS), place)
    return require_dict(content.get("external_data", {}), place)


def read_validation(workdir: Path) -> Validation | None:
    """Returns the evaluation that a run keeps; None if it keeps none.

    Raises:
      UserError: a file is malformed.
    """
    if not (workdir / DETECTIONS).exists() or not (workdir / GROUND_TRUTH).exists():
        return None
    truth = read_ground_truth(workdir / GROUND_TRUTH)
    tables = tabulate(truth, read_detections(workdir / DETECTIONS))
    path = workdir / "config.json"
    data = field(require_dict(read_json(path), str(path)), "data", str(path))
    dataset = text(require_dict(data, f"{path}: data"), "dataset", f"{path}: data")
    return Validation(truth, tables, tious_of(dataset), how_measured(workdir))
