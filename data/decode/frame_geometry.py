"""Which part of a picture the networks see, and how that part fills a square frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.crops import parse_crop
from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from afsd_jax.types import CENTER, LETTERBOX, OWN_CROPS, SQUEEZE

_SLACK = 0.5  # pixels by which rounding may put a crop's end outside of the picture
_NO_MOTION = 128  # of flow; frames have black bars


class FrameGeometry(NamedTuple):
    """How a picture becomes a frame.

    Attributes:
      crop: the part that is used; "" is the whole picture, as is `OWN_CROPS`. See `crops`.
      keep_aspect: squeeze: the part is stretched to a square; center: its largest centred square is
        used; letterbox: it keeps its shape between two bars.
    """

    crop: str = ""
    keep_aspect: str = SQUEEZE

    def in_words(self) -> str:
        """Returns what frames show, for people.

        Example:
          >>> FrameGeometry("10%,0,80%,100%", "letterbox").in_words()
          'the part 10%,0,80%,100% (x, y, width, height) of the picture, between two bars'
        """
        crops = {"": "the whole picture", OWN_CROPS: "a part that was stated for each video"}
        part = f"the part {self.crop} (x, y, width, height) of the picture"
        shapes = {CENTER: "of which the largest centred square", LETTERBOX: "between two bars"}
        shape = shapes.get(self.keep_aspect, "squeezed to a square")
        return f"{crops.get(self.crop, part)}, {shape}"


WHOLE = FrameGeometry()


class Placement(NamedTuple):
    """Where the pixels of a picture go.

    Attributes:
      region: top, left, bottom, right of the part that is used, in stored pixels.
      size: height and width to which it is resized, pixels.
      corner: its first row and column in the frame.
      aspect: width over height of what the complete frame shows, as it is played.
    """

    region: tuple[int, int, int, int]
    size: tuple[int, int]
    corner: tuple[int, int]
    aspect: float


def place_picture(
    geometry: FrameGeometry,
    picture: tuple[int, int],
    size: tuple[int, int],
    pixel_aspect: float = 1.0,
    name: str = "",
) -> Placement:
    """Returns where the pixels of a picture go.

    Args:
      geometry: how a picture becomes a frame.
      picture: height and width of the upright picture, in stored pixels.
      size: height and width of the frame, pixels.
      pixel_aspect: width over height of the upright picture's pixels.
      name: name of the video, for messages.

    Raises:
      UserError: the crop is partly outside of the picture, or contains no pixel of it.

    Example:
      >>> place_picture(FrameGeometry("", "letterbox"), (240, 320), (112, 112))
      Placement(region=(0, 0, 240, 320), size=(84, 112), corner=(14, 0), aspect=1.0)
    """
    top, left, bottom, right = _region(geometry.crop, picture, pixel_aspect, name)
    height, width = bottom - top, right - left
    aspect = width / height * pixel_aspect
    if geometry.keep_aspect == CENTER:
        rows = min(height, max(round(width * pixel_aspect), 1))
        columns = min(width, max(round(height / pixel_aspect), 1))
        top, left = top + (height - rows) // 2, left + (width - columns) // 2
        return Placement((top, left, top + rows, left + columns), size, (0, 0), 1.0)
    region = top, left, bottom, right
    if geometry.keep_aspect != LETTERBOX:
        return Placement(region, size, (0, 0), aspect)
    frame = size[1] / size[0]
    rows = min(max(round(size[0] * frame / aspect), 1), size[0])
    columns = min(max(round(size[1] * aspect / frame), 1), size[1])
    return Placement(
        region, (rows, columns), ((size[0] - rows) // 2, (size[1] - columns) // 2), frame
    )


def fit_picture(
    image: NDArray[np.uint8], placement: Placement, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Returns the frame [*size, C] of an upright picture [H, W, C]: black, or no motion, around it.

    Args:
      image: the picture; two channels are flow.
      placement: see `place_picture`.
      size: height and width of the frame, pixels.
    """
    top, left, bottom, right = placement.region
    resized = resize(image[top:bottom, left:right], placement.size)
    if placement.size == size:
        return resized
    channels = image.shape[2]
    frame = np.full((*size, channels), _NO_MOTION if channels == 2 else 0, np.uint8)
    (top, left), (height, width) = placement.corner, placement.size
    frame[top : top + height, left : left + width] = resized
    return frame


def _region(
    crop: str, picture: tuple[int, int], pixel_aspect: float, name: str
) -> tuple[int, int, int, int]:
    """Returns top, left, bottom, right of a crop in stored pixels."""
    height, width = picture
    if crop in ("", OWN_CROPS):
        return 0, 0, height, width
    values, percent = parse_crop(crop)
    played = width * pixel_aspect, float(height)
    x, y, w, h = (
        value / 100 * played[i % 2] if in_percent else value
        for i, (value, in_percent) in enumerate(zip(values, percent, strict=True))
    )
    if x + w > played[0] + _SLACK or y + h > played[1] + _SLACK:
        raise UserError(
            f"{name or 'the picture'}: the crop {crop} lies partly outside of the picture, which "
            f"has {played[0]:.0f}x{played[1]:.0f} pixels; state it in percent if sizes differ"
        )
    left, right = (min(round(end / pixel_aspect), width) for end in (x, x + w))
    top, bottom = (min(round(end), height) for end in (y, y + h))
    if left >= right or top >= bottom:
        raise UserError(f"{name or 'the picture'}: the crop {crop} has no pixel; make it larger")
    return top, left, bottom, right
