"""The examples of a linear probe: actions of some training videos, and background between them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afsd_jax.data.storage.prepared_video import PreparedVideo

ENOUGH = 40  # actions of a class; videos that would only add more are left out
LEAST = 10  # actions of a class; a rarer class is not compared
MOST = 4000  # examples, of which each class has an equal share
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


def choose_videos(labels: Sequence[np.ndarray]) -> list[int]:
    """Returns the numbers of videos that together have enough actions of each class.

    A video is taken if it has an action of a class of which those before it have too few.

    Args:
      labels: int [A], classes of each video's actions.
    """
    counts: Counter[int] = Counter()
    chosen = []
    for number, of_video in enumerate(labels):
        if any(counts[label] < ENOUGH for label in of_video.tolist()):
            chosen.append(number)
            counts.update(of_video.tolist())
    return chosen


def examples_of(videos: Sequence[PreparedVideo]) -> list[Example]:
    """Returns the actions of classes that are common enough, and pieces of the background.

    The middle of each gap between actions is a piece, at most as long as the median action. Empty:
    no class is common enough.
    """
    counts = Counter(label for video in videos for label in video.labels.tolist())
    common = {label for label, count in counts.items() if count >= LEAST}
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
