"""The shape of a video's picture, from its first frame."""

from pathlib import Path
from typing import NamedTuple

import av

from afsd_jax.data.decode.container import open_recordings
from afsd_jax.data.decode.video_reader import upright_aspect
from afsd_jax.errors import UserError


class PictureShape(NamedTuple):
    """The shape of an upright picture.

    Attributes:
      height: stored pixels.
      width: stored pixels.
      pixel_aspect: width over height of a pixel.
      fps: frames per second that the file states; 0 if it states none.
    """

    height: int
    width: int
    pixel_aspect: float
    fps: float


def read_shape(path: Path) -> PictureShape:
    """Returns the shape of the first frame that can be decoded.

    Raises:
      UserError: the file is missing or no video, or no frame can be decoded.
    """
    for container, stream in open_recordings(path):
        rate, own_aspect = stream.average_rate, float(stream.sample_aspect_ratio or 1)
        try:
            frame = next(container.decode(stream))
        except (av.FFmpegError, StopIteration):
            continue
        on_its_side = round(frame.rotation / 90) % 2
        height, width = (frame.height, frame.width)[:: -1 if on_its_side else 1]
        return PictureShape(height, width, upright_aspect(frame, own_aspect), float(rate or 0))
    raise UserError(f"{path}: no frame can be decoded; the file is damaged")
