"""Calibration: how often detections of a score are right.

A detection is right if it takes an action at the chosen tIoU. The reliability diagram compares mean
score and precision of detections in bins of equal width; the expected calibration error is their
mean absolute difference, weighted by the number of detections (Guo et al., On Calibration of Modern
Neural Networks, ICML 2017, section 2). The map from scores to precision is isotonic regression by
pool adjacent violators (Zadrozny and Elkan, KDD 2002), read linearly between its blocks.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import listed
from afsd_jax.evaluation import Tables, match

NUM_BINS = 15  # as many as Guo et al. use


class Calibration(NamedTuple):
    """Reliability in B bins of the score, and the map that mends it.

    Attributes:
      tiou: threshold of the tIoU from which a detection is right.
      edges: [B + 1] edges of the bins, from 0 to 1; a bin includes its upper edge.
      counts: [B] number of detections.
      mean_scores: [B], NaN for empty bins.
      precision: [B] share that is right, NaN for empty bins.
      error: expected calibration error; NaN without detections.
      scores: [N] ascending scores, and values: [N] precision at each.
    """

    tiou: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    error: float
    scores: NDArray[np.float64]
    values: NDArray[np.float64]

    def apply(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the precision to be expected at each score; never falls as scores rise."""
        return np.interp(scores, self.scores, self.values) if len(self.scores) else scores

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "tiou": self.tiou,
            "error": None if np.isnan(self.error) else self.error,
            "bins": {
                "edges": self.edges.tolist(),
                "counts": self.counts.tolist(),
                "mean_score": listed(self.mean_scores),
                "precision": listed(self.precision),
            },
            "map": {"score": self.scores.tolist(), "precision": self.values.tolist()},
        }


def calibrate(
    tables: Tables, tiou: float = 0.5, matched: NDArray[np.int64] | None = None
) -> Calibration:
    """Returns how reliable scores are, over all classes.

    Args:
      tables: ground truth and detections.
      tiou: threshold of the tIoU.
      matched: [P] the action that each detection takes at this tIoU, if known.
    """
    right = (match(tables, (tiou,))[0] if matched is None else matched) >= 0
    scores = tables.scores
    edges = np.linspace(0, 1, NUM_BINS + 1)
    index = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, NUM_BINS - 1)
    counts = np.bincount(index, minlength=NUM_BINS)
    sums = np.bincount(index, scores, minlength=NUM_BINS)
    hits = np.bincount(index, right, minlength=NUM_BINS)
    filled = counts > 0
    unknown = np.full(NUM_BINS, np.nan)
    mean_scores = np.divide(sums, counts, out=unknown.copy(), where=filled)
    precision = np.divide(hits, counts, out=unknown.copy(), where=filled)
    gaps = np.abs(sums - hits)  # of mean score and precision, times the number of detections
    error = float(gaps.sum() / len(scores)) if len(scores) else float("nan")
    knots = isotonic_map(scores, right)
    return Calibration(tiou, edges, counts, mean_scores, precision, error, *knots)


def isotonic_map(
    scores: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the blocks of isotonic regression: [N] their mean scores, and [N] shares right."""
    from scipy.optimize import isotonic_regression

    if not len(scores):
        return np.zeros(0), np.zeros(0)
    distinct, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    share = np.bincount(index, right) / counts
    fitted = isotonic_regression(share, weights=counts)
    first = fitted.blocks[:-1]
    weight = np.add.reduceat(counts, first)
    return np.add.reduceat(distinct * counts, first) / weight, fitted.x[first]
