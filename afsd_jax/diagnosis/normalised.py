"""Average precision normalised for the number of a class's actions (Alwassel et al., ECCV 2018).

A class with few actions has a low precision at the same recall and number of false positives, so
average precisions of different classes, or groups of actions, are not comparable. DETAD (section
3.3, after Hoiem et al., ECCV 2012) computes precision as if each class had the same number N of
actions: recall · N / (recall · N + false positives).
"""

import numpy as np
from numpy.typing import NDArray

from afsd_jax.evaluation import Tables


def typical_count(tables: Tables) -> float:
    """Returns N, the mean number of actions of a class."""
    return len(tables.actions) / len(tables.classes)


def precision_of(
    false: NDArray[np.int64], num_actions: int, typical: float | None = None
) -> NDArray[np.float64]:
    """Returns the precision at each true positive.

    Args:
      false: [K] number of false positives of higher scores than each true positive.
      num_actions: number of true actions, > 0.
      typical: N, for normalised precision; None for plain precision.
    """
    recall = np.arange(1, len(false) + 1) / num_actions
    weighed = recall * (num_actions if typical is None else typical)
    return weighed / (weighed + false)


def area(false: NDArray[np.int64], num_actions: int, typical: float | None = None) -> float:
    """Returns the interpolated average precision; arguments as of `precision_of`."""
    precision = precision_of(false, num_actions, typical)
    return float(np.sum(np.maximum.accumulate(precision[::-1])) / num_actions)


def false_before(hits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the number of false positives before each true positive.

    Args:
      hits: [P], which detections, by descending score, are true positives.
    """
    places = np.flatnonzero(hits)
    return places - np.arange(len(places))
