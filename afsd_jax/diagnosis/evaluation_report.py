"""The analysis of an evaluation in the form that pages, pictures and tables show."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import ApIntervals, evaluate_with_intervals
from afsd_jax.diagnosis.characteristics import Group, edges_for, group_actions
from afsd_jax.diagnosis.false_negatives import FalseNegatives, analyse_false_negatives
from afsd_jax.diagnosis.false_positives import FalsePositives, analyse_false_positives
from afsd_jax.evaluation import Metrics, Tables, by_class, match, score
from afsd_jax.report.evaluation_view import Curve, EvaluationView

TIOU = 0.5  # of curves, thresholds and calibration, if it is among the thresholds
BINS = 10  # of scores


class Analysis(NamedTuple):
    """What is known about an evaluation.

    Attributes:
      tables: ground truth and detections.
      tiou: threshold of curves and calibration.
      metrics: average precisions.
      intervals: their 95 % intervals.
      matched: [H, P] the action that each detection takes; -1: none.
      false_positives, false_negatives: the errors.
      groups: actions by length and so on.
    """

    tables: Tables
    tiou: float
    metrics: Metrics
    intervals: ApIntervals
    matched: NDArray[np.int64]
    false_positives: FalsePositives
    false_negatives: FalseNegatives
    groups: Mapping[str, Sequence[Group]]

    def as_dict(self) -> dict[str, Any]:
        """The analysis as JSON values."""
        return {
            **self.metrics.as_dict(),
            "intervals": self.intervals.as_dict(),
            "false_positives": self.false_positives.as_dict(),
            "false_negatives": self.false_negatives.as_dict(),
            "sensitivity": {
                name: [group.as_dict() for group in groups] for name, groups in self.groups.items()
            },
        }


def analyse(
    tables: Tables, tious: Sequence[float], benchmark: str = "", samples: int = 10_000
) -> Analysis:
    """Returns the analysis of an evaluation by the rule `activitynet`.

    Args:
      tables: ground truth and detections.
      tious: the H thresholds.
      benchmark: name of the benchmark, whose groups of actions are DETAD's; others are quintiles.
      samples: number of samples of videos for the intervals.
    """
    tious = tuple(tious)
    matched = match(tables, tious)
    false_positives = analyse_false_positives(tables, tious, matched=matched)
    false_negatives = analyse_false_negatives(tables, false_positives, matched=matched)
    return Analysis(
        tables,
        min(tious, key=lambda tiou: abs(tiou - TIOU)),
        score(tables, tious, matched),
        evaluate_with_intervals(tables, tious, samples, matched=matched),
        matched,
        false_positives,
        false_negatives,
        group_actions(tables, edges_for(tables, benchmark), false_negatives.found, matched),
    )


def view_of(analysis: Analysis) -> EvaluationView:
    """Returns what pages, pictures and tables show of an analysis."""
    false_positives, false_negatives = analysis.false_positives, analysis.false_negatives
    gains = [false_positives.gains, false_negatives.missed_gain[:, None]]
    return EvaluationView(
        tables=analysis.tables,
        tious=analysis.metrics.tious,
        tiou=analysis.tiou,
        ap=np.stack(list(analysis.metrics.ap.values()), axis=-1),
        rows=false_positives.rows,
        ranks=false_positives.groups,
        kinds=false_positives.kinds,
        targets=false_positives.targets,
        gains=np.concatenate(gains, axis=-1),
        reasons=false_negatives.reasons,
        taken_for=false_negatives.taken_for,
        groups={
            name: [(group_name(name, group), group.actions) for group in groups]
            for name, groups in analysis.groups.items()
            if any(len(group.actions) for group in groups)
        },
        curves=_curves(analysis),
        calibration=_calibration(analysis),
        headline=_headline(analysis),
        figures=_figures(analysis),
        measures=(),
        to_label=(),
    )


def group_name(characteristic: str, group: Group) -> str:
    """Returns the edges of a group in words, such as "3–6 s" or "above 40"."""
    factor, unit = {"length": (1, " s"), "coverage": (100, " %")}.get(characteristic, (1, ""))
    low, high = (f"{edge * factor:g}" for edge in (max(group.low, 0), group.high))
    if math.isinf(group.high):
        return f"above {low}{unit}"
    return f"up to {high}{unit}" if group.low <= 0 else f"{low}–{high}{unit}"


def _hits(analysis: Analysis) -> NDArray[np.bool_]:
    """Returns [P]: the detections that are right at the threshold of curves."""
    return analysis.matched[analysis.metrics.tious.index(analysis.tiou)] >= 0


def _curves(analysis: Analysis) -> dict[str, Curve]:
    tables, hits = analysis.tables, _hits(analysis)
    chosen = [*by_class(tables), np.arange(len(tables.scores))]
    totals = [*tables.num_actions.tolist(), len(tables.actions)]
    return {
        label: _curve(hits[rows], tables.scores[rows], total)
        for label, rows, total in zip((*tables.classes, ""), chosen, totals, strict=True)
    }


def _curve(hits: NDArray[np.bool_], scores: NDArray[np.float64], total: int) -> Curve:
    right, count = np.cumsum(hits), np.arange(1, len(hits) + 1)
    f1 = 2 * right / (count + total)
    # A threshold keeps all detections of one score.
    last = np.append(scores[1:] < scores[:-1], [True] * min(len(scores), 1))
    best = int(np.argmax(np.where(last, f1, -1.0))) if hits.any() else None
    threshold = 0.0 if best is None else float(scores[best])
    return Curve(right / total, right / count, best, threshold)


def _calibration(
    analysis: Analysis,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], float]:
    scores, hits = analysis.tables.scores, _hits(analysis)
    places = np.clip((scores * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    mean_score = np.bincount(places, scores, BINS) / np.maximum(counts, 1)
    precision = np.bincount(places, hits, BINS) / np.maximum(counts, 1)
    error = np.sum(counts * np.abs(mean_score - precision)) / max(len(scores), 1)
    return mean_score, precision, counts, float(error)


def _figures(analysis: Analysis) -> list[tuple[str, str]]:
    """Returns the values at the top of the page, and their names."""
    at = analysis.metrics.tious.index(analysis.tiou)
    best = _curves(analysis)[""].best_point or {"f1": 0.0, "threshold": 0.0, "precision": 0.0}
    found = np.mean(analysis.false_negatives.found[at])
    return [
        (f"{100 * analysis.metrics.average_map:.1f}", "average mAP, %"),
        (f"{100 * analysis.metrics.mean_ap[at]:.1f}", f"mAP at tIoU {analysis.tiou:g}, %"),
        (f"{100 * found:.0f} %", "of actions found"),
        (f"{best['f1']:.3f}", "best F1 of all classes"),
        (f"{best['threshold']:.2f}", "score of best F1"),
        (f"{100 * best['precision']:.0f} %", "precision there"),
    ]


def _headline(analysis: Analysis) -> list[str]:
    average = analysis.intervals.average
    value, low, high = (100 * float(part) for part in average)
    return [f"Average mAP is {value:.1f} % (95 % interval over videos: {low:.1f} to {high:.1f})."]
