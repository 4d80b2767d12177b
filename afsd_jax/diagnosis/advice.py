"""Findings in words, and advice on what to label next.

Every sentence follows from figures by a rule; docs/evaluation.md lists the rules, and each function
here is one of them. Counts and shares are at one tIoU. Points are percent of mAP.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import ApIntervals
from afsd_jax.diagnosis.calibration import Calibration
from afsd_jax.diagnosis.characteristics import Group
from afsd_jax.diagnosis.false_negatives import MISLABELLED, MISSED, REASONS, FalseNegatives
from afsd_jax.diagnosis.false_positives import BACKGROUND, KINDS, FalsePositives
from afsd_jax.diagnosis.operating_points import OperatingPoints
from afsd_jax.errors import printable
from afsd_jax.evaluation import Tables

LEAST_GAIN = 0.01  # of mAP: smaller losses are not a headline
LEAST_COUNT = 3  # cases: fewer are chance
LEAST_ACTIONS = 10  # in a group of lengths
FEW_ACTIONS = 30  # of all classes together, below which a result says little
LEAST_SHARE = 0.1  # of actions
MUCH_MORE = 1.25  # times the share of all actions
LEAST_ERROR = 0.1  # of calibration
MOST = 5  # recommendations of a kind

_LOSSES = {
    "double detection": "detecting actions twice",
    "wrong label": "wrong labels of actions that are found",
    "localisation": "localisation, that is ends that are off",
    "confusion": "detections of the wrong class that are also off",
    "background": "detections where nothing is labelled",
}


class Recommendation(NamedTuple):
    """A place where more labels would help.

    Attributes:
      kind: class, length or video.
      name: name of the class or video, or the range of lengths.
      reason: one of `REASONS[1:]`, or background.
      cases: number of cases; out_of: number of actions, or of detections looked at.
      text: one sentence.
    """

    kind: str
    name: str
    reason: str
    cases: int
    out_of: int
    text: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return self._asdict()


def headline(
    tables: Tables,
    h: int,
    intervals: ApIntervals,
    false_positives: FalsePositives,
    false_negatives: FalseNegatives,
    lengths: Sequence[Group],
    operating: OperatingPoints,
    calibration: Calibration,
) -> tuple[str, ...]:
    """Returns the most important findings, one sentence each; `h` is the threshold's position."""
    sentences = (
        score_in_words(intervals, false_positives.tious),
        few_in_words(len(tables.actions), len(tables.videos), len(tables.videos) > 1),
        loss_in_words(false_positives, false_negatives, h),
        confusion_in_words(tables, false_negatives, h),
        length_in_words(lengths, false_negatives, h),
        threshold_in_words(operating),
        calibration_in_words(calibration),
    )
    return tuple(sentence for sentence in sentences if sentence)


def score_in_words(intervals: ApIntervals, tious: Sequence[float]) -> str:
    """Returns mAP, averaged over the thresholds, and its interval."""
    value, low, high = (100 * float(bound) for bound in intervals.average)
    at = f"tIoU {tious[0]:g}" if len(tious) == 1 else f"tIoU {tious[0]:g} to {tious[-1]:g}"
    bounds = "" if np.isnan(low) else f" (95 % interval {low:.1f} to {high:.1f})"
    return f"mAP is {value:.1f} % at {at}{bounds}."


def few_in_words(num_actions: int, num_videos: int, has_interval: bool = False) -> str:
    """Says that a result says little, if it is from fewer than `FEW_ACTIONS` actions."""
    if num_actions >= FEW_ACTIONS:
        return ""
    actions = f"{num_actions} action" + "s" * (num_actions != 1)
    videos = f"{num_videos} video" + "s" * (num_videos != 1)
    outside = ", also outside the interval" if has_interval else ""
    return (
        f"This is from only {actions} in {videos}: too few to know how good the detector is. In "
        f"other videos the result may be quite different{outside}; evaluate "
        f"{FEW_ACTIONS} actions or more."
    )


def loss_in_words(false_positives: FalsePositives, false_negatives: FalseNegatives, h: int) -> str:
    """Names the kind of error with the largest gain, if the gain is at least `LEAST_GAIN`."""
    tiou = false_positives.tious[h]
    gains = dict(zip(KINDS[1:], false_positives.gains[h], strict=True))
    kind = max(gains, key=lambda name: gains[name])
    missed = float(false_negatives.missed_gain[h])
    if max(gains[kind], missed) < LEAST_GAIN:
        return f"No kind of error costs {100 * LEAST_GAIN:g} point of mAP at tIoU {tiou:g}."
    if missed > gains[kind]:
        count, total = false_negatives.counts[h, MISSED], false_negatives.reasons.shape[1]
        return (
            f"Most is lost to missed actions: nothing near is detected for {count} of {total}; "
            f"without them, mAP at tIoU {tiou:g} would be {100 * missed:.1f} points higher."
        )
    return (
        f"Most is lost to {_LOSSES[kind]}: without such false positives, mAP at tIoU {tiou:g} "
        f"would be {100 * gains[kind]:.1f} points higher."
    )


def confusion_in_words(tables: Tables, false_negatives: FalseNegatives, h: int) -> str:
    """Names the most confused classes, if at least `LEAST_COUNT` and `LEAST_SHARE` of cases."""
    confusion = false_negatives.confusion(tables)[h]
    true, taken = np.unravel_index(np.argmax(confusion), confusion.shape)
    count, total = int(confusion[true, taken]), int(tables.num_actions[true])
    if count < LEAST_COUNT or count < LEAST_SHARE * total:
        return ""
    return (
        f"{_quoted(tables.classes[true])} is taken for {_quoted(tables.classes[taken])} "
        f"in {count} of {total} cases."
    )


def length_in_words(lengths: Sequence[Group], false_negatives: FalseNegatives, h: int) -> str:
    """Names the group of lengths with the largest share of actions that are not found.

    The group must have at least `LEAST_ACTIONS`. The share must be at least `LEAST_SHARE`, and at
    least `MUCH_MORE` times the share of all actions.
    """
    overall = 1 - float(np.mean(false_negatives.found[h]))
    groups = [group for group in lengths if len(group.actions) >= LEAST_ACTIONS]
    if not groups:
        return ""
    worst = max(groups, key=lambda group: float(group.missed[h]))
    share = float(worst.missed[h])
    if share < max(LEAST_SHARE, MUCH_MORE * overall):
        return ""
    return (
        f"Actions {range_in_words(worst)} are not found in {100 * share:.0f} % of cases "
        f"(all actions: {100 * overall:.0f} %)."
    )


def threshold_in_words(operating: OperatingPoints) -> str:
    """Names the threshold of the best F1 over all classes, if any, and how to detect with it."""
    point = operating.overall
    if np.isnan(point.threshold):
        return f"No detection is right at tIoU {operating.tiou:g}."
    best = point.curve.at(point.threshold)
    bounds = f" (95 % interval {point.low:.2f} to {point.high:.2f})"
    return (
        f"With one threshold for all classes, F1 is best at a score of {point.threshold:.2f}"
        f"{'' if np.isnan(point.low) else bounds}: precision {100 * best['precision']:.0f} %, "
        f"recall {100 * best['recall']:.0f} %. afsd detect shows what reaches this score with "
        f"--min-score {as_min_score(point.threshold)}; afsd evaluate --calibrate keeps a threshold "
        "for each class with a checkpoint, and afsd detect then uses these."
    )


def as_min_score(threshold: float) -> str:
    """Returns a threshold with three digits, rounded down so that it keeps its own detection."""
    return f"{np.floor(1000 * threshold + 1e-6) / 1000:g}"


def calibration_in_words(calibration: Calibration) -> str:
    """Says that scores are too high or too low, if the calibration error reaches `LEAST_ERROR`."""
    if not calibration.error >= LEAST_ERROR:
        return ""
    filled = calibration.counts > 0
    gap = np.sum(
        (calibration.mean_scores - calibration.precision) * calibration.counts, where=filled
    )
    side = "high" if gap > 0 else "low"
    return (
        f"Scores are too {side} to be read as probabilities: they are off by "
        f"{calibration.error:.2f} on average."
    )


def what_to_label(
    tables: Tables,
    h: int,
    false_positives: FalsePositives,
    false_negatives: FalseNegatives,
    lengths: Sequence[Group],
) -> tuple[Recommendation, ...]:
    """Returns where more labels would help: first classes, then lengths, then videos.

    A class or a group of lengths is listed if at least `LEAST_COUNT` of its actions are not found,
    and a larger share than of all actions; the largest share first. A class is also listed if
    `LEAST_COUNT` of its best N detections, and a third of them, are where nothing is labelled; N is
    the number of its actions. Videos are listed by their number of both kinds of cases, if that is
    at least `LEAST_COUNT`. There are at most `MOST` of each.
    """
    return (
        *_classes(tables, h, false_negatives),
        *_empty_classes(tables, h, false_positives),
        *_lengths(h, false_negatives, lengths),
        *_videos(tables, h, false_positives, false_negatives),
    )


def range_in_words(group: Group) -> str:
    """Returns a range of lengths, such as: of 3 to 6 s."""
    if not np.isfinite(group.high):
        return f"longer than {group.low:g} s"
    if group.low <= 0:
        return f"of up to {group.high:g} s"
    return f"of {group.low:g} to {group.high:g} s"


def _classes(tables: Tables, h: int, misses: FalseNegatives) -> list[Recommendation]:
    found = misses.found[h]
    overall = 1 - float(np.mean(found))
    confusion = misses.confusion(tables)[h]
    listed = []
    for index, label in enumerate(tables.classes):
        actions = tables.action_classes == index
        count, total = int(np.sum(actions & ~found)), int(np.sum(actions))
        if count < LEAST_COUNT or count < overall * total:
            continue
        reason, number = _main_reason(misses.reasons[h, actions])
        other = tables.classes[int(np.argmax(confusion[index]))]
        advice = {
            "missed": f"for {number} nothing near is detected; label more examples of it",
            "localisation": f"the ends of {number} are off; check that all ends are labelled in "
            "the same way, and label more",
            "wrong label": f"{number} get another label, mostly {_quoted(other)}; label more "
            "examples of both",
        }[reason]
        text = f"{_quoted(label)}: {count} of {total} actions are not found; {advice}."
        listed.append(Recommendation("class", label, reason, count, total, text))
    return sorted(listed, key=lambda item: -item.cases / item.out_of)[:MOST]


def _empty_classes(tables: Tables, h: int, errors: FalsePositives) -> list[Recommendation]:
    best = errors.groups == 0
    of_class = tables.detection_classes[errors.rows]
    listed = []
    for index, label in enumerate(tables.classes):
        looked_at = best & (of_class == index)
        count = int(np.sum(errors.kinds[h, looked_at] == BACKGROUND))
        total = int(np.sum(looked_at))
        if count >= LEAST_COUNT and 3 * count >= total:
            text = (
                f"{_quoted(label)}: {count} of its best {total} detections are where nothing is "
                "labelled; check whether labels are missing there, and label videos without it."
            )
            listed.append(Recommendation("class", label, "background", count, total, text))
    return sorted(listed, key=lambda item: -item.cases / item.out_of)[:MOST]


def _lengths(h: int, misses: FalseNegatives, lengths: Sequence[Group]) -> list[Recommendation]:
    overall = 1 - float(np.mean(misses.found[h]))
    listed = []
    for group in lengths:
        total = len(group.actions)
        count = int(np.sum(~misses.found[h, group.actions]))
        if count < LEAST_COUNT or count <= overall * total:
            continue
        reason, _ = _main_reason(misses.reasons[h, group.actions])
        name = range_in_words(group)
        text = f"Actions {name}: {count} of {total} are not found; label more of this length."
        listed.append(Recommendation("length", name, reason, count, total, text))
    return sorted(listed, key=lambda item: -item.cases / item.out_of)[:MOST]


def _videos(
    tables: Tables, h: int, errors: FalsePositives, misses: FalseNegatives
) -> list[Recommendation]:
    size = len(tables.videos)
    unfound = np.bincount(tables.action_videos[~misses.found[h]], minlength=size)
    actions = np.bincount(tables.action_videos, minlength=size)
    empty = errors.rows[(errors.groups == 0) & (errors.kinds[h] == BACKGROUND)]
    nothing = np.bincount(tables.detection_videos[empty], minlength=size)
    listed = []
    for video in np.argsort(-(unfound + nothing), kind="stable")[:MOST]:
        count = int(unfound[video] + nothing[video])
        if count < LEAST_COUNT:
            break
        in_video = tables.action_videos == video
        reason = _main_reason(misses.reasons[h, in_video])[0] if unfound[video] else "background"
        text = (
            f"{printable(tables.videos[video])}: {unfound[video]} of {actions[video]} actions are "
            f"not found, and {nothing[video]} of the best detections are where nothing is "
            "labelled; look at it first, and label more videos like it."
        )
        total = int(actions[video])
        name = tables.videos[video]
        listed.append(Recommendation("video", name, reason, count, total, text))
    return listed


def _main_reason(reasons: NDArray[np.int64]) -> tuple[str, int]:
    """Returns why most of some unfound actions are not found, and how many they are."""
    counts = np.bincount(reasons, minlength=len(REASONS))
    main = MISLABELLED + int(np.argmax(counts[MISLABELLED:]))
    return REASONS[main], int(counts[main])


def _quoted(label: str) -> str:
    return f"'{printable(label)}'"
