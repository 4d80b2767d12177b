"""A few small frames of a video, spread over its length, for pages."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.resize import FRAME_SIZE, resize
from afsd_jax.report.render import jpeg_url
from afsd_jax.report.tracks import clock_tenths

THUMBNAILS = 8  # frames of each video
HEIGHT = 144  # pixels, of frames in their video's proportions

# Frames [N, H, W, 3] and their times in seconds, as a `VideoReport` takes them; None without any.
Shown = tuple[NDArray[np.uint8] | None, list[float]]


class Picture(NamedTuple):
    """A frame in a page.

    time_s, time: its time in seconds and as text. at: its place on the time axis, percent.
    url: data URL of the image. width, height: pixels.
    """

    time_s: float
    time: str
    at: float
    url: str
    width: int
    height: int


def picture(frame: NDArray[np.uint8], time_s: float, duration_s: float) -> Picture:
    """Returns an RGB frame [H, W, 3] of a video of this length as a picture."""
    height, width = frame.shape[:2]
    at = 100 * time_s / duration_s
    return Picture(time_s, clock_tenths(time_s), at, jpeg_url(frame), width, height)


class Thumbnails:
    """Collects thumbnails while all frames of a video are read, from the first to the last."""

    def __init__(self, num_frames: int | None):
        """Holds no frames yet.

        Args:
          num_frames: number of frames that will be read; None: unknown, as for a pipe; 0: no
            thumbnails are wanted.
        """
        self._positions = None if num_frames is None else set(_spread(num_frames))
        self._step = 1  # without known positions, each `_step`-th frame is collected
        self._frames: list[tuple[int, NDArray[np.uint8]]] = []

    def add(self, position: int, frame: NDArray[np.uint8]) -> None:
        """Takes the next frame, RGB, and its position in the video; most are not stored."""
        if self._positions is not None:
            if position in self._positions:
                self._frames.append((position, resize(frame, FRAME_SIZE)))
        elif position % self._step == 0:
            self._frames.append((position, resize(frame, FRAME_SIZE)))
            if len(self._frames) == 2 * THUMBNAILS:
                self._frames, self._step = self._frames[::2], 2 * self._step

    def shown(self, fps: float, aspect: float | None = None) -> Shown:
        """Returns the thumbnails.

        Args:
          fps: frame rate of the video.
          aspect: width over height of its picture, to which frames are stretched; None: square, as
            frames for networks are.
        """
        chosen = [self._frames[index] for index in _spread(len(self._frames))]
        height, width = FRAME_SIZE
        size = height, max(round(height * aspect), 1) if aspect else width
        return _stacked([(position / fps, resize(frame, size)) for position, frame in chosen])


def thumbnail_times(duration_s: float) -> list[float]:
    """Returns the times of thumbnails that are read one by one: middles of equal parts, seconds."""
    return ((np.arange(THUMBNAILS) + 0.5) * duration_s / THUMBNAILS).tolist()


def shrink(frames: Sequence[tuple[float, NDArray[np.uint8]]]) -> Shown:
    """Returns frames of one size, with their times, as thumbnails of at most `HEIGHT` pixels."""
    if not frames:
        return None, []
    height, width = frames[0][1].shape[:2]
    size = min(height, HEIGHT), max(round(width * min(1, HEIGHT / height)), 1)
    return _stacked([(time_s, resize(frame, size)) for time_s, frame in frames])


def _stacked(frames: Sequence[tuple[float, NDArray[np.uint8]]]) -> Shown:
    if not frames:
        return None, []
    return np.stack([frame for _, frame in frames]), [time_s for time_s, _ in frames]


def _spread(count: int) -> list[int]:
    """Returns indices below `count`, at most `THUMBNAILS`: the middles of equal parts."""
    parts = min(THUMBNAILS, count)
    return ((np.arange(parts) + 0.5) * count / max(parts, 1)).astype(int).tolist()
