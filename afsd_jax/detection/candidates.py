"""What the network found in the windows of one video, kept until its last window is done."""

import numpy as np
from numpy.typing import NDArray


class Candidates:
    """Of each window, the priors with a score that will count.

    Soft-NMS takes only candidates above a threshold, so what is left out here changes nothing.
    """

    def __init__(self) -> None:
        self._segments: list[NDArray[np.float32]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._offsets: list[int] = []

    def add(
        self,
        offset: int,
        segments: NDArray[np.float32],
        scores: NDArray[np.float32],
        threshold: float,
    ) -> None:
        """Takes the decoded outputs of the window that starts at a frame.

        Args:
          offset: that frame.
          segments: [K,2], frames of the window.
          scores: [K,C]; class 0 is the background.
          threshold: priors without an action's score above it are dropped.
        """
        rows = np.flatnonzero((scores[:, 1:] > threshold).any(-1))
        self._segments.append(segments[rows, None])
        self._scores.append(scores[rows, None])
        self._offsets += [offset] * len(rows)

    def gathered(self) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
        """Returns segments [R,1,2], scores [R,1,C] and offsets, R of them, of all R priors kept.

        At least one window was added. In `postprocess.detections_of_video` each prior counts as a
        window of its own.
        """
        return np.concatenate(self._segments), np.concatenate(self._scores), self._offsets
