"""Decoding: frames of any video file at a fixed rate, resized, one at a time.

A video is read twice: first its packets, which give the time of every frame without decoding, then
to decode. So the frames to keep are known before decoding, and a frame lost to damage is replaced
by the next one instead of shifting all frames after it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.clock import EXACT_S, LONGEST_SHOWN_S, Clock
from afsd_jax.data.decode.container import open_container, open_recordings
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.frame_geometry import (
    WHOLE,
    FrameGeometry,
    fit_picture,
    place_picture,
)
from afsd_jax.data.decode.frame_times import (
    FrameTimes,
    as_played,
    read_frame_times,
    sample_indices,
    sampled_rate,
)
from afsd_jax.data.decode.resize import FRAME_SIZE
from afsd_jax.errors import UserError

# Sampled frames for each frame of the file. The file's content limits what is made from it,
# whatever times it states.
MAX_REPEATS = 1000

# Frames at the end of a file that are always decoded: where a file was cut, one of them shows it.
_LAST_FRAMES = 16


class DecodedVideo(NamedTuple):
    """A decoded video.

    Attributes:
      frames: uint8 [N, H, W, 3], RGB.
      fps: sampled frames per second.
      duration_s: length of the whole video, seconds.
      damaged: number of damaged packets and frames; those that cannot be decoded were skipped.
    """

    frames: np.ndarray
    fps: float
    duration_s: float
    damaged: int


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

    Pictures are turned upright by the rotation that the file states, cropped and resized; see
    `frame_geometry`.

    Attributes:
      fps: sampled frames per second.
      num_frames: number of frames that iteration yields, whatever is damaged.
      duration_s: length of the whole video, seconds.
      source_frames: frames in the file.
      aspect: width over height of what a frame shows, as it is played; None before one is read.
      damaged: number of damaged packets and frames in the current iteration, plus the frames at the
        end that the file states but does not hold. A transport stream that ends within a packet
        counts as one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float = 10.0,
        size: tuple[int, int] = FRAME_SIZE,
        max_frames: int = 0,
        threads: int = 0,
        count_frames: bool = False,
        geometry: FrameGeometry = WHOLE,
    ):
        """Reads the packets' times; decodes nothing yet.

        Args:
          path: video file.
          fps: frames per second to sample; 0 keeps the video's own rate.
          size: (height, width) of the frames, pixels.
          max_frames: if positive, the rate is lowered until there are no more frames than this.
          threads: threads of the decoder; 0 lets the decoder choose.
          count_frames: whether to count time in frames from the first one, as the reference
            implementation does, instead of as players do; see `clock`.
          geometry: which part of the pictures is used, and how it fills a frame.

        Raises:
          UserError: the file is missing, truncated, not a video, shorter than one sampled frame, or
            states a longer duration than its content can have.
        """
        self.path = Path(path)
        self.size = size
        self._threads, self._geometry = threads, geometry
        # One object for all frames: making one takes longer than converting a small frame.
        self._reformatter = VideoReformatter()
        self._pixel_aspect = 1.0
        self.aspect: float | None = None
        times = read_frame_times(self.path)
        count, fps = len(times.times_s), fps or times.rate
        if count_frames:
            times = times._replace(tolerance_s=EXACT_S)
        else:
            times = as_played(times, sampled_rate(times.mean_rate, count, fps, max_frames))
        self._times, self.source_frames, self.duration_s = times, count, times.duration_s
        self.fps = sampled_rate(times.mean_rate, count, fps, max_frames)
        self._check_duration()
        self._kept = sample_indices(self._times, self.fps)
        self.num_frames = len(self._kept)
        self._damage = DamageCounter(self._times.lost)
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
          UserError: nothing in the file can be decoded, or the crop is outside of the picture.
        """
        self._damage = DamageCounter(self._times.lost)
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

    def _check_duration(self) -> None:
        """Raises UserError if the file is too small for the duration that it states."""
        wanted = self.duration_s * self.fps
        size = self.path.stat().st_size
        longest_s = np.diff(self._times.times_s, append=self.duration_s).max()
        possible = min(size, MAX_REPEATS * self.source_frames)
        if not (wanted <= possible and longest_s <= LONGEST_SHOWN_S):
            raise UserError(
                f"{self.path}: states that its {self.source_frames} frames, {size} bytes, last "
                f"{self.duration_s:.0f} s; its times are wrong, so encode it again"
            )

    def _decode(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yields (position in the video, frame) of every undamaged frame."""
        yield from decode_packets(self._packets(), self._times, self._damage)

    def _packets(self) -> Iterator[av.Packet]:
        """Yields all packets and tells the decoder which of their frames are needed."""
        pts, clock = self._times.pts, None
        wanted = set(pts[self._kept].tolist()) if len(pts) else None
        end = pts[-_LAST_FRAMES:][0] if len(pts) else 0
        for container, stream in open_recordings(self.path):
            codec = stream.codec_context
            self._pixel_aspect = float(stream.sample_aspect_ratio or 1)
            # With frame threads, FFmpeg may return a frame before it finds that the frame is
            # damaged. In a transport stream nothing else shows that the end is missing.
            transport = container.format.name == "mpegts"
            codec.thread_type = "SLICE" if transport else "AUTO"
            codec.thread_count = self._threads
            clock = clock or Clock(container, stream)
            for packet in container.demux(stream):
                clock.follow(packet, self._damage)
                if wanted is not None:
                    # A frame that is not kept and that no other frame needs is not decoded, unless
                    # it may show damage: the last frames, and packets that are marked as corrupt.
                    needed = packet.pts in wanted or packet.is_corrupt
                    needed = needed or (packet.pts is not None and packet.pts >= end)
                    codec.skip_frame = "DEFAULT" if needed else "NONREF"
                yield packet

    def _to_image(self, frame: av.VideoFrame) -> np.ndarray:
        image = upright(frame, self._reformatter)
        shape, pixel_aspect = image.shape[:2], upright_aspect(frame, self._pixel_aspect)
        placed = place_picture(self._geometry, shape, self.size, pixel_aspect, str(self.path))
        self.aspect = placed.aspect
        return fit_picture(image, placed, self.size)


def decode_packets(
    packets: Iterable[av.Packet], times: FrameTimes, damage: DamageCounter, position: int = 0
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decodes the packets of a video.

    Args:
      packets: in the file's order, their times moved by a `Clock`.
      times: times of the video's frames.
      damage: counts the damaged packets and frames.
      position: position in the video of the first packet's frame.

    Yields:
      (position in the video, frame) of every undamaged frame.
    """
    pts = times.pts
    for packet in packets:
        frames = damage.decode(packet)
        if frames is None:
            position += 1
            continue
        for frame in frames:
            # Of frames with the same time, each is the next; where the order is broken, the last.
            next_one = position < len(pts) and pts[position] == frame.pts
            if len(pts) and frame.pts is not None and not next_one:
                position = max(int(np.searchsorted(pts, frame.pts, side="right")) - 1, 0)
            if damage.is_undamaged(frame):
                yield position, frame
            position += 1


def upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns a decoded frame as RGB, uint8 [H, W, 3], turned by the rotation the file states."""
    image: np.ndarray = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def upright_aspect(frame: av.VideoFrame, pixel_aspect: float) -> float:
    """Returns width over height of the pixels of a frame's upright picture.

    Args:
      frame: the frame that the picture was made from.
      pixel_aspect: width over height of the frame's own pixels.
    """
    return 1 / pixel_aspect if round(frame.rotation / 90) % 2 else pixel_aspect


def stated_duration(path: Path) -> float:
    """Returns the duration that the file's header states, seconds; 0 if it states none."""
    try:
        with open_container(path) as container:
            return max(container.duration or 0, 0) / av.time_base
    except UserError:
        return 0.0


def stated_rate(path: Path) -> float:
    """Returns the frames per second that the file's header states; 0 if it states none."""
    try:
        with open_container(path) as container:
            streams = container.streams.video
            return float(streams[0].average_rate or 0) if streams else 0.0
    except UserError:
        return 0.0
