"""A few small frames of a video, kept while all of them are read."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.resize import FRAME_SIZE, resize

THUMBNAILS = 8  # frames of each video on the page


class StreamThumbnails:
    """Keeps a few small frames, spread over a video whose length nobody knows."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, NDArray[np.uint8]]] = []
        self._step = 1

    def see(self, position: int, frame: NDArray[np.uint8]) -> None:
        """Takes the next frame, RGB, and its place in the video; most are not kept."""
        if position % self._step:
            return
        self._kept.append((position, resize(frame, FRAME_SIZE)))
        if len(self._kept) == 2 * THUMBNAILS:
            self._kept, self._step = self._kept[::2], 2 * self._step

    def shown(self, fps: float) -> tuple[NDArray[np.uint8] | None, list[float]]:
        """Returns frames and times as `Thumbnails.shown` does."""
        if not self._kept:
            return None, []
        count = min(THUMBNAILS, len(self._kept))
        chosen = [self._kept[i] for i in np.linspace(0, len(self._kept) - 1, count).astype(int)]
        return np.stack([frame for _, frame in chosen]), [place / fps for place, _ in chosen]


class Thumbnails:
    """Keeps a few small frames, spread over a video, of those that pass."""

    def __init__(self, num_frames: int):
        count = min(THUMBNAILS, num_frames)
        self.positions = np.linspace(0, num_frames - 1, count).astype(int)
        self.frames: list[NDArray[np.uint8]] = []

    def passing(self, frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Yields frames."""
        for position, frame in enumerate(frames):
            self.see(position, frame)
            yield frame

    def see(self, position: int, frame: NDArray[np.uint8]) -> None:
        """Takes the next frame, RGB, and its place in the video; most are not kept."""
        index = len(self.frames)
        if index < len(self.positions) and position == self.positions[index]:
            self.frames.append(resize(frame, FRAME_SIZE))

    def shown(self, fps: float) -> tuple[NDArray[np.uint8] | None, list[float]]:
        """Returns the frames kept and their times in seconds, as a `VideoReport` takes them."""
        if not self.frames:
            return None, []
        return np.stack(self.frames), (self.positions / fps).tolist()
