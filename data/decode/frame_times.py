"""When each frame of a video is shown, and which frames to keep for a fixed rate."""

import math
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from afsd_jax.data.decode.container import open_container, video_stream
from afsd_jax.data.decode.damage import ends_in_packet
from afsd_jax.errors import UserError


class FrameTimes(NamedTuple):
    """When the frames of a video are shown.

    Attributes:
      pts: int64 [n], presentation times in units of the stream, increasing; empty if the container
        stores none.
      times_s: float64 [n], seconds from the first frame.
      rate: frames per second; the mean if the rate varies.
      constant: whether every frame lies within half a frame of its place at a constant rate.
      duration_s: time from the start of the first frame to the end of the last one, seconds.
      lost: number of frames that the file states but does not hold, and of incomplete packets.
    """

    pts: np.ndarray
    times_s: np.ndarray
    rate: float
    constant: bool
    duration_s: float
    lost: int = 0


def read_frame_times(path: Path) -> FrameTimes:
    """Reads when each frame of a video is shown, from its packets, without decoding.

    Raises:
      UserError: the file is missing, truncated, not a video, or has no frames.
    """
    stamps, lengths = [], []
    with open_container(path) as container:
        stream = video_stream(container, path)
        # AVI states when a frame is decoded, not when it is shown.
        unordered, transport = (container.format.name == kind for kind in ("avi", "mpegts"))
        packets, announced, stated = 0, len(stream.index_entries), stream.frames
        stated_s = _tagged_seconds(stream.metadata.get("DURATION", ""))  # only in Matroska
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                if packet.size and not packet.is_discard:
                    stamps.append(packet.dts if unordered else packet.pts)
                    lengths.append(packet.duration or 0)
        except av.FFmpegError as error:
            raise UserError(f"{path}: truncated, {packets} frames can be read") from error
        if packets < announced:
            raise UserError(f"{path}: truncated, {packets} of {announced} frames can be read")
        unit = float(stream.time_base or 0)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not stamps:
        raise UserError(f"{path}: the video has no frames")
    if any(stamp is None for stamp in stamps):
        if rate <= 0:
            raise UserError(f"{path}: the file states neither times nor a frame rate")
        return _at_constant_rate(np.empty(0, np.int64), len(stamps), rate)
    lost = max(stated - packets, 0)
    lost += transport and ends_in_packet(path)
    order = np.argsort(np.array(stamps, np.int64), kind="stable")
    pts = np.array(stamps, np.int64)[order]
    times = (pts - pts[0]) * unit
    count = len(pts)
    steady = rate > 0 and bool(np.all(np.abs(times * rate - np.arange(count)) <= 0.5))
    if unordered:
        if not steady and times[-1] > 0:
            rate = float((count - 1) / times[-1])
        return _at_constant_rate(np.empty(0, np.int64), count, rate)._replace(lost=lost)
    if rate > 0:
        lost = max(lost, math.floor((stated_s - pts[-1] * unit) * rate + 1e-3) - 1)
    if steady:
        return _at_constant_rate(pts, count, rate)._replace(times_s=times, lost=lost)
    last = lengths[order[-1]] * unit
    if last <= 0:
        last = float(np.median(np.diff(times))) if count > 1 else 1 / (rate or 25.0)
    duration_s = float(times[-1]) + last
    if not duration_s > 0:
        raise UserError(f"{path}: all its frames have the same time")
    return FrameTimes(pts, times, count / duration_s, False, duration_s, lost)


def _tagged_seconds(text: str) -> float:
    """Returns the seconds of a time such as 00:00:03.333000000; 0 if the text is no time."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else 0.0


def _at_constant_rate(pts: np.ndarray, count: int, rate: float) -> FrameTimes:
    return FrameTimes(pts, np.arange(count) / rate, rate, True, count / rate)


def sampled_rate(rate: float, count: int, fps: float, max_frames: int = 0) -> float:
    """Returns the rate to sample at: `fps` (0: `rate`), lowered to at most `max_frames` frames."""
    fps = fps or rate
    return min(fps, rate * max_frames / count) if max_frames else fps


def sample_indices(times: FrameTimes, fps: float) -> np.ndarray:
    """Chooses the frames to keep for a rate of `fps` frames per second.

    At a constant rate this is the reference implementation's rule, floating point included: every
    frame adds 1 to a counter; when the counter reaches rate / fps, that is subtracted and the
    frame is kept. A rate below `fps` repeats frames. At a variable rate, sample k is the frame on
    the screen just before (k + 1) / fps, which is the same rule in the limit.

    Returns:
      int64 [N], non-decreasing positions in the video.
    """
    if not times.constant:
        count = math.floor(times.duration_s * fps + 1e-6)
        instants = np.arange(1, count + 1) / fps
        # The tolerance of a microsecond excludes a frame that starts exactly at the instant.
        return np.searchsorted(times.times_s, instants - 1e-6, side="left") - 1
    step = times.rate / fps
    kept, counter = [], 0.0
    for index in range(len(times.times_s)):
        counter += 1
        while counter >= step:
            counter -= step
            kept.append(index)
    return np.array(kept, np.int64)
