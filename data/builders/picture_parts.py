"""Which part of each video's pictures is prepared, by the options and the annotations."""

from pathlib import Path

from afsd_jax.config_checks import FEATURES
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.source_files import SourceFiles
from afsd_jax.data.decode import media
from afsd_jax.data.decode.crops import NO_CROPS, has_pixels
from afsd_jax.data.decode.frame_geometry import FrameGeometry, place_picture
from afsd_jax.data.decode.picture_shape import read_shape
from afsd_jax.data.decode.sources import open_array
from afsd_jax.errors import UserError
from afsd_jax.types import SQUEEZE


def find_geometries(
    options: PrepareOptions, stream: str, found: SourceFiles
) -> dict[str, FrameGeometry]:
    """Returns how the pictures of each video become frames, by name.

    A crop that the annotations state for a video comes before that of the options.

    Raises:
      UserError: a crop names no video or is outside of its picture, or the stream has no pictures.
    """
    crops = options.crops
    crops.check_names({*found.videos, *found.paths, *found.others, *found.unreadable})
    chosen = {name: found.videos[name].crop or crops.of(name) or "" for name in found.paths}
    if stream == FEATURES:
        shaped = any(chosen.values()) or options.keep_aspect != SQUEEZE or options.auto
        if shaped:
            raise UserError(
                "features have no pictures; leave crops, keep_aspect and the choice of fps and "
                "size out"
            )
    for name, path in found.paths.items():
        if has_pixels(chosen[name]):
            _check_crop(chosen[name], path)
    return {name: FrameGeometry(crop, options.keep_aspect) for name, crop in chosen.items()}


def check_unshaped(options: PrepareOptions, report: Path) -> None:
    """Raises UserError if crops are stated for a prepared rgb stream, whose frames are cropped."""
    if options.crops != NO_CROPS:
        raise UserError(
            f"{report.parent}: its frames were cropped when they were prepared; leave crops out"
        )


def _check_crop(crop: str, path: Path) -> None:
    """Raises UserError if a crop is outside of the picture of a file that can be read."""
    try:
        if media.is_video(path):
            height, width, pixel_aspect, _ = read_shape(path)
        elif path.suffix == ".npy":
            (height, width), pixel_aspect = open_array(path).shape[1:3], 1.0
        else:
            return
    except UserError:
        return  # it is listed when it is prepared
    place_picture(FrameGeometry(crop), (height, width), (1, 1), pixel_aspect, str(path))
