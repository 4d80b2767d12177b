"""The kind of error of each false positive, and the cost of each kind.

The analysis of DETAD (Alwassel et al., Diagnosing Error in Temporal Action Detectors, ECCV 2018,
section 3.2), with the numbers of its code (github.com/HumamAlwassel/DETAD). Where the paper is
silent, this follows the code:

- in each class, the best 10·N detections by score count, where N is the number of its true
  actions; a class without true actions is no class;
- a false positive is judged by the one action that overlaps it best, whatever the class of that
  action, and whether or not another detection has found it. If several overlap it equally, the
  first in the file. So a detection of the right class and place is a wrong label if an action of
  another class overlaps it a little better;
- a detection with a tIoU of exactly a threshold reaches it;
- the gain of a kind is the mAP without the false positives of that kind, less the mAP; nothing is
  matched again. Gains do not add up;
- mAP and gains may be normalised (see `normalised`). N is then the mean number of actions of a
  class, a fraction (in Python 2, which the code was written for, it was rounded down).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.normalised import area, false_before, typical_count
from afsd_jax.evaluation import Tables, by_class, match, overlapping

KINDS = (
    "true positive",
    "double detection",
    "wrong label",
    "localisation",
    "confusion",
    "background",
)
TRUE, DOUBLE, WRONG_LABEL, LOCALISATION, CONFUSION, BACKGROUND = range(len(KINDS))


class FalsePositives(NamedTuple):
    """The K best detections of all classes, and which error each is at H thresholds.

    Attributes:
      tious: the H thresholds.
      rows: [K] the detections, rows of the tables, by class and descending score.
      groups: [K] rank of the detection in its class over N: 0 for the best N, 1 for the next N, …
      kinds: [H, K] position in `KINDS`.
      targets: [K] row of the action that overlaps the detection best; -1 below the least tIoU.
      overlaps: [K] their tIoU, or 0.
      mean_ap: [H] mAP of these detections, in [0, 1].
      gains: [H, 5] what mAP gains without the false positives of each kind of `KINDS[1:]`.
    """

    tious: tuple[float, ...]
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    kinds: NDArray[np.int64]
    targets: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    mean_ap: NDArray[np.float64]
    gains: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """[H, 6]: the detections of each kind."""
        return np.array([np.bincount(kinds, minlength=len(KINDS)) for kinds in self.kinds])

    @property
    def by_rank(self) -> NDArray[np.int64]:
        """[G, H, 6]: the detections of each kind among the best N of each class, the next N, …"""
        groups = range(int(self.groups.max(initial=-1)) + 1)
        chosen = [self.kinds[:, self.groups == group] for group in groups]
        counts = [[np.bincount(k, minlength=len(KINDS)) for k in kinds] for kinds in chosen]
        return np.array(counts, np.int64).reshape(-1, len(self.tious), len(KINDS))

    def cases(self, threshold: int, kind: int) -> NDArray[np.int64]:
        """Returns positions in `rows` of the detections of a kind, best score first within a class.

        Args:
          threshold: position in `tious`.
          kind: position in `KINDS`.
        """
        return np.flatnonzero(self.kinds[threshold] == kind)

    def as_dict(self) -> dict[str, Any]:
        """JSON values: for each threshold counts and gains by kind; counts by rank."""
        return {
            "tious": list(self.tious),
            "mAP": self.mean_ap.tolist(),
            "counts": {kind: self.counts[:, i].tolist() for i, kind in enumerate(KINDS)},
            "gains": {kind: self.gains[:, i].tolist() for i, kind in enumerate(KINDS[1:])},
            "by_rank": {kind: self.by_rank[..., i].tolist() for i, kind in enumerate(KINDS)},
        }


def analyse_false_positives(
    tables: Tables,
    tious: tuple[float, ...],
    limit: int = 10,
    least: float = 0.1,
    normalised: bool = False,
    matched: NDArray[np.int64] | None = None,
) -> FalsePositives:
    """Returns the kind of error of each false positive, and the gain without each kind.

    Args:
      tables: ground truth and detections.
      tious: the H thresholds.
      limit: number of detections of a class that count, in multiples of its number of actions.
      least: the tIoU below which a detection belongs to no action.
      normalised: whether mAP and gains are normalised for the number of a class's actions.
      matched: [H, P] the result of `evaluation.match` at these thresholds, if known.
    """
    matched = match(tables, tious) if matched is None else matched
    counts = tables.num_actions
    ranked = [rows[: limit * counts[index]] for index, rows in enumerate(by_class(tables))]
    rows = np.concatenate(ranked)
    ranks = np.concatenate([np.arange(len(r)) // n for r, n in zip(ranked, counts, strict=True)])
    targets, overlaps = best_actions(tables, rows, least)
    kinds = _kinds_of(tables, rows, targets, overlaps, matched[:, rows], np.array(tious))
    typical = typical_count(tables) if normalised else None
    without = np.zeros((len(KINDS), len(tious)))  # entry 0: without none
    ends = np.cumsum([len(r) for r in ranked])
    for first, end, number in zip([0, *ends[:-1]], ends, counts, strict=True):
        for h, of_class in enumerate(kinds[:, first:end]):
            hits = of_class == TRUE
            without[0, h] += area(false_before(hits), number, typical)
            for kind in range(1, len(KINDS)):
                left = false_before(hits[of_class != kind])
                without[kind, h] += area(left, number, typical)
    without /= len(tables.classes)
    gains = (without[1:] - without[0]).T
    return FalsePositives(tuple(tious), rows, ranks, kinds, targets, overlaps, without[0], gains)


def best_actions(
    tables: Tables, rows: NDArray[np.int64], least: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns for each detection the action of any class that overlaps it best.

    Args:
      tables: ground truth and detections.
      rows: [K] rows of detections.
      least: the least tIoU.

    Returns:
      [K] rows of actions, -1 for none; [K] their tIoUs, 0 for none.
    """
    found, actions, overlap = overlapping(
        tables.detections[rows],
        tables.detection_videos[rows],
        tables.actions,
        tables.action_videos,
        least,
    )
    order = np.lexsort((actions, -overlap, found))
    first = order[np.flatnonzero(np.diff(found[order], prepend=-1))]
    targets, overlaps = np.full(len(rows), -1), np.zeros(len(rows))
    targets[found[first]] = actions[first]
    overlaps[found[first]] = overlap[first]
    return targets, overlaps


def _kinds_of(
    tables: Tables,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    matched: NDArray[np.int64],
    tious: NDArray[np.float64],
) -> NDArray[np.int64]:
    same = tables.action_classes[targets] == tables.detection_classes[rows]
    near = overlaps >= tious[:, None]
    judged = np.where(
        near, np.where(same, DOUBLE, WRONG_LABEL), np.where(same, LOCALISATION, CONFUSION)
    )
    judged = np.where(targets < 0, BACKGROUND, judged)
    return np.where(matched >= 0, TRUE, judged)
