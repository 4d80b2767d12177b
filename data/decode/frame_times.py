"""When each frame of a video file is shown, and which frames to keep for a fixed rate.

The times are read from the packets, without decoding; `clock` says what they mean.
"""

import functools
import math
import os
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from afsd_jax.data.decode.clock import (
    EXACT_S,
    Clock,
    CountedTimes,
    delay_counts,
    delay_of,
)
from afsd_jax.data.decode.container import open_recordings
from afsd_jax.data.decode.damage import ends_in_chunk, ends_in_packet
from afsd_jax.errors import UserError

_HELD = 1.75  # a last frame that lasts as many times longer than the others is held on purpose


class FrameTimes(NamedTuple):
    """When the frames of a video are shown, counted from the first one; see `as_played`.

    Attributes:
      pts: int64 [n], presentation times in units of the stream, increasing; empty if frames are
        identified by counting them.
      times_s: float64 [n], seconds from the first frame.
      rate: frames per second; the mean if the rate varies.
      constant: whether every frame lies within half a frame of its place at a constant rate.
      duration_s: time from the start of the first frame to the end of the last one, seconds.
      lost: number of frames that the file states but does not hold, and of incomplete packets.
      delay_s: seconds from the container's start to the first frame.
      hold_s: seconds for which the last frame is shown after `duration_s`.
      tolerance_s: rounding error of the times, seconds.
      keys: int64 [m, 2], position and time (units of the stream) of each frame at which decoding
        can start.
      seekable: whether the container can be sought by these times.
    """

    pts: np.ndarray
    times_s: np.ndarray
    rate: float
    constant: bool
    duration_s: float
    lost: int = 0
    delay_s: float = 0.0
    hold_s: float = 0.0
    tolerance_s: float = EXACT_S
    keys: np.ndarray = np.empty((0, 2), np.int64)
    seekable: bool = False

    @property
    def mean_rate(self) -> float:
        """Frames per second in the whole duration."""
        return self.rate if self.constant else len(self.times_s) / self.duration_s


class _Packets(NamedTuple):
    """The packets of a recording in its order, those not shown left out; times are in units."""

    stamps: list[int | None]
    durations: list[int]
    are_keys: list[bool]
    total: int  # with those not shown

    @property
    def times(self) -> np.ndarray | None:
        """When frames are shown, int64 [n]; None if that is not stated of every frame."""
        if any(stamp is None for stamp in self.stamps):
            return None
        return np.array(self.stamps, np.int64)


def read_frame_times(path: Path) -> FrameTimes:
    """Reads when each frame of a video is shown, from its packets, without decoding.

    The times of the last four files stay in memory, so excerpts do not read all packets again.

    Raises:
      UserError: the file is missing, truncated, not a video, or has no frames.
    """
    try:
        state = path.stat()
    except OSError:
        return _read(path)  # says what is wrong
    return _read_once(path, os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read_once(path: Path, *state: str | int) -> FrameTimes:
    return _read(path)


def _read(path: Path) -> FrameTimes:
    clock, delay_s, lost, last = None, 0.0, 0, 0
    read: list[_Packets] = []
    for container, stream in open_recordings(path):
        if clock is None:
            clock = Clock(container, stream)
            clock.note_assumed_rate(path)
        packets = _read_packets(path, container, stream, clock)
        if not read and packets.times is not None:
            delay_s = delay_of(container, float(packets.times.min()) * clock.unit_s)
        missing, last = _read_end(path, stream, clock, packets)
        lost += missing
        read.append(packets)
    assert clock is not None
    times = [packets.times for packets in read if packets.times is not None]
    count, rate, unit_s = sum(len(packets.stamps) for packets in read), clock.rate, clock.unit_s
    if len(times) < len(read):
        if rate <= 0:
            raise UserError(f"{path}: the file states neither times nor a frame rate")
        no_pts = np.empty(0, np.int64)
        return FrameTimes(no_pts, np.arange(count) / rate, rate, True, count / rate)
    stamps = np.concatenate(times)
    pts = np.sort(stamps)
    if clock.lag:
        shown = CountedTimes(clock.lag)
        for stamp in pts.tolist():
            shown.add(stamp)
        pts = np.array([shown.next() for _ in pts])
    times_s, last_s = (pts - pts[0]) * unit_s, last * unit_s
    steady = rate > 0 and bool(np.all(np.abs(times_s * rate - np.arange(count)) <= 0.5))
    if steady:
        duration_s = count / rate
    else:
        if last_s <= 0:
            last_s = float(np.median(np.diff(times_s))) if count > 1 else 1 / (rate or 25.0)
        duration_s = float(times_s[-1]) + last_s
        if not duration_s > 0:
            raise UserError(f"{path}: all its frames have the same time")
        rate = count / duration_s
    are_keys = np.concatenate([packets.are_keys for packets in read])
    keys = stamps[are_keys] if clock.starts_at_keys else stamps[:0]
    return FrameTimes(
        stamps[:0] if clock.counted else pts,
        times_s,
        rate,
        steady,
        duration_s,
        lost,
        delay_s,
        last_s - 1 / rate if steady and last_s * rate > _HELD else 0.0,
        clock.tolerance_s,
        np.stack([np.searchsorted(pts, keys), keys], 1),
        clock.seekable,
    )


def _read_packets(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, clock: Clock
) -> _Packets:
    packets = _Packets([], [], [], 0)
    count, announced = 0, len(stream.index_entries)
    try:
        for packet in container.demux(stream):
            count += packet.size > 0
            stamp = clock.follow(packet)
            if packet.size and not packet.is_discard:
                packets.stamps.append(stamp)
                packets.durations.append(packet.duration or 0)
                packets.are_keys.append(packet.is_keyframe)
    except av.FFmpegError as error:
        raise UserError(f"{path}: truncated, {count} frames can be read") from error
    if count < announced:
        raise UserError(f"{path}: truncated, {count} of {announced} frames can be read")
    if not packets.stamps:
        raise UserError(f"{path}: the video has no frames")
    return packets._replace(total=count)


def _read_end(
    path: Path, stream: av.VideoStream, clock: Clock, packets: _Packets
) -> tuple[int, int]:
    """Reads what a recording says of its end.

    Args:
      path: the file.
      stream: its video.
      clock: clock of the stream.
      packets: the recording's packets.

    Returns:
      The number of frames missing, and how long the last frame is shown, units.
    """
    times = packets.times
    if times is None:
        return 0, 0
    kind, stated = stream.container.format.name, stream.frames
    order = np.argsort(times, kind="stable")
    end, last = int(times[order[-1]]), packets.durations[order[-1]]
    if kind == "avi":
        # A dropped frame is counted, but has no packet: the one before is shown for longer.
        missing = max(stated - end - 1, 0)
        last = end - int(times[order[-2]]) if len(order) > 1 else last
        return (missing, last) if ends_in_chunk(path) else (0, max(last, missing + 1))
    if kind.startswith("mov"):
        return 0, last  # its index is whole, but for what an edit list leaves out
    lost = max(stated - packets.total, 0) + (kind == "mpegts" and ends_in_packet(path))
    if clock.rate > 0:
        end_s = (end - clock.shift) * clock.unit_s + max(last * clock.unit_s, 1 / clock.rate)
        tagged_s = _tagged_seconds(stream.metadata.get("DURATION", ""))  # Matroska's
        lost = max(lost, math.floor((tagged_s - end_s) * clock.rate + 1e-3))
    return lost, last


def _tagged_seconds(text: str) -> float:
    """Returns the seconds of a time such as 00:00:03.333000000; 0 if the text is no time."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else 0.0


def as_played(times: FrameTimes, fps: float) -> FrameTimes:
    """Returns the times as a player shows them: from the container's start to the last frame's end.

    Args:
      times: counted from the first frame.
      fps: sampled frames per second; a delay of less than one of them moves nothing.
    """
    delay_s = times.delay_s if delay_counts(times.delay_s, fps) else 0.0
    if not delay_s and not times.hold_s:
        return times
    return times._replace(
        times_s=times.times_s + delay_s,
        constant=False,
        duration_s=times.duration_s + delay_s + times.hold_s,
        delay_s=0.0,
        hold_s=0.0,
    )


def sampled_rate(rate: float, count: int, fps: float, max_frames: int = 0) -> float:
    """Returns the rate to sample at: `fps` (0: `rate`), lowered to at most `max_frames` frames."""
    fps = fps or rate
    return min(fps, rate * max_frames / count) if max_frames else fps


def sample_indices(times: FrameTimes, fps: float) -> np.ndarray:
    """Chooses the frames to keep for a rate of `fps` frames per second.

    At a constant rate this is the reference implementation's rule, floating point included: every
    frame adds 1 to a counter; when the counter reaches rate / fps, that is subtracted and the
    frame is kept. A rate below `fps` repeats frames. At a variable rate, sample k is the frame on
    the screen just before (k + 1) / fps, which is the same rule in the limit. The first frame
    stands in for samples before it.

    Returns:
      int64 [N], non-decreasing positions in the video.
    """
    if not times.constant:
        count = math.floor(times.duration_s * fps + 1e-6)
        instants = np.arange(1, count + 1) / fps
        # The tolerance excludes a frame that starts exactly at the instant.
        indices = np.searchsorted(times.times_s, instants - times.tolerance_s, side="left") - 1
        return np.maximum(indices, 0)
    step = times.rate / fps
    kept, counter = [], 0.0
    for index in range(len(times.times_s)):
        counter += 1
        while counter >= step:
            counter -= step
            kept.append(index)
    return np.array(kept, np.int64)
