"""A linear probe: how well a linear classifier tells actions apart by features of the trunk.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
The classifier is a ridge regression on one-hot classes, solved in float64 in its dual form.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

PARTS = 3  # of an action, in time; their order tells directions of motion apart
RIDGE = 0.1  # relative to the mean squared length of a description
_LEAST_DEVIATION = 1e-3


def parts_of(start: float, end: float, cells: int) -> list[tuple[int, int]]:
    """Returns the cells [first, stop) of `PARTS` equal parts of an action.

    Args:
      start: when the action starts, in cells.
      end: when it ends; a part has at least the cell in which it starts.
      cells: number of the video's cells, at least 1.
    """
    borders = np.linspace(start, end, PARTS + 1).tolist()
    parts = []
    for lower, upper in itertools.pairwise(borders):
        first = min(max(math.floor(lower), 0), cells - 1)
        parts.append((first, min(max(math.ceil(upper), first + 1), cells)))
    return parts


def predict_left_out(
    views: Sequence[np.ndarray], labels: np.ndarray, folds: np.ndarray
) -> list[np.ndarray]:
    """Returns the class of each example, predicted by a classifier of the other folds' examples.

    Args:
      views: float32 [N, D] each, descriptions of the same examples; the classifiers learn from the
        first view, and predict in all.
      labels: int [N], classes.
      folds: int [N], the fold of each example; there are at least two.

    Returns:
      int [N] for each view.
    """
    predicted = [np.zeros_like(labels) for _ in views]
    classes = np.unique(labels)
    for fold in np.unique(folds):
        held, rest = folds == fold, folds != fold
        learned = views[0][rest]
        mean, scale = learned.mean(0), np.maximum(learned.std(0), _LEAST_DEVIATION)
        x = ((learned - mean) / scale).astype(np.float64)
        targets = (labels[rest][:, None] == classes).astype(np.float64)
        gram = x @ x.T / x.shape[1]
        gram[np.diag_indices_from(gram)] += RIDGE
        weights = x.T @ np.linalg.solve(gram, targets - targets.mean(0)) / x.shape[1]
        for view, found in zip(views, predicted, strict=True):
            scores = (view[held] - mean) / scale @ weights + targets.mean(0)
            found[held] = classes[scores.argmax(1)]
    return predicted


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> list[float]:
    """Returns the mean recall of each fold's classes, for each fold in order.

    Args:
      predicted: int [N], predicted classes.
      labels: int [N], true ones.
      folds: int [N], folds.
    """
    found = []
    for fold in np.unique(folds):
        one = folds == fold
        right, own = (predicted == labels)[one], labels[one]
        found.append(float(np.mean([right[own == label].mean() for label in np.unique(own)])))
    return found
