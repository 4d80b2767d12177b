"""How well two annotators of the same videos agree.

Both are treated alike: exchanging them changes no number.

- Time steps: Cohen's kappa of each class (happens or does not), and of all classes with one class a
  step, that of the action that starts last (equal starts: the first in the file); see `time_steps`.
- Actions: of one class, two actions of the two annotators are the same if their tIoU is at least
  0.5; pairs are formed by descending tIoU, one to one. F1 is 2 · pairs / (actions of both).
- Disagreements: actions without a partner. Two that overlap as much but have different classes are
  one disagreement on the class.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.bootstrap import listed
from afsd_jax.diagnosis.time_steps import draw_timeline, kappa_of, measure_time_steps
from afsd_jax.evaluation import Tables, tabulate
from afsd_jax.evaluation.overlaps import overlapping
from afsd_jax.types import AnnotatedVideo, Detection

TIOU = 0.5
_NOBODY = -1  # in place of a row


class Disagreement(NamedTuple):
    """An action that only one annotator marked so; "" is the label of the one who did not.

    The times are those of the first annotator, or of the second if only that one marked it.
    """

    video: str
    start_s: float
    end_s: float
    first_label: str
    second_label: str


class Agreement(NamedTuple):
    """Agreement of two annotators.

    Attributes:
      classes: the C classes.
      first, second: [C] number of actions of each annotator.
      pairs: [C] number of actions that both have.
      kappa: [C] of time steps; NaN where it is not defined.
      overall_kappa: of all classes; NaN where it is not defined.
      start_s, end_s: mean distance of the starts and of the ends of pairs; NaN without pairs.
      disagreements: by video and start.
    """

    classes: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pairs: NDArray[np.int64]
    kappa: NDArray[np.float64]
    overall_kappa: float
    start_s: float
    end_s: float
    disagreements: list[Disagreement]

    @property
    def f1(self) -> NDArray[np.float64]:
        """[C]."""
        return 2 * self.pairs / (self.first + self.second)

    @property
    def overall_f1(self) -> float:
        """F1 of the actions of all classes."""
        return float(2 * self.pairs.sum() / (self.first.sum() + self.second.sum()))

    def as_dict(self) -> dict[str, Any]:
        """JSON values; None where a measure is not defined."""
        columns = {
            "first": self.first.tolist(),
            "second": self.second.tolist(),
            "pairs": self.pairs.tolist(),
            "f1": listed(self.f1),
            "kappa": listed(self.kappa),
        }
        single = np.array([self.overall_f1, self.overall_kappa, self.start_s, self.end_s])
        names = ("f1", "kappa", "mean_start_distance_s", "mean_end_distance_s")
        return {
            "tiou": TIOU,
            **dict(zip(names, listed(single), strict=True)),
            "classes": {
                label: {name: column[index] for name, column in columns.items()}
                for index, label in enumerate(self.classes)
            },
            "disagreements": [entry._asdict() for entry in self.disagreements],
        }


def measure_agreement(
    first: Mapping[str, AnnotatedVideo], second: Mapping[str, AnnotatedVideo]
) -> Agreement:
    """Returns the agreement of two annotators.

    Args:
      first: the annotations of one of them.
      second: those of the other, of the same videos.

    Raises:
      UserError: neither has an action.
    """
    videos = [*first.values(), *second.values()]
    labels = sorted({action.label for video in videos for action in video.actions})
    ranked = {name: _ranked(video) for name, video in second.items()}
    tables = tabulate(first, ranked, labels=labels)
    timeline = draw_timeline(tables)
    steps = measure_time_steps(tables, timeline)
    size = len(tables.classes)
    cells = np.bincount(timeline.truth * (size + 1) + timeline.detected, minlength=(size + 1) ** 2)
    pairs = _pairs(tables, tables.detection_groups, tables.action_groups)
    found, actions = pairs.T
    distances = np.abs(tables.detections[found] - tables.actions[actions])
    start_s, end_s = distances.mean(axis=0) if len(pairs) else (np.nan, np.nan)
    return Agreement(
        tables.classes,
        tables.num_actions,
        np.bincount(tables.detection_classes, minlength=size),
        np.bincount(tables.action_classes[actions], minlength=size),
        steps.kappa,
        kappa_of(cells.reshape(size + 1, size + 1)),
        float(start_s),
        float(end_s),
        _disagreements(tables, pairs),
    )


def _ranked(video: AnnotatedVideo) -> list[Detection]:
    """Returns actions as detections whose scores rise with the start, as time steps need them."""
    order = sorted(range(len(video.actions)), key=lambda i: (-video.actions[i].start_s, i))
    ranks = {index: len(order) - rank for rank, index in enumerate(order)}
    count = len(order) + 1
    return [
        Detection(action.label, ranks[index] / count, action.start_s, action.end_s)
        for index, action in enumerate(video.actions)
    ]


def _pairs(
    tables: Tables, detection_groups: NDArray[np.int64], action_groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns rows (detection, action) of one group that overlap, one to one: [N, 2]."""
    sides = (tables.detections, detection_groups, tables.actions, action_groups)
    found, actions, overlap = overlapping(*sides, TIOU)
    # Equal overlaps: by time, so that exchanging the sides changes nothing.
    times = tables.detections[found] + tables.actions[actions]
    order = np.lexsort((times[:, 1], times[:, 0], -overlap))
    used: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for pair in zip(found[order].tolist(), actions[order].tolist(), strict=True):
        if not any(row in side for row, side in zip(pair, used, strict=True)):
            pairs.append(pair)
            for row, side in zip(pair, used, strict=True):
                side.add(row)
    return np.array(pairs, np.int64).reshape(-1, 2)


def _disagreements(tables: Tables, pairs: NDArray[np.int64]) -> list[Disagreement]:
    """Returns the actions without a partner of their class."""
    only_second = np.setdiff1d(np.arange(len(tables.detections)), pairs[:, 0])
    only_first = np.setdiff1d(np.arange(len(tables.actions)), pairs[:, 1])
    left = tables._replace(
        actions=tables.actions[only_first], detections=tables.detections[only_second]
    )
    videos = tables.detection_videos[only_second], tables.action_videos[only_first]
    mixed = _pairs(left, *videos)
    rows = [(only_first[action], only_second[other]) for other, action in mixed.tolist()]
    rows += [(row, _NOBODY) for row in np.delete(only_first, mixed[:, 1])]
    rows += [(_NOBODY, row) for row in np.delete(only_second, mixed[:, 0])]
    found = [_disagreement(tables, first, second) for first, second in rows]
    numbers = {name: number for number, name in enumerate(tables.videos)}
    return sorted(found, key=lambda entry: (numbers[entry.video], *entry[1:]))


def _disagreement(tables: Tables, first: int, second: int) -> Disagreement:
    """Returns what the annotators marked: rows of an action and of a detection."""
    classes = (*tables.classes, "")
    label = classes[tables.action_classes[first] if first != _NOBODY else -1]
    other = classes[tables.detection_classes[second] if second != _NOBODY else -1]
    if first != _NOBODY:
        segment, video = tables.actions[first], tables.action_videos[first]
    else:
        segment, video = tables.detections[second], tables.detection_videos[second]
    return Disagreement(tables.videos[video], float(segment[0]), float(segment[1]), label, other)
