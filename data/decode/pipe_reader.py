"""Decoding a video that is read from a pipe: once, and without seeking."""

import math
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.container import ByteSource, open_pipe, unreadable_pipe, video_stream
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.resize import FRAME_SIZE, resize
from afsd_jax.data.decode.video_reader import MAX_REPEATS, upright
from afsd_jax.errors import UserError


class PipeReader:
    """Iterates once over the frames of a piped video at a fixed rate: uint8 [H, W, 3], RGB.

    Sample k is the frame on the screen just before (k + 1) / fps. For a complete file with correct
    times these are the frames of `VideoReader`. Where the video's clock jumps back, or forward by
    more than `MAX_REPEATS` samples, the jump is removed from the times.

    Attributes:
      fps: sampled frames per second.
      duration_s: duration of the frames received so far, seconds.
      damaged: number of damaged packets and frames received so far.
    """

    def __init__(
        self, source: ByteSource, name: str, fps: float = 10.0, size: tuple[int, int] = FRAME_SIZE
    ):
        """Reads the beginning of the video, up to its format and rate.

        Args:
          source: where the bytes come from.
          name: name of the source, for messages.
          fps: frames per second to sample; 0 keeps the rate that the video states.
          size: (height, width) of the frames, pixels.

        Raises:
          UserError: it is not a video, its format needs seeking, or it states no rate.
        """
        self._name, self._container = name, open_pipe(source, name)
        self._stream = video_stream(self._container, name)
        self._stream.codec_context.thread_type = "AUTO"
        self._size, self._reformatter = size, VideoReformatter()
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.fps = fps or rate
        if not 0 < self.fps < math.inf:
            raise UserError(f"{name}: the video states no frame rate")
        # As in `sample_indices`, a frame that starts exactly at the instant is excluded. Times are
        # rounded to the unit of the video.
        self._tolerance_s = max(1e-6, 0.51 * float(self._stream.time_base or 0))
        self._step_s = 1 / rate if rate > 0 else 1 / self.fps
        self.duration_s, self._damage = 0.0, DamageCounter()

    @property
    def damaged(self) -> int:
        return self._damage.count

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields each frame as soon as a later one has arrived.

        Raises:
          UserError: the video ends before the first sampled frame.
        """
        shown: np.ndarray | None = None
        latest: av.VideoFrame | None = None
        count = 0

        def image() -> np.ndarray:
            nonlocal shown
            if shown is None:
                assert latest is not None  # no sample lies before the first frame
                shown = resize(upright(latest, self._reformatter), self._size)
            return shown

        for time_s, frame in self._timed():
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

    def _timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yields (seconds since the first frame, never decreasing; frame) of undamaged frames."""
        unit = float(self._stream.time_base or 0)
        longest_s = MAX_REPEATS / self.fps
        zero, latest_s = 0.0, None
        for frame in self._decoded():
            stamp = frame.dts if frame.pts is None else frame.pts
            time_s = self.duration_s if stamp is None else stamp * unit - zero
            if latest_s is None or not 0 <= time_s - latest_s <= longest_s:
                zero += time_s - self.duration_s
                time_s = self.duration_s
            latest_s = time_s
            self.duration_s = time_s + min(frame.duration * unit or self._step_s, longest_s)
            yield time_s, frame

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.EOFError):
                return
            except av.FFmpegError:
                self._damage.count += 1
                continue
            yield from filter(self._damage.is_undamaged, self._damage.decode(packet) or ())
