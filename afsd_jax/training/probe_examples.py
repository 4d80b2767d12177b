"""The examples of a linear probe: actions of some training videos, and background between them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from afsd_jax.data.folds import assign_folds, unit_of
from afsd_jax.data.storage.prepared_video import PreparedVideo

ENOUGH = 40  # actions of a class; videos that would only add more are left out
LEAST = 10  # actions of a class; a rarer class is not compared
MOST = 2000  # examples, of which each class has an equal share
FOLDS = (5, 4, 3)  # as many as have enough actions
BACKGROUND = 0


class Example(NamedTuple):
    """A segment of a video, which is named by its number.

    Attributes:
      video: the video.
      start, end: frames.
      label: class, from 1; 0: background.
    """

    video: int
    start: float
    end: float
    label: int


class Sample(NamedTuple):
    """The examples of a probe.

    Attributes:
      videos: the videos that they are part of.
      examples: the examples, whose videos are numbered in this list.
      labels, folds: class and fold of each example, int [N].
    """

    videos: list[PreparedVideo]
    examples: list[Example]
    labels: np.ndarray
    folds: np.ndarray


def draw_sample(videos: Sequence[PreparedVideo], groups: Mapping[str, str]) -> Sample | None:
    """Returns the examples and their folds; None: no number of folds has enough actions in each.

    Classes that are in one fold alone are left out, for their examples would be tested by
    classifiers that never saw one.

    Args:
      videos: the training videos.
      groups: the group of each video that has one, by name.
    """
    chosen = [videos[number] for number in choose_videos(videos, groups)]
    examples = examples_of(chosen)
    labels = np.array([example.label for example in examples], int)
    classes = {video.name: set(video.labels.tolist()) for video in chosen}
    for count in FOLDS:
        numbers = assign_folds(classes, groups, count)
        folds = np.array([numbers[chosen[x.video].name] for x in examples], int)
        several = [x for x in np.unique(labels) if len(np.unique(folds[labels == x])) > 1]
        kept = np.isin(labels, several)
        of_actions = folds[kept & (labels != BACKGROUND)]
        if all((of_actions == fold).sum() >= LEAST for fold in range(1, count + 1)):
            some = [example for example, keep in zip(examples, kept, strict=True) if keep]
            return Sample(chosen, some, labels[kept], folds[kept])
    return None


def choose_videos(videos: Sequence[PreparedVideo], groups: Mapping[str, str]) -> list[int]:
    """Returns the numbers of videos that together have enough actions of each common class.

    The first video of each group comes first, then the second ones. A video is taken if it has an
    action of a class of which those before it have too few.

    Args:
      videos: the training videos.
      groups: the group of each video that has one, by name; any other video is alone.
    """
    common = _common(videos)
    enough = min(ENOUGH, MOST // (len(common) + 1))
    before: Counter[str] = Counter()
    ranks = []
    for number, video in enumerate(videos):
        unit = unit_of(video.name, groups)
        ranks.append((before[unit], number))
        before[unit] += 1
    counts: Counter[int] = Counter()
    chosen = []
    for _, number in sorted(ranks):
        labels = [label for label in videos[number].labels.tolist() if label in common]
        if any(counts[label] < enough for label in labels):
            chosen.append(number)
            counts.update(labels)
    return sorted(chosen)


def examples_of(videos: Sequence[PreparedVideo]) -> list[Example]:
    """Returns the actions of common classes, and pieces of the background; empty: none is common.

    The middle of each gap between actions is a piece, at most as long as the median action.
    """
    common = _common(videos)
    if not common:
        return []
    lengths = np.concatenate([np.diff(video.segments)[:, 0] for video in videos])
    usual = float(np.median(lengths))
    found = []
    for number, video in enumerate(videos):
        rows = zip(video.segments.tolist(), video.labels.tolist(), strict=True)
        found += [Example(number, a, b, label) for (a, b), label in rows if label in common]
        found += [
            Example(number, start, end, BACKGROUND)
            for start, end in _gaps(video.segments, video.num_frames, usual)
        ]
    return _limited(found, MOST // (len(common) + 1))


def _common(videos: Sequence[PreparedVideo]) -> set[int]:
    counts = Counter(label for video in videos for label in video.labels.tolist())
    return {label for label, count in counts.items() if count >= LEAST}


def _gaps(segments: np.ndarray, num_frames: int, usual: float) -> list[tuple[float, float]]:
    """Returns pieces of background, (start, end) in frames; gaps of half the length count."""
    pieces, reached = [], 0.0
    ends = np.concatenate([segments, [[num_frames, num_frames]]])
    for start, end in ends[np.argsort(ends[:, 0], kind="stable")].tolist():
        if start - reached >= usual / 2:
            half = min(start - reached, usual) / 2
            middle = (start + reached) / 2
            pieces.append((middle - half, middle + half))
        reached = max(reached, end)
    return pieces


def _limited(examples: list[Example], most: int) -> list[Example]:
    """Returns at most so many examples of each class, evenly spread over the videos."""
    kept = []
    for label in sorted({example.label for example in examples}):
        own = [example for example in examples if example.label == label]
        count = min(len(own), most)
        kept += [own[i * len(own) // count] for i in range(count)]
    return kept
