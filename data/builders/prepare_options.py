"""How to prepare a data set."""

import dataclasses
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class PrepareOptions:
    """How to prepare a data set; None leaves a choice to the data set.

    Attributes:
      source: folder of videos, arrays or flow images, or of a prepared rgb stream.
      annotations: file or folder; None: in the source folder.
      classes: text file with the only labels allowed, one a line, in their order.
      encoding: of the stored frames: jpeg, png or raw.
      fps: frames per second to sample; 0 keeps each video's own rate.
      max_frames: if positive, a video's rate is lowered to at most this many frames.
      size: height and width of the stored frames, pixels.
      flow_method: tvl1 or dis.
      allow_missing: whether annotated videos may be absent; they are listed.
      workers: processes; 0 is one for every core.
      beam_options: Apache Beam's pipeline options, to run on it.
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
