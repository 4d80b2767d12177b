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
    hits: NDArray[np.bool_], num_actions: int, typical: float | None = None
) -> NDArray[np.float64]:
    """Returns the precision after each detection.

    Args:
      hits: [..., P], which detections, by descending score, are true positives.
      num_actions: number of true actions, > 0.
      typical: N, for normalised precision; None for plain precision.
    """
    found = np.cumsum(hits, axis=-1)
    false = np.cumsum(~hits, axis=-1)
    weighed = found / num_actions * (num_actions if typical is None else typical)
    return weighed / np.maximum(weighed + false, np.finfo(np.float64).tiny)


def area(
    hits: NDArray[np.bool_], num_actions: int, typical: float | None = None
) -> NDArray[np.float64]:
    """Returns the interpolated average precision, [...]; arguments as of `precision_of`."""
    precision = precision_of(hits, num_actions, typical)
    interpolated = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return np.sum(interpolated, axis=-1, where=hits) / num_actions


def precise_hits(
    hits: NDArray[np.bool_], num_actions: int, typical: float, least: float
) -> NDArray[np.bool_]:
    """Returns the hits at whose rank the normalised precision exceeds `least`.

    DETAD takes an action for found only if so: a detector that returns segments everywhere would
    find all actions otherwise.
    """
    return hits & (precision_of(hits, num_actions, typical) > least)
