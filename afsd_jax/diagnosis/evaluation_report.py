"""A diagnosis in the form that pages, pictures and tables show."""

import math

import numpy as np

from afsd_jax.diagnosis.analysis import Diagnosis
from afsd_jax.diagnosis.characteristics import Group
from afsd_jax.diagnosis.comparison import Comparison
from afsd_jax.diagnosis.operating_points import OperatingPoint
from afsd_jax.report.comparison_page import Pair
from afsd_jax.report.evaluation_view import Curve, EvaluationView

_UNITS = {"length": (1, " s"), "coverage": (100, " %")}  # factor and unit of each characteristic


def view_of(diagnosis: Diagnosis) -> EvaluationView:
    """Returns the view of a diagnosis, for pages, pictures and tables."""
    errors, misses = diagnosis.false_positives, diagnosis.false_negatives
    calibration, operating = diagnosis.calibration, diagnosis.operating
    curves = {label: _curve(point) for label, point in operating.classes.items()}
    return EvaluationView(
        tables=diagnosis.tables,
        tious=diagnosis.metrics.tious,
        tiou=operating.tiou,
        ap=np.stack(list(diagnosis.metrics.ap.values()), axis=-1),
        rows=errors.rows,
        ranks=errors.groups,
        kinds=errors.kinds,
        targets=errors.targets,
        gains=np.concatenate([errors.gains, misses.missed_gain[:, None]], axis=-1),
        reasons=misses.reasons,
        taken_for=misses.taken_for,
        groups={
            name.capitalize(): [(group_name(name, group), group.actions) for group in groups]
            for name, groups in diagnosis.groups.items()
            if any(len(group.actions) for group in groups)
        },
        curves=curves | {"": _curve(operating.overall)},
        calibration=(
            np.nan_to_num(calibration.mean_scores),
            np.nan_to_num(calibration.precision),
            calibration.counts,
            calibration.error,
        ),
        headline=diagnosis.headline,
        figures=_figures(diagnosis),
        measures=_measures(diagnosis),
        to_label=[(f"{item.kind} {item.name}", item.text) for item in diagnosis.to_label],
    )


def pair_of(comparison: Comparison) -> Pair:
    """Returns the view of a comparison, for a page."""
    ap = comparison.difference.ap
    return Pair(
        comparison.names,
        comparison.verdict,
        np.stack([ap.value, ap.low, ap.high]),
        comparison.only_first,
        comparison.only_second,
        comparison.both,
        comparison.neither,
    )


def group_name(characteristic: str, group: Group) -> str:
    """Returns the edges of a group in words, such as "3–6 s" or "above 40"."""
    factor, unit = _UNITS.get(characteristic, (1, ""))
    low, high = (f"{edge * factor:g}" for edge in (max(group.low, 0), group.high))
    if math.isinf(group.high):
        return f"above {low}{unit}"
    return f"up to {high}{unit}" if group.low <= 0 else f"{low}–{high}{unit}"


def _curve(point: OperatingPoint) -> Curve:
    curve = point.curve
    if math.isnan(point.threshold):
        return Curve(curve.recall, curve.precision, None, 0.0)
    best = int(np.searchsorted(-curve.thresholds, -point.threshold))
    interval = (point.low, point.high) if math.isfinite(point.low) else None
    return Curve(curve.recall, curve.precision, best, point.threshold, interval)


def _figures(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Returns the values at the top of the page, and their names."""
    metrics, at = diagnosis.metrics, diagnosis.threshold
    figures = [
        (f"{100 * metrics.average_map:.1f}", "average mAP, %"),
        (f"{100 * metrics.mean_ap[at]:.1f}", f"mAP at tIoU {diagnosis.operating.tiou:g}, %"),
    ]
    best = _curve(diagnosis.operating.overall).best_point
    if best:
        figures += [
            (f"{100 * best['f1']:.1f}", "best F1 with one threshold, %"),
            (f"{best['threshold']:.2f}", "score of best F1"),
            (f"{100 * best['precision']:.0f} %", "precision there"),
            (f"{100 * best['recall']:.0f} %", "recall there"),
        ]
    return figures


def _measures(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Returns other fields' measures; those that are not defined are left out."""
    steps, segments = diagnosis.time_steps, diagnosis.segmentation
    confusion = steps.confusion
    total = confusion.sum()
    accuracy = np.trace(confusion) / total if total else math.nan
    shares = [
        (f"time steps of {steps.step_s:g} s: accuracy", accuracy),
        ("time steps: mean F1 of the classes", _mean_f1(diagnosis)),
        ("edit score", segments.edit),
        *(
            (f"segments: F1@{overlap}", f1)
            for overlap, f1 in zip((10, 25, 50), segments.f1, strict=True)
        ),
    ]
    measures = [(name, f"{100 * value:.1f} %") for name, value in shares if not math.isnan(value)]
    if not math.isnan(steps.overall_kappa):
        measures.append(("time steps: Cohen's kappa (1: perfect)", f"{steps.overall_kappa:.3f}"))
    return measures


def _mean_f1(diagnosis: Diagnosis) -> float:
    steps = diagnosis.time_steps
    f1 = 2 * steps.both / np.maximum(steps.true + steps.detected, 1)
    return float(np.mean(f1))
