"""Non-maximum suppression in a stream: what no candidate that is still to come can change."""

import numpy as np
from numpy.typing import NDArray

from afsd_jax.detection.nms import MIN_WIDTH_S, Factor, Floats, weaken
from afsd_jax.evaluation import tiou


class Settling:
    """The candidates of one class, of which some are not settled yet.

    A candidate's score is settled when none can change it that is still to come: directly, or by
    weakening one which scores higher and overlaps it, and so on. What is settled is exactly what
    `nms.suppress` gives of all candidates together.
    """

    def __init__(self, factor: Factor, threshold: float):
        """Holds no candidates yet; the arguments are those of `nms.suppress`."""
        self._factor, self._threshold = factor, threshold
        self._start, self._end, self._score = (np.empty(0, np.float32) for _ in range(3))
        self._settled = np.empty(0, np.bool_)

    def __len__(self) -> int:
        """Returns how many candidates are held."""
        return len(self._start)

    def add(self, segments: Floats, scores: Floats) -> None:
        """Takes candidates: segments [N, 2], seconds, and scores [N]."""
        start = np.concatenate([self._start, segments[:, 0]])
        order = np.argsort(start, kind="stable")
        self._start = start[order]
        self._end = np.concatenate([self._end, segments[:, 1]])[order]
        self._score = np.concatenate([self._score, scores])[order]
        self._settled = np.concatenate([self._settled, np.zeros(len(scores), np.bool_)])[order]

    def settle(self, horizon_s: float) -> tuple[Floats, Floats]:
        """Returns what is newly settled, if all that is to come starts at `horizon_s` or later.

        Returns:
          segments [M, 2], seconds, in the order of picking, and scores [M].
        """
        score = self._score.copy()  # of what is in doubt: an upper bound
        score[~(score >= self._threshold)] = -np.inf
        doubtful = (self._end > horizon_s) & ~self._settled
        needed = np.zeros(len(score), np.bool_)
        new: list[int] = []
        waiting = score.copy()
        while len(waiting) and waiting[top := int(np.argmax(waiting))] > -np.inf:
            pick = self._start[top], self._end[top]
            overlap = tiou(self._start, self._end, *pick, MIN_WIDTH_S)
            others = (overlap > 0) & ~self._settled
            others[top] = False
            if doubtful[top]:
                # It may be picked now, or later, or never.
                needed[top] = True
                doubtful |= others & (waiting > -np.inf)
                waiting[top] = -np.inf
                continue
            if not self._settled[top]:
                new.append(top)
                score[top] = waiting[top]
            waiting[top] = -np.inf
            weak = weaken(waiting, np.where(others, self._factor(overlap), np.float32(1)))
            waiting = np.where(weak >= self._threshold, weak, np.float32(-np.inf))
        segments = np.stack([self._start[new], self._end[new]], -1)
        scores = score[new]
        self._keep(new, needed, score)
        return segments, scores

    def _keep(self, new: list[int], needed: NDArray[np.bool_], score: Floats) -> None:
        """Keeps what is in doubt, and what is settled and weakens it."""
        self._settled[new] = True
        self._score[new] = score[new]
        start, end = self._start[needed], self._end[needed]
        for place in np.flatnonzero(self._settled):
            overlaps = (start < self._end[place]) & (end > self._start[place])
            needed[place] = overlaps.any()
        self._start, self._end = self._start[needed], self._end[needed]
        self._score, self._settled = self._score[needed], self._settled[needed]
