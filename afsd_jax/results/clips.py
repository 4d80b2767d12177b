"""The frames of a detected video, found again by their times, and written as short videos."""

import dataclasses
import fractions
import functools
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode import excerpt
from afsd_jax.data.decode.container import file_url
from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure
from afsd_jax.report import thumbnails

TimedFrame = tuple[float, NDArray[np.uint8]]  # seconds from the video's start, [H, W, 3] RGB

_UNIT = fractions.Fraction(1, 90_000)  # unit of a clip's frame times, seconds


class Footage(Protocol):
    """The frames of a video, found by their times."""

    def at(self, times_s: Sequence[float]) -> list[TimedFrame]:
        """Returns the frames shown at these ascending times, where there are any."""

    def between(self, start_s: float, end_s: float) -> Iterator[TimedFrame]:
        """Yields every frame shown from `start_s` to before `end_s`."""


class FileFootage(NamedTuple):
    """The frames of a video file, decoded on request.

    Attributes:
      path: video file.
      fps: rate at which it was sampled, frames per second.
    """

    path: Path
    fps: float = 10.0

    def at(self, times_s: Sequence[float]) -> list[TimedFrame]:
        return excerpt.frames_at(self.path, times_s, self.fps)

    def between(self, start_s: float, end_s: float) -> Iterator[TimedFrame]:
        return excerpt.frames_between(self.path, start_s, end_s, self.fps)


class ArrayFootage(NamedTuple):
    """Frames in memory, which are not copied.

    Attributes:
      frames: uint8 [N, H, W, 3], RGB.
      fps: frames per second.
    """

    frames: NDArray[np.uint8]
    fps: float

    def at(self, times_s: Sequence[float]) -> list[TimedFrame]:
        last = len(self.frames) - 1
        indices = [min(math.floor(time_s * self.fps + 1e-6), last) for time_s in times_s]
        return [(index / self.fps, self.frames[index]) for index in indices]

    def between(self, start_s: float, end_s: float) -> Iterator[TimedFrame]:
        first, stop = (math.ceil(time_s * self.fps - 1e-6) for time_s in (start_s, end_s))
        for index in range(max(first, 0), min(stop, len(self.frames))):
            yield index / self.fps, self.frames[index]


@dataclasses.dataclass(frozen=True)
class DetectedVideo:
    """A video in which actions were detected.

    Attributes:
      name: name of the file, without folder and suffix.
      duration_s: length, seconds.
      class_names: all classes of the detector.
      footage: the video's frames; None if there are no RGB frames, as for optical flow.
    """

    name: str
    duration_s: float
    class_names: Sequence[str] = ()
    footage: Footage | None = None

    @property
    def path(self) -> Path | None:
        """The file; None if the video was given as an array."""
        return self.footage.path if isinstance(self.footage, FileFootage) else None

    @functools.cached_property
    def pictures(self) -> thumbnails.Shown:
        """A few small frames [N, H, W, 3], spread over the video, and their times in seconds.

        None and [] without RGB frames, or if the file no longer exists.
        """
        times_s = thumbnails.thumbnail_times(self.duration_s)
        try:
            return thumbnails.shrink(self.footage.at(times_s) if self.footage else [])
        except UserError:
            return None, []


def write_clip(path: str | os.PathLike[str], frames: Iterable[TimedFrame]) -> None:
    """Writes frames as an mp4 file: H.264, without sound. No partial file is left after a failure.

    Args:
      path: file to write; must end in .mp4.
      frames: frames with the times at which they are shown; all get the size of the first. H.264
        halves the resolution of colours, so the last row or column of an odd number is left out.

    Raises:
      UserError: the path ends otherwise or cannot be written, or there are no frames, or frames one
        pixel high or wide.
    """
    path, frames = Path(path), iter(frames)
    if path.suffix.lower() != ".mp4":
        raise UserError(f"{path}: the name of a clip must end in .mp4")
    first = next(frames, None)
    if first is None:
        raise UserError(f"{path}: no frame of the video lies in this span")
    size = first[1].shape[:2]
    height, width = (side - side % 2 for side in size)
    if not height * width:
        raise UserError(f"{path}: H.264 cannot store {size[1]}x{size[0]} pixels")
    with (
        atomic_write(path) as temporary,
        naming_failure(path),
        av.open(file_url(temporary), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = _UNIT
        last = -1
        for time_s, image in itertools.chain([first], frames):
            pts = round((time_s - first[0]) / _UNIT)
            if pts <= last:
                continue
            even = np.ascontiguousarray(resize(image, size)[:height, :width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base, last = pts, _UNIT, pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
