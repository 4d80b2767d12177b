"""A training clip as it was drawn for an epoch, which a row of integers describes."""

from typing import NamedTuple

import numpy as np

from afsd_jax.data.clips.clip_reader import ClipView
from afsd_jax.data.clips.speed import Place


class DrawnClip(NamedTuple):
    """A clip of an epoch.

    Attributes:
      epoch: number of the epoch.
      number: number of the clip, plus the number of clips for each time that it came before.
      shown: frames of the video that the clip shows; another number than T is another speed.
      view: frames of the video in a view: T of them, or those until the video's end.
    """

    epoch: int
    number: int
    shown: int
    view: ClipView

    @classmethod
    def of_row(cls, row: np.ndarray) -> "DrawnClip":
        """Returns the clip that a row describes; see `row`."""
        epoch, number, shown, *view = row.tolist()
        return cls(epoch, number, shown, ClipView(*view))

    @property
    def row(self) -> tuple[int, ...]:
        """Its fields, those of the view last."""
        return (*self[:-1], *self.view)

    @property
    def place(self) -> Place:
        """The part of the video that it shows."""
        return Place(self.view.start, self.shown)

    def num_frames(self, of_video: int, length: int) -> int:
        """Returns the number of its frames, of `length`, before the end of the video."""
        left = of_video - self.view.start
        return min(length, -(-left * length // self.shown))


ROW_SIZE = len(DrawnClip._fields) - 1 + len(ClipView._fields)
