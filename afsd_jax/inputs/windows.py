"""The windows or pieces of videos, one video after another, cut as soon as they are read."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.clips.geometry import crop_to_centre, cut_windows
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import OpenVideo, VideoSource


class VideoStart(NamedTuple):
    """A video is open; its windows or pieces follow."""

    video: OpenVideo


class Window(NamedTuple):
    """A window of a video.

    Attributes:
      offset: its first frame in the video.
      frames: for each network its frames, uint8 [T, S, S, channels], 0 after the video's end; or
        the trunk's features of them, a list of float32 [T', H', W', C'], one for each endpoint.
      num_frames: number of its frames that lie in the video.
    """

    offset: int
    frames: list[Any]
    num_frames: int


class Piece(NamedTuple):
    """The next frames of a video, at most a given number: for each network uint8 [n,S,S,C]."""

    frames: list[NDArray[np.uint8]]


class VideoEnd(NamedTuple):
    """All windows or pieces of a video have been read, or it failed.

    Attributes:
      name: name of the video, for messages.
      video: None if it could not be opened; for a pipe, with its final length.
      error: why it failed, if it did.
    """

    name: str
    video: OpenVideo | None
    error: UserError | None


Event = VideoStart | Window | VideoEnd
Part = TypeVar("Part", Window, Piece)


def read_windows(
    sources: Iterable[VideoSource],
    offsets_of: Callable[[int], Iterable[int]],
    length: int,
    crop_size: int,
    cancelled: threading.Event,
) -> Iterator[Event]:
    """Yields for each video its start, its windows and its end.

    Any failure of a video is reported in its `VideoEnd`; the next videos follow.

    Args:
      sources: the videos.
      offsets_of: maps a video's number of frames to the first frames of its windows.
      length: T, frames of a window.
      crop_size: S; the frames are cropped to the centre.
      cancelled: once it is set, reading stops.
    """

    def windows(video: OpenVideo) -> Generator[Window, None, int]:
        return cut(video, offsets_of(video.num_frames), length, crop_size, cancelled)

    return _read(sources, windows)


def read_pieces(
    sources: Iterable[VideoSource], size: int, crop_size: int, cancelled: threading.Event
) -> Iterator[VideoStart | Piece | VideoEnd]:
    """Yields for each video its start, its frames in pieces, and its end; see `read_windows`.

    Args:
      sources: the videos.
      size: frames of a piece; the last piece of a video may have fewer.
      crop_size: S; the frames are cropped to the centre.
      cancelled: once it is set, reading stops.
    """

    def pieces(video: OpenVideo) -> Generator[Piece, None, int]:
        frames, count = _checked(video, cancelled), 0
        while taken := list(itertools.islice(frames, size)):
            count += len(taken)
            cropped = (
                [crop_to_centre(frame, crop_size) for frame in x] for x in zip(*taken, strict=True)
            )
            yield Piece([np.stack(x) for x in cropped])
        return count

    return _read(sources, pieces)


def _read(
    sources: Iterable[VideoSource],
    parts_of: Callable[[OpenVideo], Generator[Part, None, int]],
) -> Iterator[VideoStart | Part | VideoEnd]:
    for source in sources:
        video, failure = None, None
        try:
            video = source.open()
            yield VideoStart(video)
            count = yield from parts_of(video)
            if video.seconds_read is not None:
                video = video._replace(num_frames=count, duration_s=video.seconds_read())
        except UserError as error:
            failure = error
        except Exception as error:  # the other videos are not affected
            failure = unexpected_error(source.name, error)
        yield VideoEnd(source.name, video, failure)


def unexpected_error(name: str, error: Exception) -> UserError:
    """Returns a UserError that describes an unexpected exception in one line."""
    return UserError(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}".rstrip(": "))


def cut(
    video: OpenVideo,
    offsets: Iterable[int],
    length: int,
    crop_size: int,
    cancelled: threading.Event | None = None,
) -> Generator[Window, None, int]:
    """Cuts windows out of a video, each as soon as its last frame is read.

    At most `length` frames are held. If the video ends inside a window, that window is moved back
    so that it ends with the video.

    Args:
      video: an open video.
      offsets: first frames of the windows, ascending; endless for a pipe.
      length: T, frames of a window.
      crop_size: S; the frames are cropped to the centre.
      cancelled: once it is set, reading stops.

    Returns:
      The number of frames read.

    Raises:
      UserError: a video that is no pipe has more or fewer frames than `num_frames`.
    """
    latest: deque[list[NDArray[np.uint8]]] = deque(maxlen=length)
    offsets = iter(offsets)
    offset = next(offsets, None)
    count, windowed = 0, 0  # frames read, and those of them before the last window's end

    def window(first: int) -> Window:
        parts = [cut_windows(np.stack(part), [0], length) for part in zip(*latest, strict=True)]
        return Window(first, [frames[0] for frames, _ in parts], int(parts[0][1][0]))

    for frames in _checked(video, cancelled):
        count += 1
        if offset is None:
            continue
        latest.append([crop_to_centre(frame, crop_size) for frame in frames])
        if count == offset + length:
            yield window(offset)
            offset, windowed = next(offsets, None), count
    if offset is not None and count > windowed and not (cancelled and cancelled.is_set()):
        yield window(max(count - length, 0))
    return count


def _checked(
    video: OpenVideo, cancelled: threading.Event | None
) -> Iterator[Sequence[NDArray[np.uint8]]]:
    """Yields the frames of a video until `cancelled` is set.

    Raises:
      UserError: a video that is no pipe has more or fewer frames than `num_frames`.
    """
    count = 0
    for frames in video.frames:
        if cancelled is not None and cancelled.is_set():
            return
        count += 1
        if not video.is_pipe and count > video.num_frames:
            break
        yield frames
    if not video.is_pipe and count != video.num_frames:
        decoded = "more" if count > video.num_frames else f"only {count}"
        raise UserError(
            f"{video.name}: its times state {video.num_frames} frames, but it has {decoded}"
        )
