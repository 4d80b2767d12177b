"""Online non-maximum suppression: finds candidates that no future candidate can change."""

import numpy as np
from numpy.typing import NDArray

from afsd_jax.detection.nms import MIN_WIDTH_S, Factor, Floats, weaken
from afsd_jax.evaluation import tiou


class OnlineNms:
    """The candidates of one class that are not final yet, and the final ones that affect them.

    A candidate is final once no future candidate can change its score: neither directly, nor by
    weakening another one that scores higher and overlaps it, and so on. The final candidates are
    exactly those that `nms.suppress` returns for all candidates together.
    """

    def __init__(self, factor: Factor, threshold: float):
        """Holds no candidates yet; the arguments are those of `nms.suppress`."""
        self._factor, self._threshold = factor, threshold
        self._start, self._end, self._score = (np.empty(0, np.float32) for _ in range(3))
        self._final = np.empty(0, np.bool_)

    def __len__(self) -> int:
        """Returns the number of candidates held."""
        return len(self._start)

    def add(self, segments: Floats, scores: Floats) -> None:
        """Adds candidates: segments [N, 2], seconds, and scores [N]."""
        start = np.concatenate([self._start, segments[:, 0]])
        order = np.argsort(start, kind="stable")
        self._start = start[order]
        self._end = np.concatenate([self._end, segments[:, 1]])[order]
        self._score = np.concatenate([self._score, scores])[order]
        self._final = np.concatenate([self._final, np.zeros(len(scores), np.bool_)])[order]

    def finalize(self, horizon_s: float) -> tuple[Floats, Floats]:
        """Returns the candidates that become final if future ones start at `horizon_s` or later.

        Returns:
          Segments [M, 2], seconds, in the order of picking, and scores [M].
        """
        score = self._score.copy()  # an upper bound for candidates that are not final
        score[~(score >= self._threshold)] = -np.inf
        uncertain = (self._end > horizon_s) & ~self._final
        needed = np.zeros(len(score), np.bool_)
        new: list[int] = []
        waiting = score.copy()
        while len(waiting) and waiting[top := int(np.argmax(waiting))] > -np.inf:
            pick = self._start[top], self._end[top]
            overlap = tiou(self._start, self._end, *pick, MIN_WIDTH_S)
            others = (overlap > 0) & ~self._final
            others[top] = False
            if uncertain[top]:
                # It may be picked now, or later, or never.
                needed[top] = True
                uncertain |= others & (waiting > -np.inf)
                waiting[top] = -np.inf
                continue
            if not self._final[top]:
                new.append(top)
                score[top] = waiting[top]
            waiting[top] = -np.inf
            weak = weaken(waiting, np.where(others, self._factor(overlap), np.float32(1)))
            waiting = np.where(weak >= self._threshold, weak, np.float32(-np.inf))
        segments = np.stack([self._start[new], self._end[new]], -1)
        scores = score[new]
        self._discard(new, needed, score)
        return segments, scores

    def _discard(self, new: list[int], needed: NDArray[np.bool_], score: Floats) -> None:
        """Discards all but the uncertain candidates and the final ones that weaken them."""
        self._final[new] = True
        self._score[new] = score[new]
        start, end = self._start[needed], self._end[needed]
        for row in np.flatnonzero(self._final):
            overlaps = (start < self._end[row]) & (end > self._start[row])
            needed[row] = overlaps.any()
        self._start, self._end = self._start[needed], self._end[needed]
        self._score, self._final = self._score[needed], self._final[needed]
