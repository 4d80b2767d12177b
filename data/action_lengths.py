"""Which actions are lost because they are short or long for a network that sees windows."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from afsd_jax.io.names import first_names

FEWEST_FRAMES = 5  # of an action: hardly more than a cell of the trunk
LONGEST_CLIP = 768  # frames: the longest clip that is chosen
NOTABLE = 0.1  # share of a class's actions: if fewer are lost, nothing is said
_MOST_NAMES = 8  # of classes in a line


@dataclasses.dataclass(frozen=True)
class LostActions:
    """The actions that the network finds less well because of their lengths, counted by class.

    Attributes:
      short: those that last fewer than `FEWEST_FRAMES`.
      long: those that last longer than half a clip, in videos that are longer than a clip. Windows
        overlap by half, so such an action may be in none of them as a whole.
      all: all actions; classes without actions are left out.
      clip_length: frames of a clip.
    """

    short: Mapping[str, int]
    long: Mapping[str, int]
    all: Mapping[str, int]
    clip_length: int

    @property
    def number(self) -> int:
        """The number of lost actions."""
        return sum(self.short.values()) + sum(self.long.values())

    @property
    def share(self) -> float:
        """The mean over the classes of the share of their actions that is lost."""
        shares = [(self.short[name] + self.long[name]) / n for name, n in self.all.items()]
        return float(np.mean(shares)) if shares else 0.0

    @property
    def short_line(self) -> str:
        """A line about short actions, if a class loses a notable share of them; else empty."""
        return self._line(self.short, f"fewer than {FEWEST_FRAMES} frames, and are found less well")

    @property
    def long_line(self) -> str:
        """A line about long actions, if a class loses a notable share of them; else empty."""
        half = self.clip_length // 2
        return self._line(self.long, f"longer than {half} frames, half a clip; windows cut them")

    def _line(self, lost: Mapping[str, int], what: str) -> str:
        if not any(count >= NOTABLE * self.all[name] for name, count in lost.items() if count):
            return ""
        counted = f"{sum(lost.values())} of {sum(self.all.values())} actions"
        return f"{counted} last {what}: {self._classes(lost)}"

    def _classes(self, lost: Mapping[str, int]) -> str:
        worst = sorted(lost, key=lambda name: (-lost[name] / self.all[name], name))
        names = [f"{name!r} ({lost[name]} of {self.all[name]})" for name in worst if lost[name]]
        return first_names(names, _MOST_NAMES)


def find_lost(
    frames: Mapping[str, ArrayLike], clip_length: int = LONGEST_CLIP, scale: float = 1.0
) -> LostActions:
    """Returns which actions are lost.

    Args:
      frames: for each class [N, 2], the lengths of its actions and of their videos, frames.
      clip_length: frames of a clip.
      scale: factor of the lengths, such as frames per second if they are seconds.

    Example:
      >>> lost = find_lost({"blink": [[3, 90], [9, 90]], "sleep": [[999, 2000]]})
      >>> lost.number, lost.short, lost.long
      (2, {'blink': 1, 'sleep': 0}, {'blink': 0, 'sleep': 1})
    """
    lengths = {
        name: scale * np.asarray(rows, float).reshape(-1, 2) for name, rows in frames.items()
    }
    lengths = {name: rows for name, rows in lengths.items() if len(rows)}
    cut = {
        name: (rows[:, 0] > clip_length / 2) & (rows[:, 1] > clip_length)
        for name, rows in lengths.items()
    }
    return LostActions(
        {name: int((rows[:, 0] < FEWEST_FRAMES).sum()) for name, rows in lengths.items()},
        {name: int(rows.sum()) for name, rows in cut.items()},
        {name: len(rows) for name, rows in lengths.items()},
        clip_length,
    )
