"""mAP by tIoU from 0.3 to 0.9, and its spread over seeds."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from afsd_jax.evaluation import evaluate
from afsd_jax.types import AnnotatedVideo, Detection

TIOUS = tuple(np.round(np.arange(0.3, 0.91, 0.1), 1).tolist())


def map_by_tiou(
    truth: Mapping[str, AnnotatedVideo], found: Mapping[str, Sequence[Detection]]
) -> dict[str, float]:
    """Returns mAP by tIoU, such as "0.5", and their mean as "average"."""
    values = evaluate(truth, found, TIOUS).mean_ap
    by_tiou = {f"{tiou:g}": round(float(v), 4) for tiou, v in zip(TIOUS, values, strict=True)}
    return by_tiou | {"average": round(float(np.mean(values)), 4)}


def spread(of_seeds: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, list[float]]:
    """Returns the median, the smallest and the largest of some figures over seeds.

    Args:
      of_seeds: results of `map_by_tiou`.
      names: names of the figures.
    """
    figures = {}
    for name in names:
        values = [of_seed[name] for of_seed in of_seeds]
        figures[name] = [statistics.median(values), min(values), max(values)]
    return figures
