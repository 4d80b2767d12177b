"""Crops: the parts of pictures that are used, as people state them.

A crop is a text, x,y,width,height, in pixels or percent of the picture as a player shows it: turned
upright, with square pixels. One is stated for all videos, or a JSON file states one for each.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.data.decode.media import is_video
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import require_dict, shown
from afsd_jax.io.names import first_names, nearest, with_composed_names
from afsd_jax.types import OWN_CROPS

_FORM = (
    "must be x,y,width,height in pixels or percent of the picture, such as 100,0,640,480 or "
    "10%,0%,80%,100%"
)
_LARGEST = 1e6


class Crop(NamedTuple):
    """A part of a picture.

    Attributes:
      values: x, y, width, height; x and y are those of the upper left corner.
      percent: for each value, whether it is in percent of the picture's width or height, else in
        pixels.
    """

    values: tuple[float, float, float, float]
    percent: tuple[bool, bool, bool, bool]


class VideoCrops(NamedTuple):
    """The crops of videos, as of `FrameGeometry`.

    Attributes:
      every: that of videos without one of their own; None: none is stated.
      by_name: crops by the names of videos.
      place: the file that states them, for messages.
    """

    every: str | None = None
    by_name: Mapping[str, str] = {}
    place: str = ""

    def of(self, name: str) -> str | None:
        """Returns the crop of a video; None: none is stated."""
        return self.by_name.get(name, self.every)

    def check_names(self, names: Collection[str]) -> None:
        """Raises UserError if a crop is stated for a video that is none of these."""
        for name in self.by_name:
            if name not in names:
                raise UserError(f"{self.place}: names no video {name!r}{nearest(name, names)}")

    def check_any(self, names: Iterable[str]) -> None:
        """Raises UserError if crops are stated by name, and for none of these videos."""
        names = list(names)
        if self.by_name and not any(name in self.by_name for name in names):
            raise UserError(
                f"{self.place}: has a crop for none of the videos: {first_names(names, 5)}"
            )


NO_CROPS = VideoCrops()


def parse_crop(text: str, place: str = "crop") -> Crop:
    """Returns the crop that a text states: x,y,width,height, in pixels or with % in percent.

    Args:
      text: the four values, separated by commas, semicolons or blanks.
      place: where the text stands, for messages.

    Raises:
      UserError: it states no crop, or one without area.

    Example:
      >>> parse_crop("10%, 0, 80%, 480").values
      (10.0, 0.0, 80.0, 480.0)
    """
    parts = text.replace(",", " ").replace(";", " ").split()
    try:
        values = [round(float(part.removesuffix("%")), 6) for part in parts]
    except ValueError:
        values = []
    if len(values) != 4 or not all(abs(value) <= _LARGEST for value in values):
        raise UserError(f"{place}: {text!r} {_FORM}")
    percent = [part.endswith("%") for part in parts]
    x, y, width, height = values
    if width <= 0 or height <= 0:
        raise UserError(f"{place}: {text!r} has no area; its width and height must be above 0")
    ends = [x + width] * (percent[0] and percent[2]) + [y + height] * (percent[1] and percent[3])
    if x < 0 or y < 0 or max(ends, default=0) > 100 + 1e-6:
        raise UserError(f"{place}: {text!r} lies partly outside of the picture")
    return Crop((x, y, width, height), (percent[0], percent[1], percent[2], percent[3]))


def crop_text(text: str, place: str = "crop") -> str:
    """Returns a crop as `FrameGeometry` states it, without blanks; "" stays "".

    Raises:
      UserError: as `parse_crop`.
    """
    if not text.strip():
        return ""
    crop = parse_crop(text, place)
    pairs = zip(crop.values, crop.percent, strict=True)
    shown = [(f"{value:.6f}".rstrip("0").rstrip("."), in_percent) for value, in_percent in pairs]
    return ",".join(value + "%" * in_percent for value, in_percent in shown)


def has_pixels(crop: str) -> bool:
    """Returns whether a crop may be outside of a picture, because it is stated in pixels."""
    return crop not in ("", OWN_CROPS) and not all(parse_crop(crop).percent)


def read_crops(text: str | None) -> VideoCrops:
    """Returns the crops that a text states: x,y,width,height, or the path of a JSON file.

    The file maps names of videos, with or without the suffix of a video, to crops: texts, or lists
    of four numbers in pixels.

    Raises:
      UserError: the text is neither, or a crop in the file is none.
    """
    if text is None:
        return NO_CROPS
    path = Path(text)
    if path.suffix.lower() != ".json" and not path.is_file():
        return VideoCrops(crop_text(text))
    content = with_composed_names(require_dict(files.read_json(path), text), text)
    named = {_without_suffix(name): crop for name, crop in content.items()}
    if len(named) < len(content):
        raise UserError(f"{path}: names a video twice, with and without its suffix")
    if not named:
        raise UserError(f"{path}: names no video")
    return VideoCrops(
        None, {name: _crop(crop, f"{path}: {name}") for name, crop in named.items()}, text
    )


def _crop(value: Any, place: str) -> str:
    if isinstance(value, list) and all(type(x) in (int, float) for x in value):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        raise UserError(
            f'{place}: must be a crop such as "10%,0%,80%,100%" or [100, 0, 640, 480], '
            f"not {shown(value)}"
        )
    return crop_text(value, place)


def _without_suffix(name: str) -> str:
    path = Path(name)
    return name[: -len(path.suffix)] if is_video(path) else name
