"""True actions that are not found, with the reasons.

An action is found if a detection takes it, as in DETAD's analysis of false negatives (Alwassel et
al., ECCV 2018, section 3.4), whose code counts all detections, not only the best of each class, up
to the rank at which normalised precision falls to 0.05.

Actions that are not found are divided as by TIDE (Bolya et al., TIDE, ECCV 2020, section 3): if
a wrong label or a localisation error points at the action, correcting that error would find it;
otherwise it is *missed*. Those errors are among the best 10·N detections of each class, as in the
analysis of false positives. The gain of missed actions is the mAP without them in the ground truth.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.false_positives import LOCALISATION, WRONG_LABEL, FalsePositives
from afsd_jax.diagnosis.normalised import area, false_before, precision_of, typical_count
from afsd_jax.evaluation import Tables, by_class, match

REASONS = ("found", "wrong label", "localisation", "missed")
FOUND, MISLABELLED, MISLOCATED, MISSED = range(len(REASONS))


class FalseNegatives(NamedTuple):
    """The A true actions at H thresholds: found, or the reason why not.

    Attributes:
      tious: the H thresholds.
      reasons: [H, A] position in `REASONS`.
      taken_for: [H, A] class of the wrong label with the highest score; -1 if there is none.
      causes: [H, A] row of the detection that this reason is about: the one that takes the action,
        or the error of the highest score; -1 for missed actions.
      missed_gain: [H] gain of mAP if the ground truth lacked the missed actions.
    """

    tious: tuple[float, ...]
    reasons: NDArray[np.int64]
    taken_for: NDArray[np.int64]
    causes: NDArray[np.int64]
    missed_gain: NDArray[np.float64]

    @property
    def found(self) -> NDArray[np.bool_]:
        """[H, A]: which actions are found."""
        return self.reasons == FOUND

    @property
    def counts(self) -> NDArray[np.int64]:
        """[H, 4]: the actions of each of `REASONS`."""
        return np.array([np.bincount(r, minlength=len(REASONS)) for r in self.reasons])

    def confusion(self, tables: Tables) -> NDArray[np.int64]:
        """Returns how many unfound actions of a class (row) were taken for another (column).

        Returns:
          [H, C, C].
        """
        size = len(tables.classes)
        result = np.zeros((len(self.tious), size, size), np.int64)
        for table, reasons, labels in zip(result, self.reasons, self.taken_for, strict=True):
            counted = (reasons != FOUND) & (labels >= 0)
            np.add.at(table, (tables.action_classes[counted], labels[counted]), 1)
        return result

    def as_dict(self) -> dict[str, Any]:
        """JSON values: for each threshold the actions by reason and the gain of missed ones."""
        return {
            "tious": list(self.tious),
            "counts": {reason: self.counts[:, i].tolist() for i, reason in enumerate(REASONS)},
            "missed_gain": self.missed_gain.tolist(),
        }


def analyse_false_negatives(
    tables: Tables,
    false_positives: FalsePositives,
    least_precision: float = 0.05,
    matched: NDArray[np.int64] | None = None,
) -> FalseNegatives:
    """Returns why each action is not found.

    Args:
      tables: ground truth and detections.
      false_positives: errors of the detections, at the same H thresholds.
      least_precision: normalised precision down to which detections count as finding an action.
      matched: [H, P] the result of `evaluation.match` at these thresholds, if known.
    """
    tious = false_positives.tious
    matched = match(tables, tious) if matched is None else matched
    reasons = np.full((len(tious), len(tables.actions)), MISSED)
    taken_for = np.full(reasons.shape, -1)
    causes = np.full(reasons.shape, -1)
    # Lowest score first: of several errors, the one of the highest score is written last.
    order = np.argsort(-false_positives.rows, kind="stable")
    rows, targets = false_positives.rows[order], false_positives.targets[order]
    for h, kinds in enumerate(false_positives.kinds[:, order]):
        for kind, reason in ((WRONG_LABEL, MISLABELLED), (LOCALISATION, MISLOCATED)):
            errors = kinds == kind
            reasons[h, targets[errors]] = reason
            causes[h, targets[errors]] = rows[errors]
        errors = kinds == WRONG_LABEL
        taken_for[h, targets[errors]] = tables.detection_classes[rows[errors]]
    takers = precise_takers(tables, matched, least_precision)
    reasons[takers >= 0] = FOUND
    causes[takers >= 0] = takers[takers >= 0]
    gain = _gain_without(tables, matched, reasons == MISSED)
    return FalseNegatives(tious, reasons, taken_for, causes, gain)


def precise_takers(
    tables: Tables, matched: NDArray[np.int64], least_precision: float
) -> NDArray[np.int64]:
    """Returns the detection that takes each action: [H, A] rows, -1 for none.

    Only detections at whose rank normalised precision exceeds `least_precision` count: a detector
    that returns segments everywhere would find all actions otherwise.
    """
    takers = np.full((len(matched), len(tables.actions)), -1)
    typical = typical_count(tables)
    for rows, number in zip(by_class(tables), tables.num_actions, strict=True):
        for h, of_class in enumerate(matched[:, rows]):
            places = np.flatnonzero(of_class >= 0)
            precision = precision_of(false_before(of_class >= 0), number, typical)
            places = places[precision > least_precision]
            takers[h, of_class[places]] = rows[places]
    return takers


def _gain_without(
    tables: Tables, matched: NDArray[np.int64], missed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Returns the gain of mAP [H] if the ground truth lacked some actions; no class gets empty."""
    gains = np.zeros(len(matched))
    for index, (rows, number) in enumerate(zip(by_class(tables), tables.num_actions, strict=True)):
        plain = np.array([area(false_before(taken >= 0), number) for taken in matched[:, rows]])
        left = number - np.sum(missed[:, tables.action_classes == index], axis=-1)
        # Each hit adds 1/number to recall; precision at a rank stays the same.
        gains += np.where(left > 0, plain * number / np.maximum(left, 1), 0) - plain
    return gains / len(tables.classes)
