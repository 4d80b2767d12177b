"""Statistics of a prepared data set."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from afsd_jax.data.storage.prepared_video import PreparedVideo


class SplitSummary(NamedTuple):
    """Statistics of one split.

    Attributes:
      videos: number of videos.
      frames: number of sampled frames in all videos.
      duration_s: length of all videos, seconds.
      background_s: time without an action in all videos, seconds.
      labels: int [A], class index of each action, from 0.
      lengths_s: float [A], length of each action, seconds.
    """

    videos: int
    frames: int
    duration_s: float
    background_s: float
    labels: np.ndarray
    lengths_s: np.ndarray


def summarize(videos: Sequence[PreparedVideo]) -> SplitSummary:
    """Returns the statistics of a split."""
    segments = [np.zeros((0, 2)), *(video.segments / video.fps for video in videos)]
    return SplitSummary(
        len(videos),
        sum(video.num_frames for video in videos),
        sum(video.duration_s for video in videos),
        sum(_background_s(video) for video in videos),
        np.concatenate([np.zeros(0, int), *(video.labels - 1 for video in videos)]),
        np.diff(np.concatenate(segments))[:, 0],
    )


def combine(splits: Sequence[SplitSummary]) -> SplitSummary:
    """Returns the statistics of all splits together."""
    videos, frames, durations_s, background_s, labels, lengths_s = zip(*splits, strict=True)
    totals = sum(videos), sum(frames), sum(durations_s), sum(background_s)
    return SplitSummary(*totals, np.concatenate(labels), np.concatenate(lengths_s))


def length_histogram(lengths_s: np.ndarray) -> list[tuple[float, float, int]]:
    """Counts actions by length: (from, to, count) of each bin, in seconds.

    There are up to about a dozen bins from the shortest to the longest action. They have equal
    widths or, if the longest action is many times the median, equal ratios (about 1.5).
    """
    if not len(lengths_s):
        return []
    shortest, longest = float(lengths_s.min()), float(lengths_s.max())
    if longest <= 5 * np.median(lengths_s):
        steps = (base * 10.0**power for power in range(-1, 6) for base in (1, 2, 5))
        step = next(step for step in steps if step >= (longest - shortest) / 12)
        edges = np.arange(int(shortest / step), int(longest / step) + 2) * step
    else:
        edges = np.array([b * 10.0**p for p in range(-3, 6) for b in (1, 1.5, 2, 3, 5, 7)])
        first, last = np.searchsorted(edges, (shortest, longest), side="right")
        edges = edges[max(first - 1, 0) : last + 1]
    counts, _ = np.histogram(lengths_s, edges)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True))


def describe(
    title: str, class_names: Sequence[str], splits: Mapping[str, SplitSummary]
) -> list[str]:
    """Returns the statistics as lines of text."""
    total = combine(list(splits.values()))
    named = {**splits, "all": total} if len(splits) > 1 else splits
    table = [("split", "videos", "length", "frames", "actions", "background")]
    for name, split in named.items():
        table.append((name, *split_row(split)))
    classes = [("class", *splits, "shortest", "median", "longest")]
    for label, name in enumerate(class_names):
        counts = [f"{np.sum(split.labels == label):,}" for split in splits.values()]
        classes.append((name, *counts, *length_range(total.lengths_s[total.labels == label])))
    if len(class_names) > 1:
        counts = [f"{len(split.labels):,}" for split in splits.values()]
        classes.append(("all classes", *counts, *length_range(total.lengths_s)))
    return [title, "", *_aligned(table), "", *_aligned(classes)]


def split_row(split: SplitSummary) -> tuple[str, str, str, str, str]:
    """Returns a split's videos, length, frames, actions and percentage of background as text."""
    return (
        f"{split.videos:,}",
        length_in_words(split.duration_s),
        f"{split.frames:,}",
        f"{len(split.labels):,}",
        f"{100 * background_share(split):.1f} %",
    )


def length_in_words(duration_s: float) -> str:
    """Returns a length of videos in hours, or in minutes if it is less than one hour.

    Example:
      >>> length_in_words(216), length_in_words(5400)
      ('3.6 min', '1.50 h')
    """
    minutes = round(duration_s / 60, 1)
    return f"{minutes:.1f} min" if minutes < 60 else f"{duration_s / 3600:.2f} h"


def background_share(split: SplitSummary) -> float:
    """Returns the fraction of the time without an action, 0 … 1."""
    return split.background_s / split.duration_s if split.duration_s else 0.0


def length_range(lengths_s: np.ndarray) -> tuple[str, str, str]:
    """Returns the shortest, median and longest length as text."""
    if not len(lengths_s):
        return "–", "–", "–"
    shortest, median, longest = np.min(lengths_s), np.median(lengths_s), np.max(lengths_s)
    return f"{shortest:.1f} s", f"{median:.1f} s", f"{longest:.1f} s"


def _background_s(video: PreparedVideo) -> float:
    """Returns the seconds without an action; overlapping actions count once."""
    covered, reached = 0.0, 0.0
    for start, end in sorted((video.segments / video.fps).clip(0, video.duration_s).tolist()):
        covered += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return video.duration_s - covered


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
