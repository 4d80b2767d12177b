"""A copy of a video that every browser plays: H.264 and AAC in mp4, each frame at its own time."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from afsd_jax.data.decode.clock import Clock
from afsd_jax.data.decode.container import file_url, open_container, open_recordings
from afsd_jax.data.decode.damage import DamageCounter
from afsd_jax.data.decode.frame_times import FrameTimes
from afsd_jax.data.decode.picture_shape import PictureShape, read_shape
from afsd_jax.data.decode.video_reader import decode_packets, upright
from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure
from afsd_jax.labelling.label_videos import played_times

_UNIT = Fraction(1, 90_000)  # of the copy's times, seconds
_HEIGHT = 720  # pixels at most
_WIDEST = 4.0  # shape of a pixel; one beyond it is a mistake in the file
_RATE = 48_000  # samples of sound a second
# Key frames lie close together and no frame waits for a later one, so seeking is fast.
_VIDEO = {"preset": "veryfast", "crf": "23", "g": "25", "bf": "0"}


def write_proxy(source: Path, target: Path, progress: Callable[[float], object]) -> None:
    """Writes the copy, completely or not at all.

    Args:
      source: video file.
      target: file to write.
      progress: is called with the share that is done; what it raises ends the work.

    Raises:
      UserError: the video cannot be read, or the copy cannot be written.
    """
    times = played_times(source)
    with (
        atomic_write(target) as temporary,
        naming_failure(target),
        av.open(
            file_url(temporary), "w", format="mp4", options={"movflags": "+faststart"}
        ) as output,
    ):
        frames = _frames(source, times)
        first = next(frames, None)
        if first is None:
            raise UserError(f"{source}: no frame can be decoded; the file is damaged")
        picture = output.add_stream("libx264", rate=25, options=dict(_VIDEO))
        picture.width, picture.height = _size(read_shape(source))
        picture.pix_fmt, picture.codec_context.time_base = "yuv420p", _UNIT
        sound = _Sound(source, output)
        starts = [round(time_s / _UNIT) for time_s in times.times_s.tolist()]
        starts[0] = 0  # players show the first frame until the second one
        end, last = round(times.duration_s / _UNIT), -1
        reformatter = VideoReformatter()
        position, shown = first
        while True:
            if starts[position] > last:
                last = starts[position]
                frame = _converted(shown, picture, reformatter)
                frame.pts, frame.time_base = last, _UNIT
                output.mux(picture.encode(frame))
                sound.write(float(last * _UNIT))
                progress(position / len(starts))
            following = next(frames, None)
            if following is None:
                break
            position, shown = following
        for packet in picture.encode():
            if packet.pts == last:
                packet.duration = max(end - last, 1)
            output.mux(packet)
        sound.write(math.inf)


def _frames(source: Path, times: FrameTimes) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields (position in the video, frame) of every undamaged frame."""
    damage = DamageCounter()

    def packets() -> Iterator[av.Packet]:
        clock = None
        for container, stream in open_recordings(source):
            stream.codec_context.thread_type = "AUTO"
            clock = clock or Clock(container, stream)
            for packet in container.demux(stream):
                clock.follow(packet, damage)
                yield packet

    return decode_packets(packets(), times, damage)


def _size(shape: PictureShape) -> tuple[int, int]:
    """Returns width and height of the copy: even, upright, with square pixels."""
    aspect = shape.pixel_aspect if 1 / _WIDEST <= shape.pixel_aspect <= _WIDEST else 1.0
    scale = min(1.0, _HEIGHT / shape.height)
    sides = shape.width * aspect, shape.height
    width, height = (max(2 * round(side * scale / 2), 2) for side in sides)
    return width, height


def _converted(
    frame: av.VideoFrame, picture: av.VideoStream, reformatter: VideoReformatter
) -> av.VideoFrame:
    if round(frame.rotation / 90) % 4:
        frame = av.VideoFrame.from_ndarray(upright(frame, reformatter), format="rgb24")
    return reformatter.reformat(frame, picture.width, picture.height, "yuv420p")


class _Sound:
    """The sound of a file, encoded as far as the picture has come; silent if it has none."""

    def __init__(self, source: Path, output: av.container.OutputContainer):
        with open_container(source) as container:
            has_sound = bool(container.streams.audio)
        self._output = output
        self._stream = output.add_stream("aac", rate=_RATE, layout="stereo") if has_sound else None
        self._parts = self._decoded(source) if has_sound else iter(())
        self._next: av.AudioFrame | None = None

    def _decoded(self, source: Path) -> Iterator[av.AudioFrame]:
        with open_container(source) as container:
            start_s = (container.start_time or 0) / av.time_base
            resampler = av.AudioResampler("fltp", "stereo", _RATE, frame_size=1024)
            first: int | None = None
            count = 0
            try:
                for frame in container.decode(audio=0):
                    if first is None:
                        first = max(round(((frame.time or 0.0) - start_s) * _RATE), 0)
                    for part in resampler.resample(frame):
                        part.pts, part.time_base = first + count, Fraction(1, _RATE)
                        count += part.samples
                        yield part
            except av.FFmpegError:
                return  # the rest of a damaged sound is silent

    def write(self, until_s: float) -> None:
        """Writes the sound up to a time."""
        if self._stream is None:
            return
        while True:
            part = self._next or next(self._parts, None)
            self._next = None
            if part is None:
                break
            if (part.pts or 0) >= until_s * _RATE:
                self._next = part
                return
            self._output.mux(self._stream.encode(part))
        self._output.mux(self._stream.encode(None))
        self._stream = None
