"""Frames written as a short video that any player, browser or notebook plays."""

import fractions
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from afsd_jax.data.decode.container import file_url
from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure
from afsd_jax.results.footage import Timed

_UNIT = fractions.Fraction(1, 90_000)  # of the frames' times, seconds


def write_clip(path: str | os.PathLike[str], frames: Iterable[Timed]) -> None:
    """Writes frames as H.264 in mp4, without sound, in one piece or not at all.

    Args:
      path: ends in .mp4.
      frames: shown as long after the first as their times say, in the size of the first. Of an odd
        number of rows or columns the last is left out, for H.264 halves the resolution of colours.

    Raises:
      UserError: the path ends otherwise or cannot be written, or there are no frames, or frames one
        pixel high or wide.
    """
    path, coming = Path(path), iter(frames)
    if path.suffix.lower() != ".mp4":
        raise UserError(f"{path}: clips end in .mp4")
    first = next(coming, None)
    if first is None:
        raise UserError(f"{path}: no frame of the video lies in this span")
    size = first[1].shape[:2]
    height, width = (side - side % 2 for side in size)
    if not height * width:
        raise UserError(f"{path}: frames of {size[1]}x{size[0]} pixels make no H.264 video")
    with (
        atomic_write(path) as temporary,
        naming_failure(path),
        av.open(file_url(temporary), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = _UNIT
        last = -1
        for time_s, image in itertools.chain([first], coming):
            pts = round((time_s - first[0]) / _UNIT)
            if pts <= last:
                continue
            even = np.ascontiguousarray(resize(image, size)[:height, :width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base, last = pts, _UNIT, pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
