"""Options of preparing a data set."""

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from afsd_jax.data.decode.crops import NO_CROPS, VideoCrops
from afsd_jax.data.storage.frame_codec import check_encoding
from afsd_jax.errors import UserError
from afsd_jax.io.names import nearest_path
from afsd_jax.types import KEEP_ASPECT, SQUEEZE


@dataclasses.dataclass(frozen=True)
class PrepareOptions:
    """Options of preparation; None uses the default of the data set.

    Attributes:
      source: folder of videos, arrays or flow images, or a prepared rgb stream.
      annotations: file or folder; None looks in the source folder.
      classes: text file with all allowed labels, one per line, in their order.
      encoding: encoding of the stored frames: jpeg, png or raw.
      fps: frames per second to sample; 0 keeps each video's own rate.
      max_frames: if positive, the rate of a video is lowered to at most this many frames.
      size: height and width of the stored frames, pixels.
      flow_method: tvl1 or dis.
      allow_missing: whether annotated videos may have no file; these are listed.
      workers: number of processes; 0 uses one per core.
      beam_options: Apache Beam's pipeline options, to run on Beam; None runs here.
      crops: the parts of the pictures that are used, unless the annotations state them.
      keep_aspect: how pictures become square; see `FrameGeometry`.
      auto: which of fps and size are chosen from the videos; their values are not used then.
    """

    source: Path
    annotations: Path | None = None
    classes: Path | None = None
    encoding: str = "jpeg"
    fps: float | None = None
    max_frames: int | None = None
    size: int = 112
    flow_method: str = "tvl1"
    allow_missing: bool | None = None
    workers: int = 0
    beam_options: Any = None
    crops: VideoCrops = NO_CROPS
    keep_aspect: str = SQUEEZE
    auto: Collection[str] = ()


def check_options(options: PrepareOptions) -> None:
    """Raises UserError for a negative number, an unknown encoding or a missing folder."""
    check_encoding(options.encoding)
    for field in ("fps", "max_frames", "workers"):
        if (getattr(options, field) or 0) < 0:
            raise UserError(f"{field} must not be negative, is {getattr(options, field)}")
    if options.keep_aspect not in KEEP_ASPECT:
        raise UserError(
            f"keep_aspect must be one of {', '.join(KEEP_ASPECT)}, is {options.keep_aspect!r}"
        )
    if options.size < 1:
        raise UserError(f"size must be positive, is {options.size}")
    if not os.path.isdir(options.source):
        near = "" if os.path.exists(options.source) else nearest_path(options.source)
        raise UserError(f"{options.source}: no such folder{near}")
