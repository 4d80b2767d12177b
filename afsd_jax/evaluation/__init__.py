"""Average precision of temporal detections; the rules and the arrays that it is computed from."""

from afsd_jax.evaluation.metrics import BENCHMARKS, SCORE, Benchmark, Metrics, check_tious, tious_of
from afsd_jax.evaluation.overlaps import overlapping, overlaps, tiou
from afsd_jax.evaluation.rules import RULES, average_precision, evaluate, match, score
from afsd_jax.evaluation.tables import (
    AMBIGUOUS,
    Predictions,
    Tables,
    by_class,
    tabulate,
    without_ambiguous,
)

__all__ = [
    "AMBIGUOUS",
    "BENCHMARKS",
    "RULES",
    "SCORE",
    "Benchmark",
    "Metrics",
    "Predictions",
    "Tables",
    "average_precision",
    "by_class",
    "check_tious",
    "evaluate",
    "match",
    "overlapping",
    "overlaps",
    "score",
    "tabulate",
    "tiou",
    "tious_of",
    "without_ambiguous",
]  # fmt: skip
