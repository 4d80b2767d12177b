"""Average precision by the rule of the ActivityNet toolkit, or of the THUMOS'14 kit.

By the toolkit's rule, results equal those of its `eval_detection.py`, the standard on both
benchmarks. Results on THUMOS14 from before about 2018 follow the rule of the challenge's own kit,
`TH14evalDet_Updated.m`. All thresholds, classes and videos are matched at once.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError
from afsd_jax.evaluation.metrics import Metrics, check_tious
from afsd_jax.evaluation.overlaps import overlapping, overlaps
from afsd_jax.evaluation.tables import AMBIGUOUS, Predictions, Tables, by_class, tabulate
from afsd_jax.types import AnnotatedVideo

RULES = ("activitynet", "thumos14-kit")


def evaluate(
    ground_truth: Mapping[str, AnnotatedVideo],
    predictions: Predictions,
    tious: Sequence[float],
    rule: str = "activitynet",
) -> Metrics:
    """Scores detections against the ground truth.

    By the rule `activitynet`, detections of each class are visited by descending score (equal
    scores: in the given order). Each takes the free action of its video with the highest tIoU if
    that reaches the threshold; else it is a false positive. AP is the area under the interpolated
    precision-recall curve.

    By the rule `thumos14-kit`, each action takes the free detection that overlaps it best, whatever
    its score, if their tIoU is above the threshold. Other detections are false positives, unless
    they touch an action labelled Ambiguous. AP is not interpolated: it is the sum of the precision
    at each true positive over the number of actions. Equal scores: in the order of the truth's
    videos.

    Args:
      ground_truth: the annotated videos. An action without length cannot be found.
      predictions: detections by video, or as columns; unknown videos and classes are ignored.
      tious: the H thresholds, in (0, 1].
      rule: one of `RULES`.

    Raises:
      UserError: the ground truth has no action, or a threshold is out of range.

    Example:
      >>> from afsd_jax.types import Action, AnnotatedVideo, Detection
      >>> truth = {"a": AnnotatedVideo("test", 60.0, (Action("jump", 2.0, 6.0),))}
      >>> metrics = evaluate(truth, {"a": [Detection("jump", 0.9, 2.0, 5.0)]}, (0.5, 0.8))
      >>> metrics.mean_ap.tolist()
      [1.0, 0.0]
    """
    check_tious(tious)
    if rule not in RULES:
        raise UserError(f"the rule must be one of {', '.join(RULES)}, not {rule!r}")
    if rule == "activitynet":
        return score(tabulate(ground_truth, predictions), tious)
    return _score_by_kit(tabulate(ground_truth, predictions, AMBIGUOUS), tious)


def score(
    tables: Tables, tious: Sequence[float], matched: NDArray[np.int64] | None = None
) -> Metrics:
    """Returns the average precisions by the rule `activitynet`; see `evaluate`.

    Args:
      tables: ground truth and detections.
      tious: the H thresholds.
      matched: [H, P] the result of `match` at these thresholds, if known.
    """
    hits = (match(tables, tious) if matched is None else matched) >= 0
    ap = {
        label: average_precision(hits[:, rows], int(tables.num_actions[index]))
        for index, (label, rows) in enumerate(zip(tables.classes, by_class(tables), strict=True))
    }
    return Metrics(tuple(tious), ap)


def match(tables: Tables, tious: Sequence[float]) -> NDArray[np.int64]:
    """Returns the action that each detection takes by the rule `activitynet`; see `evaluate`.

    Detections that choose by descending score end where deferred acceptance (Gale and Shapley,
    1962) ends, if each action prefers the detection of the highest score: both give the only stable
    matching. So in each round all detections that have no action ask for the best one that has not
    refused them, and each action keeps the detection of the highest score.

    Returns:
      [H, P]: rows of actions; -1 for false positives.
    """
    found, actions, overlap = overlaps(tables, min(tious))
    order = np.lexsort((actions, -overlap, found))
    found, actions, overlap = found[order], actions[order], overlap[order]
    first = np.flatnonzero(np.diff(found, prepend=-1))
    askers = found[first]
    matched = np.full((len(tious), len(tables.scores)), -1, np.int64)
    for row, threshold in zip(matched, tious, strict=True):
        last = first + np.add.reduceat(overlap >= threshold, first) if len(first) else first
        keeper = np.full(len(tables.actions), len(askers))  # of each action: a position in askers
        choice = first.copy()
        asking = np.flatnonzero(choice < last)
        while len(asking):
            before = keeper.copy()
            np.minimum.at(keeper, actions[choice[asking]], asking)
            replaced = before[(before != keeper) & (before < len(askers))]
            involved = np.concatenate([asking, replaced])
            refused = involved[keeper[actions[choice[involved]]] != involved]
            choice[refused] += 1
            asking = refused[choice[refused] < last[refused]]
        kept = keeper < len(askers)
        row[askers[keeper[kept]]] = np.flatnonzero(kept)
    return matched


def average_precision(hits: NDArray[np.bool_], num_actions: int) -> NDArray[np.float64]:
    """Returns the area under the interpolated precision-recall curve.

    Args:
      hits: [H, P], which detections, by descending score, are true positives.
      num_actions: number of true actions, > 0.

    Returns:
      [H], float64.
    """
    precision = np.cumsum(hits, axis=-1) / np.arange(1, hits.shape[-1] + 1)
    # Interpolated: the best precision at this or a higher recall. Each hit adds 1/num_actions.
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=-1)[:, ::-1]
    return np.sum(interpolated, axis=-1, where=hits) / num_actions


def _score_by_kit(tables: Tables, tious: Sequence[float]) -> Metrics:
    found, actions, overlap = overlaps(tables, min(tious))
    order = np.argsort(actions, kind="stable")  # by action; within one, by descending score
    found, actions, overlap = found[order], actions[order], overlap[order]
    hits = np.zeros((len(tious), len(tables.scores)), np.bool_)
    above = overlap > np.array(tious)[:, None]
    starts = np.flatnonzero(np.diff(actions, prepend=-1))
    for begin, end in pairwise([*starts, len(actions)]):
        rows = found[begin:end]
        free = above[:, begin:end] & ~hits[:, rows]
        best = np.argmax(np.where(free, overlap[begin:end], -1.0), axis=-1)
        taken = np.flatnonzero(free.any(axis=-1))
        hits[taken, rows[best[taken]]] = True
    touching = overlapping(
        tables.detections,
        tables.detection_videos,
        tables.doubtful,
        tables.doubtful_videos,
        np.finfo(np.float64).tiny,
    )[0]
    doubtful = np.zeros(len(tables.scores), np.bool_)
    doubtful[touching] = True
    ap = {}
    for index, (label, rows) in enumerate(zip(tables.classes, by_class(tables), strict=True)):
        rows = rows[np.lexsort((tables.detection_videos[rows], -tables.scores[rows]))]
        values = []
        for hit in hits[:, rows]:
            counted = hit[hit | ~doubtful[rows]]
            precision = np.cumsum(counted) / np.arange(1, len(counted) + 1)
            values.append(np.sum(precision, where=counted) / tables.num_actions[index])
        ap[label] = np.array(values, np.float64)
    return Metrics(tuple(tious), ap)
