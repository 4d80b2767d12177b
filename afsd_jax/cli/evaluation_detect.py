"""Detects in a prepared split, for `afsd evaluate --checkpoint`."""

from pathlib import Path
from typing import NamedTuple

from afsd_jax.cli.detect.job import open_job, print_checkpoints
from afsd_jax.cli.detect.options import DetectOptions
from afsd_jax.data.annotations import Annotations
from afsd_jax.errors import UserError
from afsd_jax.evaluation import tious_of
from afsd_jax.types import AnnotatedVideo, Detection
from afsd_jax.weights.loading import step_folder


class Detected(NamedTuple):
    """The detections of a checkpoint in a prepared split.

    Attributes:
      truth: the annotations of the videos, as they were prepared.
      found: detections by video.
      classes: all classes of the network.
      tious: the thresholds at which its data set is evaluated.
      failed: why videos failed; they are in neither of the two.
      folder: folder of the checkpoint's step; None for a file of PyTorch.
    """

    truth: Annotations
    found: dict[str, list[Detection]]
    classes: list[str]
    tious: tuple[float, ...]
    failed: list[str]
    folder: Path | None


def detect_in_split(checkpoint: Path, data_dir: Path, split: str | None) -> Detected:
    """Detects in all videos of a split.

    Args:
      checkpoint: folder of a checkpoint or of a run, or PyTorch file.
      data_dir: folder of prepared data sets.
      split: name of the split; None: the test split.

    Raises:
      UserError: the checkpoint or the data set cannot be read, or every video failed.
    """
    options = DetectOptions(str(checkpoint), data_dir=data_dir, split=split)
    job = open_job(options)
    print_checkpoints(job.detector, options)
    truth: Annotations = {}
    found: dict[str, list[Detection]] = {}
    for report in job.reports(job.names):
        track = report.track
        truth[track.name] = AnnotatedVideo("", track.duration_s, tuple(track.actions or ()))
        found[track.name] = list(track.detections)
    if not truth:
        raise UserError(job.failed[0])
    dataset = job.detector.config.data.dataset
    step = job.detector.checkpoints[0].step
    folder = None if checkpoint.is_file() else step_folder(checkpoint, step)
    names = job.detector.class_names
    return Detected(truth, found, names, tious_of(dataset), job.failed, folder)
