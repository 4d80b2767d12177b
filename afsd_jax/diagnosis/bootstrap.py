"""Intervals of average precision by resampling videos (Efron, 1979).

Videos, not detections, are drawn: detections of one video depend on each other. A sample draws as
many videos as there are, with replacement. No detection is matched again, because detections only
match actions of their own video; so a sample is a weight for each video, and AP follows from
weighted counts, for all samples at once:

    precision at hit k = Σ weights of the hits up to k / Σ weights of the detections up to k
    AP = Σ weight of hit k · best precision at k or later / Σ weights of the actions

This is exactly the AP of the drawn videos if copies of a video follow each other in the ranking.
A class of which a sample has no action does not count in that sample's mean.

Percentile intervals of few videos are too narrow. They are expanded as much as Student's
distribution expands the interval of a mean (Hesterberg, What Teachers Should Know About the
Bootstrap, The American Statistician 2015: expanded percentile interval).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.evaluation import Tables, by_class, match, score

LEVEL = 0.95
_CHUNK = 20_000_000  # numbers in one array: bounds memory


class Interval(NamedTuple):
    """An estimate with its 95 % interval; arrays of one shape."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def excludes_zero(self) -> NDArray[np.bool_]:
        """Whether 0 is outside."""
        return (self.low > 0) | (self.high < 0)

    def as_dict(self) -> dict[str, Any]:
        """JSON values; None where there is none."""
        return {key: listed(getattr(self, key)) for key in ("value", "low", "high")}


class ApIntervals(NamedTuple):
    """Average precisions with their intervals, at H thresholds.

    Attributes:
      average: [] mean over classes and thresholds.
      mean_ap: [H] mean over classes.
      average_of_classes: [C] mean over thresholds.
      ap: [C, H].
    """

    average: Interval
    mean_ap: Interval
    average_of_classes: Interval
    ap: Interval

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "average_mAP": self.average.as_dict(),
            "mAP": self.mean_ap.as_dict(),
            "average_AP": self.average_of_classes.as_dict(),
            "ap": self.ap.as_dict(),
        }


def draw_weights(num_videos: int, samples: int, seed: int) -> NDArray[np.uint8]:
    """Returns how often each video is drawn in each of S samples: [V, S]."""
    rng = np.random.default_rng(seed)
    weights = np.empty((num_videos, samples), np.uint8)  # more than 255 has no chance
    for part in chunks(samples, num_videos):
        count = part.stop - part.start
        drawn = rng.integers(0, num_videos, (num_videos, count)) * count + np.arange(count)
        counts = np.bincount(drawn.ravel(), minlength=drawn.size)
        weights[:, part] = counts.reshape(drawn.shape)
    return weights


def resample_ap(
    tables: Tables, weights: NDArray[np.uint8], matched: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Returns the average precision of each class in each sample of videos.

    Args:
      tables: ground truth and detections.
      weights: [V, S] how often each video counts.
      matched: [H, P] the action that each detection takes, or -1.

    Returns:
      [C, H, S]; NaN for classes without an action in the sample.
    """
    ap = np.empty((len(tables.classes), len(matched), weights.shape[1]), np.float32)
    for index, rows in enumerate(by_class(tables)):
        hits = matched[:, rows] >= 0
        columns = np.flatnonzero(hits.any(axis=0))  # hits at any threshold
        videos = tables.detection_videos[rows]
        in_class = tables.action_classes == index
        for part in chunks(weights.shape[1], len(columns)):
            drawn = weights[:, part]
            total = weighted_sum(tables.action_videos[in_class], drawn)
            ranks = np.maximum(weighted_ranks(videos, columns, drawn), 1)
            for h, hit in enumerate(hits[:, columns]):
                area = _weighted_area(drawn, videos[columns[hit]], ranks, np.flatnonzero(hit))
                ap[index, h, part] = np.where(total > 0, area / np.maximum(total, 1), np.nan)
    return ap


def weighted_sum(videos: NDArray[np.int64], weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the sum of the weights ([V, S]) of items, whose videos are given: [S]."""
    present, counts = np.unique(videos, return_counts=True)
    return counts.astype(np.float32) @ weights[present].astype(np.float32)


def weighted_ranks(
    videos: NDArray[np.int64], ends: NDArray[np.int64], weights: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Returns the weighted number of rows of a ranking up to certain ones.

    Args:
      videos: [P] video of each row.
      ends: [K] ascending positions; row `end` itself counts.
      weights: [V, S] how often each video counts.

    Returns:
      [K, S].
    """
    ranks = np.empty((len(ends), weights.shape[1]), np.float32)
    present, column = np.unique(videos[: ends[-1] + 1 if len(ends) else 0], return_inverse=True)
    drawn = weights[present].astype(np.float32)
    size = len(present)
    before = np.zeros(size, np.float32)  # rows of each video before a block of ends
    for part in chunks(len(ends), size):
        first = ends[part.start - 1] + 1 if part.start else 0
        block = ends[part]
        step = np.searchsorted(block, np.arange(first, block[-1] + 1))
        cells = step * size + column[first : block[-1] + 1]
        counts = np.bincount(cells, minlength=len(block) * size).reshape(len(block), size)
        table = counts.astype(np.float32)
        table[0] += before
        np.cumsum(table, axis=0, out=table)
        before = table[-1]
        np.matmul(table, drawn, out=ranks[part])
    return ranks


def chunks(length: int, width: int) -> Iterator[slice]:
    """Yields slices of a length so that arrays [slice, width] have at most `_CHUNK` numbers."""
    step = max(_CHUNK // max(width, 1), 1)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def percentiles(num_videos: int) -> tuple[float, float]:
    """Returns the shares of samples below the ends of an expanded interval.

    With many videos they are 0.025 and 0.975. Of one video there is no interval: 0 and 1.
    """
    from scipy.special import ndtr, stdtrit

    if num_videos < 2:
        return 0.0, 1.0
    spread = np.sqrt(num_videos / (num_videos - 1))
    outside = float(ndtr(spread * stdtrit(num_videos - 1, (1 - LEVEL) / 2)))
    return outside, 1 - outside


def interval(
    value: NDArray[np.float64] | float, sampled: NDArray[np.floating], num_videos: int
) -> Interval:
    """Returns the interval of an estimate; its ends are NaN for a single video.

    Args:
      value: [...] the estimate.
      sampled: [..., S] the estimate in each sample; NaN where it is not defined.
      num_videos: number of videos of a sample.
    """
    shares = percentiles(num_videos)
    bounds = np.full((2, *sampled.shape[:-1]), np.nan)
    defined = np.isfinite(sampled)
    for place in np.ndindex(sampled.shape[:-1]):
        known = sampled[place][defined[place]]
        if len(known) and num_videos > 1:
            bounds[:, *place] = np.quantile(known, shares)
    return Interval(np.asarray(value, np.float64), *bounds)


def class_means(ap: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the mean over the classes that have an action: [C, H, S] to [H, S]."""
    known = np.isfinite(ap)
    totals = np.sum(ap, axis=0, where=known, dtype=np.float64)
    return totals / np.maximum(np.count_nonzero(known, axis=0), 1)


def ap_intervals(
    ap: NDArray[np.float64], sampled: NDArray[np.floating], num_videos: int
) -> ApIntervals:
    """Returns the intervals of average precisions.

    Args:
      ap: [C, H].
      sampled: [C, H, S], from `resample_ap`.
      num_videos: number of videos of a sample.
    """
    means = class_means(sampled)
    return ApIntervals(
        interval(float(np.mean(ap)), np.mean(means, axis=0), num_videos),
        interval(np.mean(ap, axis=0), means, num_videos),
        interval(np.mean(ap, axis=1), np.mean(sampled, axis=1), num_videos),
        interval(ap, sampled, num_videos),
    )


def evaluate_with_intervals(
    tables: Tables,
    tious: Sequence[float],
    samples: int = 10_000,
    seed: int = 0,
    matched: NDArray[np.int64] | None = None,
) -> ApIntervals:
    """Returns the average precisions by the rule `activitynet` with 95 % intervals.

    Args:
      tables: ground truth and detections.
      tious: the H thresholds.
      samples: number of samples of videos.
      seed: seed of the samples; the same seed draws the same videos.
      matched: [H, P] the result of `evaluation.match` at these thresholds, if known.
    """
    matched = match(tables, tious) if matched is None else matched
    weights = draw_weights(len(tables.videos), samples, seed)
    ap = np.array(list(score(tables, tious, matched).ap.values()))
    return ap_intervals(ap, resample_ap(tables, weights, matched), len(tables.videos))


def listed(values: NDArray[np.float64]) -> Any:
    """Returns an array as JSON values, None for NaN."""
    array = np.asarray(values, np.float64)
    return np.where(np.isnan(array), np.array(None), array.astype(object)).tolist()


def _weighted_area(
    weights: NDArray[np.uint8],
    videos: NDArray[np.int64],
    ranks: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Returns Σ weight · best precision at this hit or later, for all samples.

    Args:
      weights: [V, S] how often each video counts.
      videos: [K] video of each hit, by descending score.
      ranks: [U, S] number of detections up to some hits.
      rows: [K] row in `ranks` of each hit.
    """
    # A step takes all samples at once: far faster than `accumulate` over an axis.
    found = np.zeros(weights.shape[1], np.float32)
    precision = np.empty((len(videos), len(found)), np.float32)
    for step, (video, row) in enumerate(zip(videos, rows, strict=True)):
        found += weights[video]
        np.divide(found, ranks[row], out=precision[step])
    best, area = np.zeros_like(found), np.zeros_like(found)
    for step in range(len(videos) - 1, -1, -1):
        np.maximum(best, precision[step], out=best)
        area += best * weights[videos[step]]
    return area
