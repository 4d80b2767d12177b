"""Decoding: frames of any video at a fixed rate, resized, one at a time.

A video is read twice: once as packets only, which gives the time of every frame without decoding,
and once to decode. So the frames to keep are known beforehand and a frame lost to damage is
replaced by the next one instead of shifting everything after it.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.container import open_container, video_stream
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.resize import FRAME_SIZE, resize
from afsd_jax.data.decode.transport import ends_in_packet
from afsd_jax.errors import UserError

# What a file holds bounds what is made of it, whatever times it states.
MAX_REPEATS = 1000  # sampled frames for each frame given

_END = 16  # frames of a file: where it was cut, it shows in one of the last that are decoded


class DecodedVideo(NamedTuple):
    """A decoded video.

    Attributes:
      frames: uint8 [N, H, W, 3], RGB.
      fps: sampled frames per second.
      duration_s: of the whole video, seconds.
      damaged: packets and frames; those that could not be decoded were skipped.
    """

    frames: np.ndarray
    fps: float
    duration_s: float
    damaged: int


class FrameTimes(NamedTuple):
    """When the frames of a video are shown.

    Attributes:
      pts: int64 [n], presentation times in units of the stream, increasing; empty where the
        container stores none.
      times_s: float64 [n], seconds from the first frame.
      rate: frames per second; of a variable rate, the mean.
      constant: whether every frame lies within half a frame of its place at a constant rate.
      duration_s: from the first frame's start to the last one's end, seconds.
      lost: frames that the file states to have, but does not, and packets that it holds in part.
    """

    pts: np.ndarray
    times_s: np.ndarray
    rate: float
    constant: bool
    duration_s: float
    lost: int = 0


def read_video(
    path: str | os.PathLike[str],
    fps: float = 10.0,
    size: tuple[int, int] = FRAME_SIZE,
    max_frames: int = 0,
) -> DecodedVideo:
    """Decodes a whole video at `fps`; see `VideoReader`."""
    reader = VideoReader(path, fps, size, max_frames)
    frames = np.empty((reader.num_frames, *size, 3), np.uint8)
    for i, frame in enumerate(reader):
        frames[i] = frame
    return DecodedVideo(frames, reader.fps, reader.duration_s, reader.damaged)


class VideoReader:
    """Iterates over the frames of a video sampled at a fixed rate: uint8 [H, W, 3], RGB.

    Frames are turned upright by the rotation the file states, then resized. The aspect ratio is
    not kept, unless the frames' largest square is cut out of their centre first.

    Attributes:
      fps: sampled frames per second.
      num_frames: that iteration yields, whatever is damaged.
      duration_s: of the whole video, seconds.
      source_frames: frames in the file.
      damaged: packets and frames found so by the current iteration, and frames at the end
        that the file states to have, but does not; a transport stream cut in a packet lacks one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float = 10.0,
        size: tuple[int, int] = FRAME_SIZE,
        max_frames: int = 0,
        threads: int = 0,
        square: bool = False,
    ):
        """Reads the packets' times; decodes nothing yet.

        Args:
          path: of the video file.
          fps: frames per second to sample; 0 keeps the video's own rate.
          size: (height, width) of the frames given, pixels.
          max_frames: if positive, the rate is lowered until there are no more frames than this.
          threads: of the decoder; 0 lets the decoder choose.
          square: whether to cut out the centre.

        Raises:
          UserError: the file is missing, truncated, no video, shorter than one sampled frame, or
            states to last longer than its content can.
        """
        self.path = Path(path)
        self.size = size
        self._threads, self._square = threads, square
        # Kept, and on one thread: setting either up takes longer than converting a small frame.
        self._reformatter = VideoReformatter()
        self._timing = read_frame_times(self.path)
        self.source_frames = len(self._timing.times_s)
        self.duration_s = self._timing.duration_s
        self.fps = sampled_rate(self._timing.rate, self.source_frames, fps, max_frames)
        self._check_evidence()
        self._kept = sample_indices(self._timing, self.fps)
        self.num_frames = len(self._kept)
        self._damage = DamageCounter(self._timing.lost)
        if not self.num_frames:
            raise UserError(
                f"{self.path}: {self.duration_s:.3f} s is too short for one frame at "
                f"{self.fps:g} frames per second"
            )

    @property
    def damaged(self) -> int:
        return self._damage.count

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields `num_frames` frames.

        Raises:
          UserError: nothing in the file can be decoded.
        """
        self._damage = DamageCounter(self._timing.lost)
        last: np.ndarray | None = None
        k = 0
        for index, frame in self._decode():
            if k == self.num_frames or index < self._kept[k]:
                continue
            last = self._to_image(frame)
            while k < self.num_frames and self._kept[k] <= index:
                yield last
                k += 1
        if last is None:
            raise UserError(f"{self.path}: no frame can be decoded; the file is damaged")
        for _ in range(k, self.num_frames):
            yield last

    def _check_evidence(self) -> None:
        wanted = self.duration_s * self.fps
        size = self.path.stat().st_size
        if not wanted <= min(size, MAX_REPEATS * self.source_frames):
            raise UserError(
                f"{self.path}: states that its {self.source_frames} frames, {size} bytes, last "
                f"{self.duration_s:.0f} s; its times are wrong, so encode it anew"
            )

    def _decode(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yields (position in the video, frame) of every frame that is whole."""
        pts = self._timing.pts
        with open_container(self.path) as container:
            stream = video_stream(container, self.path)
            codec = stream.codec_context
            # Where threads share frames, FFmpeg may give one out before it is found to be broken;
            # of a transport stream nothing else tells that its end is missing.
            transport = container.format.name == "mpegts"
            codec.thread_type = "SLICE" if transport else "AUTO"
            codec.thread_count = self._threads
            position = 0
            wanted = set(pts[self._kept].tolist()) if len(pts) else None
            end = pts[-_END:][0] if len(pts) else 0
            for packet in container.demux(stream):
                if wanted is not None:
                    # A frame that is not kept and on which no other depends need not be decoded,
                    # but for what may show damage: the last ones, and what the format finds broken.
                    seen = packet.pts in wanted or packet.is_corrupt
                    seen = seen or (packet.pts is not None and packet.pts >= end)
                    codec.skip_frame = "DEFAULT" if seen else "NONREF"
                frames = self._damage.decode(packet)
                if frames is None:
                    position += 1
                    continue
                for frame in frames:
                    if len(pts) and frame.pts is not None:
                        position = int(np.searchsorted(pts, frame.pts))
                    if self._damage.is_whole(frame):
                        yield position, frame
                    position += 1

    def _to_image(self, frame: av.VideoFrame) -> np.ndarray:
        image = upright(frame, self._reformatter)
        if self._square:
            side = min(image.shape[:2])
            top, left = ((length - side) // 2 for length in image.shape[:2])
            image = image[top : top + side, left : left + side]
        return resize(image, self.size)


def upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns a decoded frame as RGB, uint8 [H, W, 3], turned by the rotation the file states."""
    image: np.ndarray = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def stated_duration(path: Path) -> float:
    """Returns the seconds that a file says it lasts, at a glance; 0 if it does not say."""
    try:
        with open_container(path) as container:
            return max(container.duration or 0, 0) / av.time_base
    except UserError:
        return 0.0


def read_frame_times(path: Path) -> FrameTimes:
    """Reads when each frame of a video is shown, from its packets, without decoding.

    Raises:
      UserError: the file is missing, truncated, no video, or has no frames.
    """
    stamps, lengths = [], []
    with open_container(path) as container:
        stream = video_stream(container, path)
        # AVI does not say when a frame is shown, only when it is decoded.
        unordered, transport = (container.format.name == kind for kind in ("avi", "mpegts"))
        packets, announced, stated = 0, len(stream.index_entries), stream.frames
        stated_s = _tagged_seconds(stream.metadata.get("DURATION", ""))  # Matroska's
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
        return _constant(np.empty(0, np.int64), len(stamps), rate)
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
        return _constant(np.empty(0, np.int64), count, rate)._replace(lost=lost)
    if rate > 0:
        lost = max(lost, math.floor((stated_s - pts[-1] * unit) * rate + 1e-3) - 1)
    if steady:
        return _constant(pts, count, rate)._replace(times_s=times, lost=lost)
    last = lengths[order[-1]] * unit
    if last <= 0:
        last = float(np.median(np.diff(times))) if count > 1 else 1 / (rate or 25.0)
    duration_s = float(times[-1]) + last
    if not duration_s > 0:
        raise UserError(f"{path}: all its frames have the same time")
    return FrameTimes(pts, times, count / duration_s, False, duration_s, lost)


def _tagged_seconds(text: str) -> float:
    """Returns the seconds of a time such as 00:00:03.333000000; 0 if it is none."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else 0.0


def _constant(pts: np.ndarray, count: int, rate: float) -> FrameTimes:
    return FrameTimes(pts, np.arange(count) / rate, rate, True, count / rate)


def sampled_rate(rate: float, count: int, fps: float, max_frames: int = 0) -> float:
    """Returns the rate to sample at: `fps` (0: `rate`), lowered to at most `max_frames` frames."""
    fps = fps or rate
    return min(fps, rate * max_frames / count) if max_frames else fps


def sample_indices(timing: FrameTimes, fps: float) -> np.ndarray:
    """Chooses the frames to keep so that they come at `fps` per second.

    At a constant rate this is the reference implementation's rule, floating point included: every
    frame adds 1 to a counter; when the counter reaches rate / fps, that is subtracted and the
    frame is kept. A rate below `fps` repeats frames. At a variable rate, sample k is what is on
    screen just before (k + 1) / fps, which is the same rule in the limit.

    Returns:
      int64 [N], non-decreasing positions in the video.
    """
    if not timing.constant:
        count = math.floor(timing.duration_s * fps + 1e-6)
        instants = np.arange(1, count + 1) / fps
        # A tolerance of a microsecond keeps a frame that starts at the instant itself out.
        return np.searchsorted(timing.times_s, instants - 1e-6, side="left") - 1
    step = timing.rate / fps
    kept, counter = [], 0.0
    for index in range(len(timing.times_s)):
        counter += 1
        while counter >= step:
            counter -= step
            kept.append(index)
    return np.array(kept, np.int64)
