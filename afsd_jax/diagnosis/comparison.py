"""Comparison of two systems: a clear difference, or chance in the choice of videos.

Both systems are scored on the same samples of videos (a paired bootstrap, see `bootstrap`), so
effects of a video that both share cancel out. A difference is clear if its 95 % interval does not
contain 0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import (
    LEVEL,
    ApIntervals,
    ap_intervals,
    draw_weights,
    resample_ap,
)
from afsd_jax.errors import UserError
from afsd_jax.evaluation import Metrics, Tables, check_tious, match, score


class Comparison(NamedTuple):
    """Two systems, evaluated on the same videos at H thresholds.

    Attributes:
      names: names of the first and the second system.
      classes: the C classes.
      tious: the H thresholds.
      samples: number of samples of videos.
      metrics: metrics of the first and the second system.
      difference: mAP and AP of the first system less that of the second, in [-1, 1].
      only_first: for each threshold the actions that only the first system finds, rows of the
        tables; only_second: the reverse.
      both: [H] number of actions that both find; neither: [H].
      verdict: one or two sentences.
    """

    names: tuple[str, str]
    classes: tuple[str, ...]
    tious: tuple[float, ...]
    samples: int
    metrics: tuple[Metrics, Metrics]
    difference: ApIntervals
    only_first: tuple[NDArray[np.int64], ...]
    only_second: tuple[NDArray[np.int64], ...]
    both: NDArray[np.int64]
    neither: NDArray[np.int64]
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        ap = self.difference.ap.as_dict()
        of_class = {key: dict(zip(self.classes, value, strict=True)) for key, value in ap.items()}
        return {
            "systems": list(self.names),
            "verdict": self.verdict,
            "tious": list(self.tious),
            "samples": self.samples,
            "average_mAP": [metrics.average_map for metrics in self.metrics],
            "difference": self.difference.as_dict() | {"ap": of_class},
            "found_by": {
                "both": self.both.tolist(),
                "only the first": [len(rows) for rows in self.only_first],
                "only the second": [len(rows) for rows in self.only_second],
                "neither": self.neither.tolist(),
            },
        }


def compare(
    first: Tables,
    second: Tables,
    tious: Sequence[float],
    names: tuple[str, str] = ("A", "B"),
    samples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compares two systems.

    Args:
      first: ground truth and detections of one system.
      second: the same ground truth, and detections of the other.
      tious: the H thresholds.
      names: names of the systems, for the verdict.
      samples: number of samples of videos.
      seed: seed of the samples; the same seed draws the same videos.

    Raises:
      UserError: the ground truths differ, or a threshold is out of range.

    Example:
      >>> from afsd_jax.evaluation import tabulate
      >>> from afsd_jax.types import Action, AnnotatedVideo, Detection
      >>> truth = {"a": AnnotatedVideo("test", 60.0, (Action("jump", 2.0, 6.0),))}
      >>> found = {"a": [Detection("jump", 0.9, 2.0, 5.0)]}
      >>> compare(tabulate(truth, found), tabulate(truth, {}), (0.5,)).verdict
      'A has 100.0 points of mAP at tIoU 0.5 more than B; a single video gives no interval.'
    """
    check_tious(tious)
    _check_same_truth(first, second)
    matched = match(first, tious), match(second, tious)
    metrics = score(first, tious, matched[0]), score(second, tious, matched[1])
    ap, other = (np.array(list(result.ap.values())) for result in metrics)
    weights = draw_weights(len(first.videos), samples, seed)
    sampled = resample_ap(first, weights, matched[0]) - resample_ap(second, weights, matched[1])
    difference = ap_intervals(ap - other, sampled, len(first.videos))
    found = _found(first, matched[0]), _found(second, matched[1])
    return Comparison(
        names,
        first.classes,
        tuple(tious),
        samples,
        metrics,
        difference,
        tuple(np.flatnonzero(a & ~b) for a, b in zip(*found, strict=True)),
        tuple(np.flatnonzero(b & ~a) for a, b in zip(*found, strict=True)),
        np.count_nonzero(found[0] & found[1], axis=-1),
        np.count_nonzero(~found[0] & ~found[1], axis=-1),
        verdict_of(names, difference, tious),
    )


def verdict_of(names: tuple[str, str], difference: ApIntervals, tious: Sequence[float]) -> str:
    """Returns what the intervals say of two systems, in words; numbers are points (percent).

    The first sentence compares the mean over classes and thresholds: one system is better if the
    interval of the difference does not contain 0. With several classes, the second counts those
    whose interval (of the mean over thresholds) does not contain 0. One video has no interval.
    """
    value, low, high = (100 * float(bound) for bound in difference.average)
    better, worse = names if value >= 0 else names[::-1]
    if value < 0:
        value, low, high = -value, -high, -low
    at = f"tIoU {tious[0]:g}" if len(tious) == 1 else f"tIoU {tious[0]:g} to {tious[-1]:g}"
    if np.isnan(low):
        said = f"{better} has {value:.1f} points of mAP at {at} more than {worse}"
        if value == 0:
            said = f"{names[0]} and {names[1]} have the same mAP at {at}"
        return f"{said}; a single video gives no interval."
    bounds = f"95 % interval {low:+.1f} to {high:+.1f}"
    if low > 0:
        text = f"{better} is better than {worse}: {value:+.1f} points of mAP at {at} ({bounds})."
    elif value == low == high == 0:
        text = f"{names[0]} and {names[1]} have the same mAP at {at} in every sample of videos."
    else:
        text = (
            f"Neither {names[0]} nor {names[1]} is clearly better: {better} has {value:+.1f} "
            f"points of mAP at {at}, but the {bounds} contains 0."
        )
    clear = difference.average_of_classes.excludes_zero
    if len(clear) > 1:
        ahead = int(np.count_nonzero(clear & (difference.average_of_classes.value > 0)))
        behind = int(np.count_nonzero(clear)) - ahead
        chance = (1 - LEVEL) * len(clear)
        number = f"about {chance:.0f}" if chance >= 1 else "less than one"
        text += (
            f" Of {len(clear)} classes, {names[0]} is clearly better in {ahead} and {names[1]} in "
            f"{behind}; {number} would be so by chance alone."
        )
    return text


def _check_same_truth(first: Tables, second: Tables) -> None:
    same = (
        first.classes == second.classes
        and first.videos == second.videos
        and np.array_equal(first.actions, second.actions)
        and np.array_equal(first.action_classes, second.action_classes)
        and np.array_equal(first.action_videos, second.action_videos)
    )
    if not same:
        raise UserError("systems are compared on the same ground truth: these have different ones")


def _found(tables: Tables, matched: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns which actions a detection takes: [H, A]."""
    found = np.zeros((len(matched), len(tables.actions)), np.bool_)
    for row, actions in zip(found, matched, strict=True):
        row[actions[actions >= 0]] = True
    return found
