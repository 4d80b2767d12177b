"""Decoding a video that is read from a pipe: once, and without seeking."""

import math
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.clock import (
    LONGEST_SHOWN_S,
    Clock,
    CountedTimes,
    delay_counts,
    delay_of,
)
from afsd_jax.data.decode.container import open_pipe, unreadable_pipe, video_stream
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.frame_geometry import (
    WHOLE,
    FrameGeometry,
    fit_picture,
    place_picture,
)
from afsd_jax.data.decode.recordings import ByteSource, JoinedSource
from afsd_jax.data.decode.resize import FRAME_SIZE
from afsd_jax.data.decode.video_reader import MAX_REPEATS, upright, upright_aspect
from afsd_jax.errors import UserError

_MOST_HELD = 1000  # packets that wait until it is known when the sound starts


class PipeReader:
    """Iterates once over the frames of a piped video at a fixed rate: uint8 [H, W, 3], RGB.

    Sample k is the frame on the screen just before (k + 1) / fps. For a complete file these are the
    frames of `VideoReader`; `clock` defines the times of both.

    Attributes:
      fps: sampled frames per second.
      duration_s: duration of the frames received so far, seconds.
      aspect: width over height of what a frame shows, as it is played; None before one is read.
      damaged: number of damaged packets and frames received so far.
    """

    def __init__(
        self,
        source: ByteSource,
        name: str,
        fps: float = 10.0,
        size: tuple[int, int] = FRAME_SIZE,
        geometry: FrameGeometry = WHOLE,
    ):
        """Reads the beginning of the video, up to its format and rate.

        Args:
          source: where the bytes come from.
          name: name of the source, for messages.
          fps: frames per second to sample; 0 keeps the rate that the video states.
          size: (height, width) of the frames, pixels.
          geometry: which part of the pictures is used, and how it fills a frame.

        Raises:
          UserError: it is not a video, its format needs seeking, or it states no rate.
        """
        self._name, self._source = name, JoinedSource(source)
        self._stream = self._open()
        self._sounds_s: list[float] = []  # when sounds begin, where the container does not say
        self._size, self._geometry, self._reformatter = size, geometry, VideoReformatter()
        self.aspect: float | None = None
        self._clock = Clock(self._container, self._stream)
        self._clock.note_assumed_rate(name)
        self.fps = fps or self._clock.rate
        if not 0 < self.fps < math.inf:
            raise UserError(f"{name}: the video states no frame rate")
        # As in `sample_indices`, a frame that starts exactly at the instant is excluded.
        self._tolerance_s = self._clock.tolerance_s
        self.duration_s, self._damage = 0.0, DamageCounter()

    def _open(self) -> av.VideoStream:
        """Opens the recording that begins."""
        self._container = open_pipe(self._source, self._name)
        stream = video_stream(self._container, self._name)
        stream.codec_context.thread_type = "AUTO"
        # Read now: a stream's fields must not be read once its container is closed.
        self._pixel_aspect = float(stream.sample_aspect_ratio or 1)
        return stream

    @property
    def damaged(self) -> int:
        return self._damage.count

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields each frame as soon as a later one has arrived.

        Raises:
          UserError: the video ends before the first sampled frame, or the crop is outside of the
            picture.
        """
        shown: np.ndarray | None = None
        latest: av.VideoFrame | None = None
        count = 0

        def image() -> np.ndarray:
            nonlocal shown
            if shown is None:
                assert latest is not None
                shown = self._to_image(latest)
            return shown

        for time_s, frame in self._timed():
            latest = latest or frame  # the first frame stands in for samples before it
            while (count + 1) / self.fps - self._tolerance_s <= time_s:
                yield image()
                count += 1
            latest, shown = frame, None
        while latest is not None and count < math.floor(
            self.duration_s * self.fps + self._tolerance_s
        ):
            yield image()
            count += 1
        if latest is None:
            raise unreadable_pipe(self._name)
        if not count:
            raise UserError(
                f"{self._name}: ended after {self.duration_s:.3f} s, too short for one frame at "
                f"{self.fps:g} frames per second"
            )

    def _to_image(self, frame: av.VideoFrame) -> np.ndarray:
        image, size = upright(frame, self._reformatter), self._size
        shape, pixel_aspect = image.shape[:2], upright_aspect(frame, self._pixel_aspect)
        placed = place_picture(self._geometry, shape, size, pixel_aspect, self._name)
        self.aspect = placed.aspect
        return fit_picture(image, placed, size)

    def _timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yields every whole frame and the seconds at which it is shown, which never decrease.

        Raises:
          UserError: a frame is shown for too long.
        """
        unit_s, step_s = self._clock.unit_s, 1 / (self._clock.rate or self.fps)
        zero_s, latest_s, begin_s = None, 0.0, 0.0
        for count, (stamp, frame) in enumerate(self._stamped(), 1):
            if zero_s is None:
                first_s = self._clock.first * unit_s
                delay_s = delay_of(self._container, first_s, self._sounds_s)
                begin_s = delay_s if delay_counts(delay_s, self.fps) else 0.0
                zero_s = first_s - begin_s
            time_s = self.duration_s if stamp is None else stamp * unit_s - zero_s
            longest_s = min(MAX_REPEATS * count / self.fps, LONGEST_SHOWN_S)
            if not time_s - latest_s <= longest_s:
                raise UserError(
                    f"{self._name}: states that a frame is shown for {time_s - latest_s:.0f} s; "
                    "its times are wrong"
                )
            time_s = max(time_s, latest_s)
            lasts_s = frame.duration * unit_s or step_s
            if self._clock.counted and count > 1:
                lasts_s = time_s - latest_s
            self.duration_s = time_s + min(lasts_s, longest_s)
            latest_s = time_s
            steady_s = begin_s + count * step_s
            if abs(self.duration_s - steady_s) <= 2 * self._tolerance_s:
                self.duration_s = steady_s  # start and end are rounded
            yield time_s, frame

    def _stamped(self) -> Iterator[tuple[int | None, av.VideoFrame]]:
        """Yields every whole frame and the time at which it is shown, units of the stream."""
        counted = CountedTimes(self._clock.lag) if self._clock.counted else None
        for packet in self._packets():
            stamp = self._clock.follow(packet, self._damage)
            if counted is not None and stamp is not None:
                counted.add(stamp)
            frames = self._damage.decode(packet)
            if frames is None and counted is not None:
                counted.next()
            for frame in frames or ():
                shown = frame.pts if counted is None else counted.next()
                if self._damage.is_undamaged(frame):
                    yield shown, frame

    def _packets(self) -> Iterator[av.Packet]:
        """Yields the packets of all recordings, and closes each at its end."""
        with self._container:
            yield from self._demux()
        while self._source.next_recording():
            try:
                self._stream = self._open()
            except UserError:
                self._damage.count += 1
            else:
                with self._container:
                    yield from self._demux()

    def _demux(self) -> Iterator[av.Packet]:
        """Yields the packets of a recording.

        A fragment of an mp4 file may hold all its pictures before its sound, and FFmpeg does not
        know when the sound begins before it has read that. Until then packets wait.
        """
        is_mp4 = self._container.format.name.startswith("mov")
        sounds = list(self._container.streams.audio) if is_mp4 else []
        packets, held = self._container.demux(self._stream, *sounds), list[av.Packet]()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.EOFError):
                yield from held
                return
            except av.FFmpegError:
                self._damage.count += 1
                continue
            if packet.stream is self._stream:
                held.append(packet)
            elif packet.stream in sounds and packet.pts is not None:
                sounds.remove(packet.stream)
                self._sounds_s.append(max(float(packet.pts * packet.time_base), 0.0))
            if not sounds or len(held) >= _MOST_HELD:
                yield from held
                sounds, held = [], []
