"""The classes that a run finds worst, and the reasons: few examples, short ones, confusion."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from afsd_jax.diagnosis.false_negatives import REASONS, FalseNegatives
from afsd_jax.errors import printable
from afsd_jax.evaluation import Tables

WEAK = 2 / 3  # of the mean average precision, or less
SURE = 0.9  # average precision from which on a class is not weak
FEW = 10  # training examples
SHORT = 0.5  # of the median length of all actions, or less
CONFUSED = 0.25  # of a class's actions, taken for one other class
LEAST_CASES = 2  # of confusion; a single one is chance
MOST = 5  # classes

FEW_EXAMPLES, SHORT_ACTIONS, CONFUSION = "few", "short", "confused"


class ClassExamples(NamedTuple):
    """The training examples of a class: their number, and their median length in seconds."""

    actions: int
    median_s: float


class WeakClass(NamedTuple):
    """A class that is found badly.

    Attributes:
      label: the class.
      ap: average precision, averaged over the thresholds.
      reasons: of `FEW_EXAMPLES`, `SHORT_ACTIONS` and `CONFUSION`; may be empty.
      other: the class that it is confused with, or "".
      text: the reasons in one sentence.
    """

    label: str
    ap: float
    reasons: tuple[str, ...]
    other: str
    text: str


def find_weak_classes(
    tables: Tables,
    h: int,
    ap: Mapping[str, Sequence[float]],
    misses: FalseNegatives,
    training: Mapping[str, ClassExamples],
) -> tuple[WeakClass, ...]:
    """Returns the weak classes, the worst first.

    Args:
      tables: ground truth and detections of the validation.
      h: position of the tIoU at which actions count as found.
      ap: average precisions of each class.
      misses: reasons why actions are not found.
      training: the training examples of each class, as far as known.
    """
    values = {label: float(np.mean(ap[label])) for label in tables.classes if label in ap}
    if not values:
        return ()
    mean = float(np.mean(list(values.values())))
    weak = [x for x in values if values[x] <= WEAK * mean or (mean < CONFUSED and len(values) == 1)]
    weak = sorted((x for x in weak if values[x] < SURE), key=lambda label: values[label])[:MOST]
    confusion = misses.confusion(tables)[h]
    lengths = tables.actions[:, 1] - tables.actions[:, 0]
    return tuple(
        _explain(label, values[label], tables, h, confusion, lengths, misses, training)
        for label in weak
    )


def _explain(
    label: str,
    ap: float,
    tables: Tables,
    h: int,
    confusion: np.ndarray,
    lengths: np.ndarray,
    misses: FalseNegatives,
    training: Mapping[str, ClassExamples],
) -> WeakClass:
    index = tables.classes.index(label)
    actions = tables.action_classes == index
    total = int(actions.sum())
    reasons, texts, other = [], [], ""
    examples = training.get(label)
    if examples is not None and examples.actions < FEW:
        reasons.append(FEW_EXAMPLES)
        texts.append(f"it has few training examples, {examples.actions}")
    median = examples.median_s if examples else float(np.median(lengths[actions]))
    overall = float(np.median([x.median_s for x in training.values()] or lengths))
    if median <= SHORT * overall:
        reasons.append(SHORT_ACTIONS)
        texts.append(f"its actions are short, {median:.1f} s where others last {overall:.1f} s")
    taken = int(np.argmax(confusion[index]))
    count = int(confusion[index, taken])
    if count >= max(CONFUSED * total, LEAST_CASES):
        reasons.append(CONFUSION)
        other = tables.classes[taken]
        texts.append(f"it is taken for '{printable(other)}' in {count} of {total} cases")
    if not texts:
        counts = np.bincount(misses.reasons[h, actions], minlength=len(REASONS))
        said = {
            "missed": "nothing is detected near {} of its {} actions",
            "localisation": "the ends of {} of its {} actions are off",
            "wrong label": "{} of its {} actions get other labels",
            "found": "{} of its {} actions are found, but wrong detections have higher scores",
        }
        worst = int(np.argmax(counts[1:])) + 1 if counts[1:].any() else 0
        texts.append(said[REASONS[worst]].format(counts[worst], total))
    return WeakClass(label, ap, tuple(reasons), other, "; ".join(texts) + ".")
