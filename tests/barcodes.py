"""Video files whose pictures show their number, with sound and times of any kind, for tests."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, BITS = 96, 160, 10
_SOUND = {"webm": "libopus", "mpg": "mp2", "vob": "mp2", "avi": "mp2"}  # else AAC
_SOUND_RATE = 48_000


def picture(number: int) -> np.ndarray:
    """Returns an image that shows a number below 1024 as ten bars, uint8 [H, W, 3]."""
    bits = (number >> np.arange(BITS)) & 1
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[HEIGHT // 3 :] = np.repeat(40 + 180 * bits, WIDTH // BITS)[:, None]
    return image


def number_of(image: np.ndarray) -> int:
    """Returns the number that an image shows."""
    height, width = image.shape[:2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    rows = image[height // 2 : height * 17 // 20]
    bars = np.stack([rows[:, c - 1 : c + 2].mean() for c in centres])
    return int(((bars > 128) << np.arange(BITS)).sum())


def write(
    path: Path,
    numbers: Sequence[int],
    times_s: Sequence[float] | None = None,
    rate: Fraction | int = 30,
    codec: str = "libx264",
    sound_s: tuple[float, float] | None = None,
    last_s: float | None = None,
    unit: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    kind: str | None = None,
) -> Path:
    """Writes a video.

    Args:
      path: file; its suffix says the container, unless `kind` does.
      numbers: shown by the pictures.
      times_s: when they are shown, seconds; default: at `rate`.
      rate: frames per second.
      codec: encoder of the video.
      sound_s: (start, end) of a tone, seconds; default: no sound.
      last_s: how long the last picture's packet says that it is shown, seconds.
      unit: of the video's times, seconds.
      options: of the encoder.
      container_options: of the container.
      kind: FFmpeg's name of the container.
    """
    with av.open(str(path), "w", format=kind, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options or {}
        unit = unit or Fraction(1, 90_000)
        if times_s is not None:
            stream.codec_context.time_base = unit
        packets = []
        for index, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[index] / unit), unit
            packets += stream.encode(frame)
        packets += stream.encode()
        if last_s is not None:
            last = max(packets, key=lambda packet: packet.pts)
            last.duration = round(last_s / last.time_base)
        if sound_s is not None:
            packets += _tone(container, path, *sound_s)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            container.mux(packet)
    return path


def _tone(
    container: av.container.OutputContainer, path: Path, start_s: float, end_s: float
) -> list[av.Packet]:
    codec = _SOUND.get(path.suffix[1:], "aac")
    stream = container.add_stream(codec, rate=_SOUND_RATE, layout="stereo")
    step = {"mp2": 1152, "libopus": 960}.get(codec, 1024)
    packets = []
    for first in range(round(start_s * _SOUND_RATE), round(end_s * _SOUND_RATE), step):
        wave = 8000 * np.sin((first + np.arange(step)) * 2 * np.pi * 440 / _SOUND_RATE)
        samples = np.repeat(wave.astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = _SOUND_RATE, first
        frame.time_base = Fraction(1, _SOUND_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode()
