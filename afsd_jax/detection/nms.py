"""Non-maximum suppression of segments, soft or plain, in all classes of a video at once.

Sources: Bodla et al., "Soft-NMS", ICCV 2017; voting: Gidaris and Komodakis, "Object detection via a
multi-region CNN", ICCV 2015, with the weights of ActionFormer (Zhang et al., ECCV 2022).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from afsd_jax.evaluation import tiou

Floats = NDArray[np.float32]
Factor = Callable[[Floats], Floats]  # maps the tIoU with a pick to a factor of the score

MIN_WIDTH_S = np.float32(1e-5)  # the reference implementation's floor of a pick's width
_BLOCK = 64  # candidates; faster than 16 and 32
_PAIRS = 1 << 20  # pairs compared at once, to bound memory


def gaussian(sigma: float) -> Factor:
    """Returns the factor of soft-NMS, exp(-tIoU² / sigma)."""

    def factor(tiou: Floats) -> Floats:
        return np.exp(-(tiou**2) / np.float32(sigma))

    return factor


def plain(limit: float) -> Factor:
    """Returns the factor of plain NMS: 0 above a tIoU of `limit`, else 1."""

    def factor(tiou: Floats) -> Floats:
        return np.where(tiou > np.float32(limit), np.float32(0), np.float32(1))

    return factor


def weaken(scores: Floats, factors: Floats) -> Floats:
    """Returns scores times factors; a factor of 0 drops a candidate: -inf."""
    return np.multiply(scores, factors, out=np.full_like(scores, -np.inf), where=factors > 0)


def suppress(
    segments: Sequence[NDArray[np.floating]],
    scores: Sequence[NDArray[np.floating]],
    factor: Factor,
    threshold: float,
    max_count: int,
) -> list[tuple[NDArray[np.intp], Floats]]:
    """Non-maximum suppression in each class by itself.

    Repeatedly picks a class's highest-scoring candidate and multiplies every other one's score by
    `factor` of their tIoU, until no score reaches the threshold. (The reference implementation
    stops with one candidate left, and loses it; here it is picked, too.)

    Args:
      segments: one array [N, 2] for each class, seconds.
      scores: one array [N] for each class.
      factor: `gaussian` or `plain`.
      threshold: candidates whose score is, or falls, below it are dropped.
      max_count: maximal number of picks of each class.

    Returns:
      For each class the picked candidates' indices [M], in the order of picking (equal scores: the
      earliest first), and their decayed scores [M].

    Example:
      Of one class, the second candidate overlaps the first and is weakened by exp(-0.9² / 0.5).

      >>> segments = [[0.0, 10.0], [1.0, 10.0], [20.0, 30.0]]
      >>> scores = [0.9, 0.8, 0.7]
      >>> ((rows, decayed),) = suppress(
      ...     [np.array(segments)], [np.array(scores)], gaussian(0.5), threshold=0.001, max_count=10
      ... )
      >>> rows.tolist()
      [0, 2, 1]
      >>> decayed.round(3).tolist() == np.float32([0.9, 0.7, 0.158]).tolist()
      True
    """
    # A pick weakens only candidates that overlap it, so picks need not follow one another. All
    # candidates are picked at once whose score is the highest among those that overlap them and
    # those that overlap these. No later pick with a higher score can then reach what they weaken,
    # and each score is multiplied in the same order as with one pick at a time.
    table = _Table(segments, scores, threshold)
    picks, pick_scores = [np.empty(0, np.intp)], [np.empty(0, np.float32)]
    while len(top := table.highest(threshold)):
        picks.append(top)
        pick_scores.append(table.score[top])
        table.score[top] = -np.inf
        near, counts = table.near(top)
        picked = np.repeat(table.start[top], counts), np.repeat(table.end[top], counts)
        factors = factor(tiou(table.start[near], table.end[near], *picked, MIN_WIDTH_S))
        table.score[near] = weaken(table.score[near], factors)
    return table.by_class(np.concatenate(picks), np.concatenate(pick_scores), max_count)


class _Table:
    """The candidates of all classes in one array, each class sorted by start, padded to blocks.

    Attributes:
      start, end, score: float32, for each candidate; the score of padding is -inf.
    """

    def __init__(
        self,
        segments: Sequence[NDArray[np.floating]],
        scores: Sequence[NDArray[np.floating]],
        threshold: float,
    ):
        classes = len(segments)
        self._blocks = max([-(-len(one) // _BLOCK) for one in segments], default=0)
        self._size = self._blocks * _BLOCK
        shape = classes, self._size
        start, end = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        score = np.full(shape, -np.inf, np.float32)
        first, last = np.zeros(shape, np.intp), np.zeros(shape, np.intp)
        self._orders, reach = [], 0
        for row, (bounds, values) in enumerate(zip(segments, scores, strict=True)):
            order, count = np.argsort(bounds[:, 0], kind="stable"), len(bounds)
            self._orders.append(order)
            if not count:
                continue
            start[row, :count], end[row, :count] = np.asarray(bounds, np.float32)[order].T
            score[row, :count] = np.asarray(values, np.float32)[order]
            places = np.arange(count)
            # Candidates that overlap one lie from `low` to before `high`.
            begins, stops = start[row, :count], end[row, :count]
            low = np.searchsorted(np.maximum.accumulate(stops), begins, side="right")
            low = np.minimum(low, places)
            high = np.maximum(np.searchsorted(begins, stops, side="left"), places + 1)
            first[row, :count], last[row, :count] = row * self._size + low, row * self._size + high
            farthest = np.maximum.accumulate(high)[high - 1] - 1
            blocks = places // _BLOCK
            to_left, to_right = blocks - low[low] // _BLOCK, farthest // _BLOCK - blocks
            reach = max(reach, int(to_left.max()), int(to_right.max()))
        score[~(score >= threshold)] = -np.inf
        self.start, self.end, self.score = start.ravel(), end.ravel(), score.ravel()
        self._first, self._last = first.ravel(), last.ravel()
        # Each block's highest score. Candidates that overlap those which overlap a block's own are
        # at most `reach` blocks away.
        self._reach = reach
        self._highest = np.full((classes, self._blocks + 2 * reach), -np.inf, np.float32)

    def highest(self, threshold: float) -> NDArray[np.intp]:
        """Returns the positions of candidates that no other can weaken any more."""
        if not self._highest.size:
            return np.empty(0, np.intp)
        top = self.score.reshape(-1, _BLOCK).argmax(1)
        top += np.arange(len(top)) * _BLOCK
        own = self._highest[:, self._reach : self._reach + self._blocks]
        own[:] = self.score[top].reshape(own.shape)
        around = sliding_window_view(self._highest, 2 * self._reach + 1, axis=1)
        safe = (own > -np.inf) & (own >= threshold) & (around.argmax(2) == self._reach)
        return top[safe.ravel()]

    def near(self, top: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Returns the positions of candidates that can overlap each of these, and their counts."""
        counts = self._last[top] - self._first[top]
        stops = np.cumsum(counts)
        return np.arange(stops[-1]) + np.repeat(self._first[top] - stops + counts, counts), counts

    def by_class(
        self, picks: NDArray[np.intp], scores: Floats, max_count: int
    ) -> list[tuple[NDArray[np.intp], Floats]]:
        """Returns each class's picks in the order of picking one at a time."""
        order = np.lexsort((picks, -scores))
        picks, scores = picks[order], scores[order]
        rows = picks // max(self._size, 1)
        classes = []
        for row, places in enumerate(self._orders):
            own = np.flatnonzero(rows == row)[:max_count]
            classes.append((places[picks[own] - row * self._size], scores[own]))
        return classes


def vote(
    segments: NDArray[np.floating], candidates: Floats, weights: Floats, limit: float
) -> NDArray[np.float32]:
    """Returns segments averaged with the candidates that overlap them well.

    Args:
      segments: [M, 2], seconds.
      candidates: [N, 2], candidates of all classes.
      weights: [N]; a candidate's weight in the mean is this times its tIoU.
      limit: least tIoU of a candidate that counts; without any, a segment stays as it is.

    Returns:
      float32 [M, 2].
    """
    voted = np.array(segments, np.float32)
    step = max(_PAIRS // max(len(candidates), 1), 1)
    start, end = candidates.T
    for at in range(0, len(voted), step):
        part = voted[at : at + step]
        overlap = tiou(start, end, part[:, :1], part[:, 1:], MIN_WIDTH_S)
        share = np.where(overlap >= np.float32(limit), overlap, 0) * weights
        total = share.sum(1, keepdims=True)
        np.divide(share @ candidates, total, out=part, where=total > 0)
    return voted
