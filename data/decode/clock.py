"""The clock of a video, the same for files, pipes and excerpts.

Seconds count from the container's start, as players count them: the beginning of its picture or of
its sound, whichever is earlier. A frame is shown at the time its packet states. Where the
container's clock is set again, as between concatenated recordings, the next frame follows when the
last one ends. Raw streams state no times: their frames follow one after another at the rate in
their header.
"""

import logging
import math
from collections import deque
from collections.abc import Sequence

import av

from afsd_jax.data.decode.damage import DamageCounter

log = logging.getLogger(__name__)

# MPEG-TS, MPEG-PS and Ogg may jump ahead: a longer gap between two frames is such a jump. In other
# formats a frame is shown until the next one, however long.
LONGEST_GAP_S = 100.0
LONGEST_SHOWN_S = 24 * 3600.0  # a frame that is shown for longer has a wrong time
EXACT_S = 1e-6  # rounding error of computed times
_BACK_S = 0.1  # shorter ways back are inexact times, not a clock that was set
_RAW_RATE = 25.0  # frames per second, where a raw stream states none


class Clock:
    """Puts the packets of a video stream on one clock that is never set again.

    Attributes:
      unit_s: seconds in a unit of time stamps.
      rate: frames per second as stated; 0 if they are not.
      counted: whether the k-th frame shown has the k-th time, whatever packet it comes from: AVI
        states only when frames are decoded, raw streams nothing.
      first: when the first frame is shown, units, of the packets followed so far.
      lag: frames that are decoded before the first one is shown, where frames are counted: the k-th
        frame shown has the (k + lag)-th time.
      starts_at_keys: whether the place of a key frame is known where decoding starts there.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream):
        """Starts before the first packet.

        Args:
          container: the video's container; of concatenated recordings, that of the first.
          stream: its video stream.
        """
        self._stream, self._at_join, self._scale = stream, False, 1.0
        self._raw = _is(container, av.format.Flags.no_timestamps)
        self.counted = self._raw or container.format.name == "avi"
        self.starts_at_keys = not (self.counted and stream.codec_context.has_b_frames)
        self.lag = stream.codec_context.reorder_depth if container.format.name == "avi" else 0
        self._assumes_rate = False
        self.unit_s = float(stream.time_base or 0)
        self.rate = float(stream.average_rate or stream.guessed_rate or 0)
        if self._raw:
            self._assumes_rate = not stream.codec_context.framerate
            stated = stream.guessed_rate or stream.codec_context.framerate
            self.rate = _RAW_RATE if self._assumes_rate else float(stated or _RAW_RATE)
        unit_s = self.unit_s or 1.0
        self._frame = round(1 / (self.rate * unit_s)) if self.rate > 0 else 0
        self._back = _BACK_S / unit_s
        jumps_ahead = _is(container, av.format.Flags.ts_discont)
        self._ahead = LONGEST_GAP_S / unit_s if jumps_ahead else math.inf
        self._jumps = self._shift = self._count = 0
        self.first = self._latest = self._end = 0  # starts of frames so far, and the last end
        # All frames after a key frame are shown after those before it.
        self._earliest = -math.inf

    def note_assumed_rate(self, name: object) -> None:
        """Logs the rate if a raw stream states none; `name` is the video's."""
        if self._assumes_rate:
            log.warning(
                f"{name}: states no frame rate; {self.rate:g} frames per second are assumed"
            )

    @property
    def tolerance_s(self) -> float:
        """Seconds by which a time that is rounded to units may be too early; counts are exact."""
        return EXACT_S if self.counted else max(EXACT_S, 0.51 * self.unit_s)

    @property
    def shift(self) -> int:
        """Units by which the present packets are shown later than they state."""
        return self._shift

    @property
    def seekable(self) -> bool:
        """Whether seeking to a time finds its frame, as far as the packets have been followed."""
        return not self._raw and not self._jumps

    def follow(self, packet: av.Packet, damage: DamageCounter | None = None) -> int | None:
        """Moves the next packet's time stamps to this clock.

        Args:
          packet: next packet of the video in the file; its times are changed.
          damage: counts damage in the packets before; told where recordings were joined.

        Returns:
          When its frame is shown, in units; see `counted`. None if the packet does not say.
        """
        if not packet.size:
            return None
        if packet.stream is not self._stream:
            self._join(packet.stream)
        if self._scale != 1:
            packet.pts = None if packet.pts is None else round(packet.pts * self._scale)
            packet.dts = None if packet.dts is None else round(packet.dts * self._scale)
            packet.duration = round((packet.duration or 0) * self._scale)
        if self._raw:
            stamp: int | None = round(self._count / (self.rate * self.unit_s))
        else:
            stamp = packet.dts if self.counted else packet.pts
        if stamp is None:
            return None
        stamp += self._shift
        if not packet.is_discard:
            jumps = self._jumps
            stamp = self._advance(stamp, packet)
            if self._jumps > jumps and damage is not None:
                damage.excuse_join()
        if self._shift:
            packet.pts = stamp
            packet.dts = None if packet.dts is None else packet.dts + self._shift
        return stamp

    def _join(self, stream: av.VideoStream) -> None:
        """Goes on with another recording, which has a clock of its own."""
        self._stream, self._at_join, self._shift = stream, True, 0
        self._scale = float(stream.time_base or 0) / self.unit_s if self.unit_s else 1.0

    def _advance(self, stamp: int, packet: av.Packet) -> int:
        """Takes the time of a frame that is shown; returns it on this clock."""
        end = stamp + (packet.duration or self._frame)
        if self._count:
            if packet.is_keyframe:
                self._earliest = self._latest - self._back
            ahead = self._ahead
            if self._at_join:
                self._earliest, ahead = self._end - self._back, LONGEST_GAP_S / self.unit_s
                self._at_join = False
            if stamp < self._earliest or stamp > self._latest + ahead:
                self._jumps += 1
                self._shift += self._end - stamp
                end += self._end - stamp
                stamp, self._earliest = self._end, -math.inf
            self.first, self._latest = min(self.first, stamp), max(self._latest, stamp)
            self._end = max(self._end, end)
        else:
            self.first, self._latest, self._end = stamp, stamp, end
        self._count += 1
        return stamp


class CountedTimes:
    """When frames are shown that are counted, from when their packets are decoded.

    A frame that follows `lag` packets behind its own is shown at the time of the packet that lets
    it out, so do encoders put it. The first frame keeps its time.
    """

    def __init__(self, lag: int):
        """Starts before the first packet; `lag` is that of the `Clock`."""
        self._lag = lag
        self._times: deque[int] = deque()
        self._first = self._early = 0  # time of the first packet, and of the one with its frame
        self._latest, self._step = 0, 1
        self._count = 0

    def add(self, stamp: int) -> None:
        """Takes the time of the next packet, units."""
        if not self._count:
            self._first = stamp
        else:
            self._step = stamp - self._latest
        if self._count == self._lag:
            self._early = stamp - self._first
        if self._count >= self._lag:
            self._times.append(stamp - self._early)
        self._latest = stamp
        self._count += 1

    def next(self) -> int:
        """Returns when the next frame is shown, units; at the end times go on in even steps."""
        if not self._times:
            self.add(self._latest + self._step)
        return self._times.popleft() if self._times else self._first


def delay_of(
    container: av.container.InputContainer, first_s: float, sounds_s: Sequence[float] = ()
) -> float:
    """Returns how long after the container's start the first frame is shown, seconds.

    Args:
      container: the video's container.
      first_s: time of its clock when the first frame is shown, seconds.
      sounds_s: time of its clock when the sound begins, seconds; default: as the container states.
    """
    starts_s = (
        [first_s, *sounds_s]
        if sounds_s
        else [
            float(stream.start_time * stream.time_base)
            for stream in container.streams
            if stream.type in ("audio", "video")
            and stream.start_time is not None
            and stream.time_base is not None
        ]
    )
    delay_s = max(first_s - min(starts_s, default=first_s), 0.0)
    if delay_s > LONGEST_GAP_S and _is(container, av.format.Flags.ts_discont):
        return 0.0  # another programme's clock
    return delay_s


def delay_counts(delay_s: float, fps: float) -> bool:
    """Returns whether a delay is as long as a frame sampled at `fps`; a shorter one is ignored."""
    return delay_s * fps >= 1 - 1e-3


def _is(container: av.container.InputContainer, flag: av.format.Flags) -> bool:
    """Returns whether FFmpeg says this of the container's format."""
    return flag in av.format.Flags(container.format.flags)
