"""Checks that a video shows each picture when it is due, read as a file, a pipe and excerpts."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.data.decode.excerpt import frames_at, frames_between
from afsd_jax.data.decode.pipe_reader import PipeReader
from afsd_jax.data.decode.video_reader import VideoReader
from tests.barcodes import HEIGHT, WIDTH, number_of, write

FPS = 10
CODECS = {"webm": "libvpx", "mpg": "mpeg2video", "vob": "mpeg2video", "avi": "mpeg4"}
# Containers whose picture may begin later than their sound, with an encoder.
DELAYED = {
    "mp4": "libx264",
    "mov": "libx264",
    "mkv": "libx264",
    "ts": "libx264",
    "flv": "libx264",
    "webm": "libvpx",
    "mpg": "mpeg2video",
}


class Pipe:
    def __init__(self, content: bytes):
        self._content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self._content.read(min(size, 1000))


def numbers(images: Sequence[np.ndarray]) -> list[int]:
    return [number_of(image) for image in images]


def read_pipe(path: Path, fps: float = FPS) -> tuple[list[int], PipeReader]:
    reader = PipeReader(Pipe(path.read_bytes()), "pipe", fps, (HEIGHT, WIDTH))
    return numbers(list(reader)), reader


def check(
    path: Path,
    shown: Sequence[int],
    times_s: Sequence[float],
    duration_s: float,
    pipe: bool = True,
    slack: int = 0,
) -> None:
    """Checks that readers and excerpts show these numbers from these times on.

    Args:
      path: the video.
      shown: numbers of its pictures.
      times_s: when each begins, seconds.
      duration_s: end of the last one, seconds.
      pipe: whether the file can be read from a pipe.
      slack: how many pictures a sample may be off: times of some containers are rounded.
    """
    reader = VideoReader(path, FPS, (HEIGHT, WIDTH))
    found = numbers(list(reader))
    assert reader.duration_s == pytest.approx(duration_s, abs=0.04)
    assert len(found) == pytest.approx(duration_s * FPS, abs=1)
    assert reader.damaged == 0
    instants = (np.arange(len(found)) + 1) / FPS - 1e-3
    expected = np.maximum(np.searchsorted(times_s, instants) - 1, 0)
    positions = np.searchsorted(shown, found)
    assert np.abs(positions - expected).max() <= slack
    if pipe:
        piped, piped_reader = read_pipe(path)
        assert piped == found
        assert piped_reader.duration_s == pytest.approx(reader.duration_s, abs=2e-3)
        assert piped_reader.damaged == 0
    check_excerpts(path, shown, times_s, duration_s)


def check_excerpts(
    path: Path, shown: Sequence[int], times_s: Sequence[float], duration_s: float
) -> None:
    everything = list(frames_between(path, 0, duration_s + 1))
    assert numbers([image for _, image in everything]) == list(shown)
    assert [time_s for time_s, _ in everything] == pytest.approx(list(times_s), abs=0.025)
    places = [round(share * (len(shown) - 1)) for share in (0, 0.3, 0.6, 0.9)]
    wanted_s = [everything[place][0] for place in places]
    assert numbers([image for _, image in frames_at(path, wanted_s)]) == [shown[k] for k in places]
    some = frames_between(path, wanted_s[1], wanted_s[2])
    assert numbers([image for _, image in some]) == list(shown[places[1] : places[2]])


def seconds(start_s: float, count: int, rate: float = 30) -> list[float]:
    return (start_s + np.arange(count) / rate).tolist()


def write_delayed(folder: Path, suffix: str, picture_s: float, sound_s: float) -> Path:
    """Writes 6 s of pictures and a tone of 6 s, which begin at these times, seconds."""
    return write(
        folder / f"delayed.{suffix}",
        range(180),
        seconds(picture_s, 180),
        codec=DELAYED[suffix],
        sound_s=(sound_s, sound_s + 6),
        unit=Fraction(1, 30),
        options={"g": "30"},
    )
