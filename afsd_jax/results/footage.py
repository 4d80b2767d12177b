"""A video that was detected in, and how its frames are found again."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode import excerpt
from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from afsd_jax.report.thumbnails import THUMBNAILS

Timed = tuple[float, NDArray[np.uint8]]  # seconds from the video's start, [H, W, 3] RGB
PICTURE_HEIGHT = 144  # pixels


class Footage(Protocol):
    """The frames of a video, found by their times."""

    def at(self, times_s: Sequence[float]) -> list[Timed]:
        """Returns the frames at these times, ascending; fewer where there are none."""

    def between(self, start_s: float, end_s: float) -> Iterator[Timed]:
        """Yields every frame shown from `start_s` to before `end_s`."""


class FileFootage(NamedTuple):
    """The frames of a video file, decoded when asked for."""

    path: Path

    def at(self, times_s: Sequence[float]) -> list[Timed]:
        return excerpt.frames_at(self.path, times_s)

    def between(self, start_s: float, end_s: float) -> Iterator[Timed]:
        return excerpt.frames_between(self.path, start_s, end_s)


class ArrayFootage(NamedTuple):
    """Frames in memory, which are not copied.

    frames: uint8 [N, H, W, 3], RGB; fps: of them a second.
    """

    frames: NDArray[np.uint8]
    fps: float

    def at(self, times_s: Sequence[float]) -> list[Timed]:
        last = len(self.frames) - 1
        indices = [min(math.floor(time_s * self.fps + 1e-6), last) for time_s in times_s]
        return [(index / self.fps, self.frames[index]) for index in indices]

    def between(self, start_s: float, end_s: float) -> Iterator[Timed]:
        first, stop = (math.ceil(time_s * self.fps - 1e-6) for time_s in (start_s, end_s))
        for index in range(max(first, 0), min(stop, len(self.frames))):
            yield index / self.fps, self.frames[index]


@dataclasses.dataclass(frozen=True)
class DetectedVideo:
    """What is known of a video that was detected in.

    Attributes:
      name: of the file, without folder and suffix.
      duration_s: seconds.
      class_names: that the detector knows.
      footage: where its frames are; None if there are none to see, as of optical flow.
    """

    name: str
    duration_s: float
    class_names: Sequence[str] = ()
    footage: Footage | None = None

    @property
    def path(self) -> Path | None:
        """The file; None if it was given as an array."""
        return self.footage.path if isinstance(self.footage, FileFootage) else None

    @functools.cached_property
    def pictures(self) -> tuple[NDArray[np.uint8] | None, list[float]]:
        """A few small frames [N, H, W, 3], spread over the video, and their times in seconds.

        None and [] if there are none to see, or the file is not there any more.
        """
        times_s = (np.arange(THUMBNAILS) + 0.5) * self.duration_s / THUMBNAILS
        try:
            found = self.footage.at(times_s.tolist()) if self.footage else []
        except UserError:
            found = []
        if not found:
            return None, []
        height, width = found[0][1].shape[:2]
        size = min(height, PICTURE_HEIGHT), max(round(width * min(1, PICTURE_HEIGHT / height)), 1)
        return np.stack([resize(image, size) for _, image in found]), [
            time_s for time_s, _ in found
        ]
