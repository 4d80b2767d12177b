"""Putting a clip's actions before another video's background.

A cell also sees frames beside its own, so some of an action's neighbours stay in place, and those
of other videos' actions are no background.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MARGIN = 2  # cells on each side of an action that belong to it


class Stretch(NamedTuple):
    """Cells [first, stop) of a video, which is named by its number."""

    video: int
    first: int
    stop: int


def is_background(segments: np.ndarray, cells: int, unit: int) -> np.ndarray:
    """Returns whether each cell is more than `MARGIN` cells away from every action: bool [cells].

    Args:
      segments: float64 [A, 2], (start, end) of actions, frames.
      cells: number of cells.
      unit: frames of a cell.

    Example:
      >>> is_background(np.array([[9.0, 13.0]]), cells=9, unit=4).astype(int).tolist()
      [0, 0, 0, 0, 0, 0, 1, 1, 1]
    """
    first = (np.arange(cells) - MARGIN) * unit
    last = first + (2 * MARGIN + 1) * unit
    start, end = segments.T[:, :, None]
    return ~((start < last) & (end > first)).any(axis=0)


class Backgrounds:
    """The background of all training videos."""

    def __init__(self, segments: Sequence[np.ndarray], num_frames: Sequence[int], unit: int):
        """Finds the cells that no action covers.

        Args:
          segments: float64 [A, 2] for each video, (start, end) of its actions, frames.
          num_frames: frames of each video.
          unit: frames of a cell.
        """
        self._cells = [
            np.flatnonzero(is_background(of_video, frames // unit, unit))
            for of_video, frames in zip(segments, num_frames, strict=True)
        ]

    def draw(self, video: int, count: int, rng: np.random.Generator) -> list[Stretch]:
        """Returns `count` background cells of another video, in their order.

        The first one is drawn among all background cells of the other videos. After the video's
        last one, the first one follows.

        Args:
          video: number of the video for which this is no background.
          count: number of cells.
          rng: makes the choice.

        Returns:
          Neighbouring cells as one stretch; nothing if no other video has background.
        """
        sizes = np.array([len(cells) for cells in self._cells])
        sizes[video] = 0
        ends = sizes.cumsum()
        if not ends[-1] or not count:
            return []
        drawn = rng.integers(ends[-1])
        other = int(np.searchsorted(ends, drawn, side="right"))
        cells = self._cells[other]
        first = drawn - (ends[other] - sizes[other])
        numbers = cells[(first + np.arange(count)) % len(cells)]
        parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        return [Stretch(other, int(part[0]), int(part[-1]) + 1) for part in parts]
