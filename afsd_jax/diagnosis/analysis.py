"""The whole analysis of one system's detections."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from afsd_jax.diagnosis.advice import Recommendation, headline, what_to_label
from afsd_jax.diagnosis.bootstrap import ApIntervals, evaluate_with_intervals
from afsd_jax.diagnosis.calibration import Calibration, calibrate
from afsd_jax.diagnosis.characteristics import (
    ByClass,
    Group,
    edges_for,
    group_actions,
    summarise_classes,
)
from afsd_jax.diagnosis.false_negatives import FalseNegatives, analyse_false_negatives
from afsd_jax.diagnosis.false_positives import FalsePositives, analyse_false_positives
from afsd_jax.diagnosis.operating_points import OperatingPoints, find_operating_points
from afsd_jax.diagnosis.segmentation_scores import SegmentationScores, score_segments
from afsd_jax.diagnosis.time_steps import STEP_S, TimeSteps, draw_timeline, measure_time_steps
from afsd_jax.evaluation import Metrics, Tables, check_tious, match, score

_POINT_SAMPLES = 1000  # of videos for the intervals of thresholds


class Diagnosis(NamedTuple):
    """The analysis of one system at H thresholds.

    Attributes:
      tables: ground truth and detections; rows of other fields are rows of these.
      threshold: position of the tIoU at which sentences, operating points, calibration, time steps
        and scores of segments are computed.
      metrics: average precisions.
      intervals: the same, with 95 % intervals.
      false_positives, normalised: errors with gains of mAP, and of normalised mAP.
      false_negatives: why actions are not found.
      classes: actions by class.
      groups: actions by length, coverage and number of instances.
      operating: precision, recall and F1 over thresholds of the score.
      calibration: reliability of the scores.
      time_steps, segmentation: with each class's threshold of the best F1.
      headline: the most important findings, one sentence each.
      to_label: where more labels would pay.
    """

    tables: Tables
    threshold: int
    metrics: Metrics
    intervals: ApIntervals
    false_positives: FalsePositives
    normalised: FalsePositives
    false_negatives: FalseNegatives
    classes: ByClass
    groups: dict[str, tuple[Group, ...]]
    operating: OperatingPoints
    calibration: Calibration
    time_steps: TimeSteps
    segmentation: SegmentationScores
    headline: tuple[str, ...]
    to_label: tuple[Recommendation, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values: those of the metrics, and an entry for each analysis."""
        ap = self.intervals.ap.as_dict()
        of_class = {
            key: dict(zip(self.tables.classes, values, strict=True)) for key, values in ap.items()
        }
        return {
            **self.metrics.as_dict(),
            "headline": list(self.headline),
            "what_to_label": [item.as_dict() for item in self.to_label],
            "intervals": self.intervals.as_dict() | {"ap": of_class},
            "false_positives": self.false_positives.as_dict(),
            "normalised": self.normalised.as_dict(),
            "false_negatives": self.false_negatives.as_dict(),
            "confusion": {
                "classes": list(self.tables.classes),
                "unfound_taken_for": self.false_negatives.confusion(self.tables).tolist(),
            },
            "classes": self.classes.as_dict(),
            "characteristics": {
                name: [group.as_dict() for group in groups] for name, groups in self.groups.items()
            },
            "operating_points": self.operating.as_dict(),
            "calibration": self.calibration.as_dict(),
            "time_steps": self.time_steps.as_dict(),
            "segmentation": self.segmentation.as_dict(),
        }


def diagnose(
    tables: Tables,
    tious: Sequence[float],
    tiou: float | None = None,
    benchmark: str = "",
    samples: int = 10_000,
    seed: int = 0,
    step_s: float = STEP_S,
) -> Diagnosis:
    """Returns the whole analysis of one system, by the rule `activitynet`.

    Args:
      tables: ground truth and detections.
      tious: the H thresholds.
      tiou: threshold of the analyses at a single tIoU; default 0.5, or the middle of `tious`.
      benchmark: benchmark that sets the groups by length, coverage and number: thumos14,
        activitynet, or "" for groups of about equal size.
      samples: number of samples of videos for intervals of mAP.
      seed: seed of the samples.
      step_s: length of a time step, seconds.

    Raises:
      UserError: a threshold is out of range.
      ValueError: `tiou` is not among `tious`.

    Example:
      >>> from afsd_jax import evaluation, types
      >>> video = types.AnnotatedVideo("test", 60.0, (types.Action("jump", 2.0, 6.0),))
      >>> found = {"a": [types.Detection("jump", 0.9, 2.0, 5.0)]}
      >>> diagnose(evaluation.tabulate({"a": video}, found), (0.5, 0.8)).headline[0]
      'mAP is 50.0 % at tIoU 0.5 to 0.8.'
    """
    check_tious(tious)
    h, matched = _threshold(tious, tiou), match(tables, tious)
    intervals = evaluate_with_intervals(tables, tious, samples, seed, matched)
    errors, normalised = (
        analyse_false_positives(tables, tuple(tious), normalised=kind, matched=matched)
        for kind in (False, True)
    )
    misses = analyse_false_negatives(tables, errors, matched=matched)
    groups = group_actions(tables, edges_for(tables, benchmark), misses.found, matched)
    few = min(samples, _POINT_SAMPLES)
    operating = find_operating_points(tables, tious[h], few, seed, matched[h])
    calibration, lengths = calibrate(tables, tious[h], matched[h]), groups.get("length", ())
    return Diagnosis(
        tables,
        h,
        score(tables, tious, matched),
        intervals,
        errors,
        normalised,
        misses,
        summarise_classes(tables, misses.found, matched),
        groups,
        operating,
        calibration,
        *_by_time_step(tables, operating, step_s),
        headline(tables, h, intervals, errors, misses, lengths, operating, calibration),
        what_to_label(tables, h, errors, misses, lengths),
    )


def _by_time_step(
    tables: Tables, operating: OperatingPoints, step_s: float
) -> tuple[TimeSteps, SegmentationScores]:
    """Returns the measures by time step and segment, with each class's best threshold."""
    least = operating.thresholds()
    timeline = draw_timeline(tables, least, step_s)
    steps = measure_time_steps(tables, timeline, least)
    return steps, score_segments(timeline, len(tables.classes))


def _threshold(tious: Sequence[float], tiou: float | None) -> int:
    """Returns the position of the chosen tIoU."""
    if tiou is None:
        near = np.flatnonzero(np.isclose(tious, 0.5))
        return int(near[0]) if len(near) else len(tious) // 2
    return list(tious).index(tiou)
