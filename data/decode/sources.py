"""Sources of frames: arrays and folders of flow images; see also `video_reader` and `flow`.

A source is an iterable of uint8 [H, W, C] frames. Its rate and length are known before it is read.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from afsd_jax.data.decode.frame_geometry import (
    WHOLE,
    FrameGeometry,
    fit_picture,
    place_picture,
)
from afsd_jax.data.decode.frame_times import FrameTimes, sample_indices
from afsd_jax.errors import UserError

_FRAMES_PER_READ = 64  # frames of an array


class FrameSource(Protocol):
    """Frames at a fixed rate, with the fields of `Timeline`."""

    fps: float
    num_frames: int
    duration_s: float
    source_frames: int

    @property
    def aspect(self) -> float | None:
        """Returns width over height of what a frame shows; None if unknown, or none is read."""

    @property
    def damaged(self) -> int:
        """Returns the packets and frames skipped so far."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields uint8 [H, W, C] frames."""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A video's rate and length.

    `tasks.Task` hashes it by its `repr`: renaming the class or a field would change every key.

    Attributes:
      fps: sampled frames per second.
      num_frames: number of sampled frames.
      duration_s: length of the video, seconds.
      source_frames: frames of the original video.
    """

    fps: float
    num_frames: int
    duration_s: float
    source_frames: int


class ResizedFrames:
    """A `FrameSource` that crops and resizes frames while they are read."""

    def __init__(
        self,
        timeline: Timeline,
        frames: Iterable[np.ndarray],
        size: tuple[int, int],
        geometry: FrameGeometry = WHOLE,
        name: str = "",
    ):
        """Reads nothing yet.

        Args:
          timeline: rate and length of the video.
          frames: uint8 [H, W, C] frames.
          size: (height, width) to resize them to.
          geometry: which part of the frames is used, and how it fills a frame.
          name: name of the video, for messages.
        """
        self.fps, self.num_frames = timeline.fps, timeline.num_frames
        self.duration_s, self.source_frames = timeline.duration_s, timeline.source_frames
        self.damaged = 0
        self.aspect: float | None = None  # arrays may have been resized before
        self._frames, self._size, self._geometry, self._name = frames, size, geometry, name

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._frames:
            height, width = frame.shape[:2]
            placed = place_picture(self._geometry, (height, width), self._size, name=self._name)
            yield fit_picture(frame, placed, self._size)


def open_sampled_array(path: Path, timeline: Timeline, channels: int) -> np.ndarray:
    """Opens a `.npy` array of frames that are sampled already, as the reference implementation's.

    Args:
      path: file of the array, uint8 [N, H, W, C].
      timeline: rate and length of its video; the numbers of frames must agree.
      channels: 3 for rgb, 2 for flow.

    Raises:
      UserError: the file does not hold such an array.
    """
    array = open_array(path)
    if array.shape[-1] != channels:
        raise UserError(
            f"{path}: has {array.shape[-1]} channels, not {channels}; rgb has 3, flow 2"
        )
    if len(array) != timeline.num_frames:
        raise UserError(
            f"{path}: holds {len(array)} frames, but its video has {timeline.num_frames}; rgb and "
            "flow must be equally long"
        )
    return array


def open_array(path: Path) -> np.ndarray:
    """Maps an array of frames into memory after checking its type and shape.

    Raises:
      UserError: the file does not hold an array, uint8 [N, H, W, C] with N ≥ 1.
    """
    array = map_file(path)
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: holds several arrays; one array a file is expected")
    if array.dtype != np.uint8:
        raise UserError(f"{path}: holds {array.dtype}, not uint8")
    if array.ndim != 4 or not array.size:
        raise UserError(
            f"{path}: has shape {list(array.shape)}, not [frames, height, width, channels]"
        )
    return array


def map_file(path: Path) -> Any:
    """Maps what NumPy has stored in a file into memory: an array, or several by name.

    Raises:
      UserError: the file is missing, or holds something else.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a complete .npy array") from error


def iterate_array(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of an array, with only a few of them in memory at a time.

    The file is mapped again for every few frames, because all pages that were read stay in memory
    while it is mapped.

    Raises:
      UserError: see `open_array`.
    """
    for start in range(0, len(open_array(path)), _FRAMES_PER_READ):
        yield from np.array(open_array(path)[start : start + _FRAMES_PER_READ])


def flow_images(path: Path, timeline: Timeline) -> Iterator[np.ndarray]:
    """Opens a folder written by denseflow: flow_x_*.jpg and flow_y_*.jpg.

    Args:
      path: folder of the images.
      timeline: rate and length of its video. Images of the sampled frames are used unchanged;
        images of every original frame are sampled by the rule of the reference implementation.

    Returns:
      Frames, uint8 [H, W, 2].

    Raises:
      UserError: the number of images fits neither.
    """
    num_frames, source_frames = timeline.num_frames, timeline.source_frames
    pairs = [sorted(path.glob(f"flow_{axis}_*.jpg")) for axis in "xy"]
    count = len(pairs[0])
    if not count or count != len(pairs[1]):
        raise UserError(
            f"{path}: has {count} flow_x_*.jpg and {len(pairs[1])} flow_y_*.jpg; both "
            "must have the same number"
        )
    if count in (num_frames, num_frames - 1):
        kept = np.arange(count)
    elif count in (source_frames, source_frames - 1):
        rate = timeline.fps * source_frames / num_frames
        if source_frames and timeline.duration_s:
            rate = source_frames / timeline.duration_s
        times = FrameTimes(np.empty(0), np.zeros(count), rate, True, count / rate)
        kept = sample_indices(times, timeline.fps)
    else:
        raise UserError(
            f"{path}: has {count} flow images, but its video {num_frames} sampled and "
            f"{source_frames} original frames; rgb and flow must be equally long"
        )
    # The last frame has no successor. The reference implementation repeats the image before it.
    kept = np.pad(kept, (0, max(num_frames - len(kept), 0)), mode="edge")[:num_frames]
    return (np.stack([_read_grey(pairs[0][i]), _read_grey(pairs[1][i])], -1) for i in kept)


def _read_grey(path: Path) -> np.ndarray:
    try:
        return np.asarray(Image.open(path).convert("L"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read as an image") from error
