"""Parts of a video file: single frames, or all frames between two times.

Times are seconds as `clock` defines them. Decoding starts at the last key frame before the wanted
part, so a part of a long video costs no more than one of a short video, once the times of the file
have been read.
"""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.clock import Clock
from afsd_jax.data.decode.container import open_recordings
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.frame_times import FrameTimes, as_played, read_frame_times
from afsd_jax.data.decode.video_reader import decode_packets, upright

_TOLERANCE_S = 1e-6  # rounding error of times that are sums of fractions


def frames_at(
    path: str | os.PathLike[str], times_s: Sequence[float], fps: float = 10.0
) -> list[tuple[float, np.ndarray]]:
    """Returns the first frame at or after each time; none for times after the video's end.

    After the start of the last frame this is the last frame, at the time asked for.

    Args:
      path: video file.
      times_s: ascending times, seconds.
      fps: rate at which the video was sampled, frames per second; see `as_played`.

    Returns:
      A list of (time of the frame in seconds, uint8 [H, W, 3] RGB).

    Raises:
      UserError: the file is missing, truncated or not a video.
    """
    path, reformatter = Path(path), VideoReformatter()
    times = as_played(read_frame_times(path), fps)
    last = len(times.times_s) - 1
    frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
    found: tuple[int, av.VideoFrame] | None = None
    images = []
    for time_s in times_s:
        wanted = min(_first_from(times, time_s), last)
        if times.duration_s <= time_s:
            break
        if found is None or found[0] < wanted:
            if found is None or found[0] < _key_before(times, wanted)[0]:
                frames = _decode_from(path, times, wanted)
            found = next((one for one in frames if one[0] >= wanted), None)
            if found is None:
                break
        shown_s = max(float(times.times_s[found[0]]), time_s if wanted == last else 0.0)
        images.append((shown_s, upright(found[1], reformatter)))
    return images


def frames_between(
    path: str | os.PathLike[str], start_s: float, end_s: float, fps: float = 10.0
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields every undamaged frame that begins in [start_s, end_s).

    If none does, this is the frame on the screen, at `start_s`.

    Args:
      path: video file.
      start_s: seconds.
      end_s: seconds.
      fps: rate at which the video was sampled, frames per second; see `as_played`.

    Yields:
      (time of the frame in seconds, uint8 [H, W, 3] RGB).

    Raises:
      UserError: the file is missing, truncated or not a video.
    """
    path, reformatter = Path(path), VideoReformatter()
    times = as_played(read_frame_times(path), fps)
    first, stop = _first_from(times, start_s), int(np.searchsorted(times.times_s, end_s))
    if first == stop and first > 0 and start_s < min(end_s, times.duration_s):
        first -= 1
    for position, frame in _decode_from(path, times, first) if first < stop else ():
        if position >= stop:
            return
        if position >= first:
            time_s = float(times.times_s[position])
            begins = time_s >= start_s - _TOLERANCE_S
            yield time_s if begins else start_s, upright(frame, reformatter)


def _first_from(times: FrameTimes, time_s: float) -> int:
    """Returns the position of the first frame at or after a time."""
    return int(np.searchsorted(times.times_s, time_s - _TOLERANCE_S))


def _key_before(times: FrameTimes, position: int) -> tuple[int, int | None]:
    """Returns position and time in units of the last key frame before a frame, or that frame's.

    (0, None) if there is none: decoding starts at the beginning.
    """
    index = int(np.searchsorted(times.keys[:, 0], position, side="right")) - 1
    return (int(times.keys[index, 0]), int(times.keys[index, 1])) if index >= 0 else (0, None)


def _decode_from(
    path: Path, times: FrameTimes, position: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields (position in the video, frame) of every whole frame from one or a bit earlier on."""
    start, stamp = _key_before(times, position)
    # Some formats find a key frame after the time that is sought, so the last way is not to seek.
    ways_s = (0.0, 10.0, math.inf) if times.seekable and stamp is not None else (math.inf,)
    for early_s in ways_s:
        packets = _from_key(_packets(path, stamp or 0, early_s), stamp)
        first = next(packets, None)
        if first is not None:
            packets = itertools.chain([first], packets)
            yield from decode_packets(packets, times, DamageCounter(), start)
            return


def _packets(path: Path, stamp: int, early_s: float) -> Iterator[tuple[int | None, av.Packet]]:
    """Yields (time in units, packet) of all packets from some seconds before a time on.

    Yields none if that time cannot be sought.
    """
    clock = None
    for container, stream in open_recordings(path):
        stream.codec_context.thread_type = "AUTO"
        clock = clock or Clock(container, stream)
        if early_s < math.inf:
            try:
                early = round(early_s / clock.unit_s)
                container.seek(stamp - early, stream=stream)
            except av.FFmpegError:
                return
        for packet in container.demux(stream):
            yield clock.follow(packet), packet


def _from_key(
    packets: Iterable[tuple[int | None, av.Packet]], stamp: int | None
) -> Iterator[av.Packet]:
    """Yields the packets from the key frame at a time on, in units; None: all packets.

    Yields none if a later key frame comes first.
    """
    found = stamp is None
    for time, packet in packets:
        if stamp is not None and time is not None and not found and packet.is_keyframe:
            found = time == stamp and not packet.is_discard
            if time > stamp:
                return
        if found:
            yield packet
