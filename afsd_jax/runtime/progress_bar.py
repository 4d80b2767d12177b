"""The progress bar of videos: seconds of video, and how fast they are processed."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

_SPEED_FROM = 0.01  # share done before a speed is shown: until then, start-up dominates
_TINY = 1e-9

Frame = TypeVar("Frame")


class SecondsBar(tqdm):
    """Counts seconds of video, and how many times faster than real time they are processed."""

    def __init__(self, total: float, quiet: bool = False, desc: str | None = None):
        """Shows the bar.

        Args:
          total: seconds of all videos, as far as they are known.
          quiet: whether the bar is hidden.
          desc: text before the bar.
        """
        super().__init__(total=total, smoothing=0.05, disable=quiet, desc=desc)

    @property
    def format_dict(self) -> dict[str, Any]:
        values = dict(super().format_dict)
        rate = values["rate"] or values["n"] / max(values["elapsed"], _TINY)
        # Sums of fractions of a second may exceed the total by a rounding error.
        total = max(values["total"] or 0.0, 0.0)
        done = min(values["n"], total) if total else values["n"]
        form = "{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s"
        if not total:  # the length is unknown
            form = "{desc} {n:.0f} s, {speed}"
        elif done > _SPEED_FROM * total:
            form += ", {speed}, {remaining} left"
        values["rate"] = max(rate, _TINY)  # tqdm divides by it, and cannot write an infinite time
        values["total"] = total or None
        return values | {"n": done, "speed": f"{rate:.2f}× real time", "bar_format": form}

    def correct(self, seconds: float) -> None:
        """Adds to the total the seconds by which a video is longer than it stated."""
        self.total = (self.total or 0) + seconds

    def counted(self, frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
        """Yields frames and counts each as 1 / fps seconds."""
        for frame in frames:
            yield frame
            self.update(1 / fps)
