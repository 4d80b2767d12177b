"""Checks of what a shard says of a video: it may come from a stranger."""

import math
from typing import TYPE_CHECKING

import numpy as np

from afsd_jax.data.annotations.checks import check_name
from afsd_jax.data.storage.frame_codec import ROWS, check_encoding
from afsd_jax.errors import UserError

if TYPE_CHECKING:
    from afsd_jax.data.storage.prepared_video import PreparedVideo

MOST_S = 5_000_000  # 58 days
MOST_FPS = 1e6
MOST_PIXELS = 2**24  # of a frame
MOST_CHANNELS = 2**16  # of features
_MOST_NAME_BYTES = 200  # what is left of a file name's 255 for suffixes


def check_video(video: "PreparedVideo", num_classes: int | None) -> None:
    """Checks what a shard says of a video.

    Args:
      video: as it was read.
      num_classes: number of classes that labels may have; None: any.

    Raises:
      UserError: its name is no safe file name, or a value is impossible.
    """
    check_name(video.name, "video name", str(video.path))
    if len(video.name.encode()) > _MOST_NAME_BYTES:
        raise UserError(f"{video.path}: the name {video.name[:40]!r}… is too long to name files")
    place = f"{video.path}: {video.name}"
    try:
        check_encoding(video.encoding)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    height, width, channels = video.shape
    possible = channels in (2, 3)
    if video.encoding == ROWS:
        possible = height == width == 1 and 0 < channels <= MOST_CHANNELS
    if min(height, width) < 1 or height * width > MOST_PIXELS or not possible:
        raise UserError(f"{place}: no frame has {width}x{height} pixels and {channels} channels")
    if not 0 < video.fps <= MOST_FPS:
        raise UserError(f"{place}: {video.fps:g} frames per second is no frame rate")
    if not 0 <= video.duration_s <= MOST_S or video.num_frames / video.fps > MOST_S:
        raise UserError(
            f"{place}: {video.duration_s:g} s with {video.num_frames} frames, {video.fps:g} a "
            "second, is no duration"
        )
    starts, ends = video.segments.T
    possible = (starts >= 0) & (starts <= ends) & (ends <= video.num_frames + 1)
    if not possible.all():
        first = int(np.argmin(possible))
        raise UserError(
            f"{place}: action {first} lasts from frame {starts[first]:g} to {ends[first]:g}, in a "
            f"video of {video.num_frames} frames"
        )
    if len(video.labels) != len(video.segments):
        raise UserError(f"{place}: has {len(video.segments)} actions, but other numbers of labels")
    most = math.inf if num_classes is None else num_classes
    if len(video.labels) and not 1 <= video.labels.min() <= video.labels.max() <= most:
        raise UserError(f"{place}: a label is none of the {num_classes} classes")
