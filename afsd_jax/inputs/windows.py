"""The windows of many videos, one after another, cut as soon as their last frame has come."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.clips.geometry import centre_crop, cut_windows
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import Frames, Input, Source


class Opened(NamedTuple):
    """Before the first window of a video: frames will come."""

    name: str


class Window(NamedTuple):
    """A window of a video.

    offset: its first frame in the video.
    clips: for each network uint8 [1,T,S,S,channels].
    num_frames: int32 [1], frames of it that lie in the video.
    """

    offset: int
    clips: list[NDArray[np.uint8]]
    num_frames: NDArray[np.int32]


class End(NamedTuple):
    """After the last window of a video: what is known of it, and why it failed if it did."""

    name: str
    video: Input | None
    error: UserError | None


Event = Opened | Window | End


def read_windows(
    sources: Iterable[Source],
    offsets_of: Callable[[int], Iterable[int]],
    length: int,
    crop_size: int,
    unwanted: threading.Event,
) -> Iterator[Event]:
    """Yields of each video that it is open, its windows, then its end.

    Whatever goes wrong with one video is in its `End`; the others go on.

    Args:
      sources: of the videos.
      offsets_of: returns the windows' first frames of a video of so many frames.
      length: T, of a window, frames.
      crop_size: S; the frames' centres are cut out.
      unwanted: reading ends when it is set.
    """
    for source in sources:
        video, failure = None, None
        try:
            video = source.open()
            yield Opened(source.name)
            wanted = video._replace(frames=_while_wanted(video.frames, unwanted))
            count = yield from cut(wanted, offsets_of(video.num_frames), length, crop_size)
            if video.passed_s is not None:
                video = video._replace(num_frames=count, duration_s=video.passed_s())
        except UserError as error:
            failure = error
        except Exception as error:  # one video of many must not cost the others
            failure = unexpected(source.name, error)
        yield End(source.name, video, failure)


def unexpected(name: str, error: Exception) -> UserError:
    """Returns the line that says what went wrong with a video where nobody expected it."""
    return UserError(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}".rstrip(": "))


def cut(
    video: Input, offsets: Iterable[int], length: int, crop_size: int
) -> Generator[Window, None, int]:
    """Cuts windows out of a video's frames as they pass, each as its last frame comes.

    At most `length` frames are kept. A window that has not come when the frames end is cut so that
    it ends with them.

    Args:
      video: whose frames pass.
      offsets: ascending, of the windows; of a stream without end.
      length: T, of a window, frames.
      crop_size: S; the frames' centres are cut out.

    Returns:
      The number of frames that passed.

    Raises:
      UserError: more or fewer frames come than a video that is no stream has.
    """
    kept: deque[list[NDArray[np.uint8]]] = deque(maxlen=length)
    coming = iter(offsets)
    offset = next(coming, None)
    count, seen = 0, 0

    def window(first: int) -> Window:
        parts = [cut_windows(np.stack(images), [0], length) for images in zip(*kept, strict=True)]
        return Window(first, [clip for clip, _ in parts], parts[0][1])

    for frame in video.frames:
        count += 1
        if video.passed_s is None and count > video.num_frames:
            break
        if offset is None:
            continue
        kept.append([_centre(image, crop_size) for image in frame])
        if count == offset + length:
            yield window(offset)
            offset, seen = next(coming, None), count
    if video.passed_s is None and count != video.num_frames:
        came = "more" if count > video.num_frames else f"only {count}"
        raise UserError(f"{video.name}: has {video.num_frames} frames by its times; {came} came")
    if offset is not None and count > seen:
        yield window(max(count - length, 0))
    return count


def _centre(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    top, left = (centre_crop(side, size) for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def _while_wanted(frames: Iterable[Frames], unwanted: threading.Event) -> Iterator[Frames]:
    for frame in frames:
        if unwanted.is_set():
            return
        yield frame
