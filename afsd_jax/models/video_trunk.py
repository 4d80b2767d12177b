"""The trunk on whole videos, piece by piece: each cell is computed once.

The video is padded at its own ends only, so each cell sees its complete receptive field, and the
result equals that of the trunk on all frames at once. Memory does not grow with the video.

Grey frames (0 after normalisation) extend a video to a multiple of `MULTIPLE` frames, the stride of
the last endpoint. So a cell depends on the video and its endpoint alone, not on which other
endpoints are computed.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from afsd_jax.models import i3d

MULTIPLE = i3d.endpoint_stride(i3d.ENDPOINTS[-1])[0]


def extended(num_frames: int, least: int = 0) -> int:
    """Returns to how many frames a video is extended, at least `least`."""
    return -(-max(num_frames, least) // MULTIPLE) * MULTIPLE


class TrunkSteps(Protocol):
    """Computes the trunk's endpoints of a video, one piece after another.

    Attributes:
      piece: frames of each piece but the last, which has at most as many.
    """

    piece: int

    def start(self) -> Any:
        """Returns the state before a video."""

    def step(self, state: Any, frames: np.ndarray, is_last: bool) -> tuple[list[np.ndarray], Any]:
        """Computes a piece.

        Args:
          state: state after the previous piece, which is not used again.
          frames: float32 [n,H,W,channels] in [-1, 1]; n is a multiple of the endpoints' strides.
          is_last: whether the video ends with these frames.

        Returns:
          The cells of each endpoint that the piece completes, float32 [m,H',W',C'], and the state.
        """


class VideoTrunk:
    """The trunk on whole videos.

    Its results are slices of `unit` frames: for each endpoint its cells of these frames.

    Attributes:
      unit: frames of a slice: the largest stride of an endpoint, or a multiple of it.
      piece: frames that are computed at once.
    """

    def __init__(self, steps: TrunkSteps, endpoints: Sequence[str], unit: int = 0):
        """Takes the steps that compute the endpoints; `unit` 0: the largest of their strides."""
        self._steps, self.piece = steps, steps.piece
        strides = [i3d.endpoint_stride(name)[0] for name in endpoints]
        self.unit = unit or max(strides)
        self._cells = [self.unit // stride for stride in strides]  # of each endpoint in a slice

    def start(self) -> "VideoPass":
        """Begins a video. Several videos may be computed in turn."""
        return VideoPass(self._steps, self.unit, self._cells)


class VideoPass:
    """One pass over a video.

    Attributes:
      num_slices: slices returned so far.
    """

    def __init__(self, steps: TrunkSteps, unit: int, cells: Sequence[int]):
        """Takes the fields of `VideoTrunk`."""
        self._steps, self._unit, self._cells = steps, unit, cells
        self._state = steps.start()
        self._frames: list[np.ndarray] = []  # not yet computed
        self._num_waiting = 0  # frames in them
        self._num_frames = 0
        self._complete: list[list[np.ndarray]] = [[] for _ in cells]  # not yet returned
        self.num_slices = 0

    def add(self, frames: NDArray[np.uint8]) -> list[np.ndarray]:
        """Takes the next frames, uint8 [n,H,W,channels].

        Returns:
          For each slice that is now complete: the cells of each endpoint, float32 [m,H',W',C'].
        """
        self._num_frames += len(frames)
        self._wait(np.multiply(frames, np.float32(2 / 255), dtype=np.float32) - np.float32(1))
        # The last piece must have frames, and the next ones may be the last.
        while self._num_waiting > self._steps.piece:
            self._compute(self._steps.piece, is_last=False)
        return self._slices()

    def end(self, least: int = 0) -> list[np.ndarray]:
        """Ends the video, after at least one frame, and returns the slices that remain of it.

        Args:
          least: number of frames to which grey frames extend a shorter video, such as the length
            of a clip.
        """
        missing = extended(self._num_frames, least) - self._num_frames
        left = -(-max(self._num_frames, least) // self._unit) - self.num_slices
        self._wait(np.zeros((missing, *self._frames[0].shape[1:]), np.float32))
        while self._num_waiting:
            is_last = self._num_waiting <= self._steps.piece
            self._compute(min(self._num_waiting, self._steps.piece), is_last)
        return self._slices(left)

    def split(self, slices: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """Yields for each of several slices the cells of each endpoint."""
        count = len(slices[0]) // self._cells[0] if slices else 0
        for number in range(count):
            yield [
                x[number * n : (number + 1) * n] for x, n in zip(slices, self._cells, strict=True)
            ]

    def _wait(self, frames: np.ndarray) -> None:
        self._frames.append(frames)
        self._num_waiting += len(frames)

    def _compute(self, count: int, is_last: bool) -> None:
        waiting = np.concatenate(self._frames)
        self._frames, self._num_waiting = [waiting[count:]], len(waiting) - count
        cells, self._state = self._steps.step(self._state, waiting[:count], is_last)
        for complete, new in zip(self._complete, cells, strict=True):
            complete.append(new)

    def _slices(self, most: float = math.inf) -> list[np.ndarray]:
        if not self._complete[0]:
            return []
        joined = [np.concatenate(parts) for parts in self._complete]
        complete = (len(x) // cells for x, cells in zip(joined, self._cells, strict=True))
        count = int(min(most, *complete))
        counts = [count * cells for cells in self._cells]
        self._complete = [[x[n:]] for x, n in zip(joined, counts, strict=True)]
        self.num_slices += count
        return [x[:n] for x, n in zip(joined, counts, strict=True)]
