"""Parts of a video file: single frames, or all frames between two times.

Times are seconds from the video's first frame. Decoding starts at the last key frame before the
wanted part, so a part of a long video costs no more than one of a short video.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.container import open_container, video_stream
from afsd_jax.data.decode.video_reader import upright

_TOLERANCE_S = 1e-6  # rounding error of times that are sums of fractions


def frames_at(
    path: str | os.PathLike[str], times_s: Sequence[float]
) -> list[tuple[float, np.ndarray]]:
    """Returns the first frame at or after each time; none for times after the last frame.

    Args:
      path: video file.
      times_s: ascending times, seconds.

    Returns:
      A list of (time of the frame in seconds, uint8 [H, W, 3] RGB).

    Raises:
      UserError: the file is missing or not a video.
    """
    found = (next(frames_between(path, time_s, float("inf")), None) for time_s in times_s)
    return [frame for frame in found if frame is not None]


def frames_between(
    path: str | os.PathLike[str], start_s: float, end_s: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields every undamaged frame with a time in [start_s, end_s).

    Yields:
      (time of the frame in seconds, uint8 [H, W, 3] RGB).

    Raises:
      UserError: the file is missing or not a video.
    """
    path, reformatter = Path(path), VideoReformatter()
    for early_s in (0.0, 10.0, math.inf):
        with open_container(path) as container:
            stream = video_stream(container, path)
            stream.codec_context.thread_type = "AUTO"
            sought = start_s > early_s and _seek(container, stream, start_s - early_s)
            frames = _decode(container, stream)
            first = next(frames, None)
            if sought and (first is None or first[0] > start_s + _TOLERANCE_S):
                continue  # in some formats, seeking finds a key frame after the wanted time
            for time_s, frame in itertools.chain([first] if first else [], frames):
                if time_s >= end_s:
                    return
                if time_s >= start_s - _TOLERANCE_S:
                    yield time_s, upright(frame, reformatter)
            return


def _seek(container: av.container.InputContainer, stream: av.VideoStream, time_s: float) -> bool:
    """Seeks to the last key frame before a time; returns whether that was possible."""
    begin, unit = stream.start_time or 0, stream.time_base
    if not unit:
        return False
    try:
        container.seek(begin + int(time_s / unit), stream=stream)
    except av.FFmpegError:
        return False
    return True


def _decode(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields (time in seconds, frame) of every undamaged frame that has a time."""
    begin, unit = stream.start_time or 0, float(stream.time_base or 0)
    try:
        for packet in container.demux(stream):
            with contextlib.suppress(av.FFmpegError):  # the frames of other packets are still good
                for frame in packet.decode():
                    stamp = frame.dts if frame.pts is None else frame.pts
                    if stamp is not None and not frame.is_corrupt:
                        yield (stamp - begin) * unit, frame
    except av.FFmpegError:  # the rest of the file is missing
        return
