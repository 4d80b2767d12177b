"""What is done with a video's frames while they pass: they are counted, and a few are kept."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from afsd_jax.data.decode.resize import FRAME_SIZE, resize

THUMBNAILS = 8  # frames of each video on the page
_TELLING = 0.01  # share that must have passed: before it, the rate is that of starting up

Frame = TypeVar("Frame")


class SecondsBar(tqdm):
    """Counts seconds of video, and how many times faster than real time they pass."""

    def __init__(self, total: float, quiet: bool = False):
        super().__init__(total=total, smoothing=0.05, disable=quiet)

    @property
    def format_dict(self) -> dict[str, Any]:
        values = dict(super().format_dict)
        rate = values["rate"] or values["n"] / max(values["elapsed"], 1e-9)
        # Sums of fractions of a second may pass the total by a rounding error.
        passed = min(values["n"], values["total"]) if values["total"] else values["n"]
        form = "{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s"
        if not values["total"]:  # nobody knows it
            form = "{desc} {n:.0f} s, {speed}"
        elif passed > _TELLING * values["total"]:
            form += ", {speed}, {remaining} left"
        return values | {"n": passed, "speed": f"{rate:.2f}× real time", "bar_format": form}

    def correct(self, seconds: float) -> None:
        """Adds to the total what a video lasts longer than it stated."""
        self.total = (self.total or 0) + seconds

    def passing(self, frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
        """Yields frames and counts them."""
        for frame in frames:
            yield frame
            self.update(1 / fps)


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
