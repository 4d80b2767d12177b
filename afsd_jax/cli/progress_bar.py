"""The progress bar of detection: seconds of video, and their rate."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

_TELLING = 0.01  # share that must have passed: before it, the rate is that of starting up

Frame = TypeVar("Frame")


class SecondsBar(tqdm):
    """Counts seconds of video, and how many times faster than real time they pass."""

    def __init__(self, total: float, quiet: bool = False):
        super().__init__(total=total, smoothing=0.05, disable=quiet)

    @property
    def format_dict(self) -> dict[str, Any]:
        values = dict(super().format_dict)
        rate = values["rate"] or values["n"] / max(values["elapsed"], 1e-9)
        # Sums of fractions of a second may pass the total by a rounding error.
        passed = min(values["n"], values["total"]) if values["total"] else values["n"]
        form = "{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s"
        if not values["total"]:  # nobody knows it
            form = "{desc} {n:.0f} s, {speed}"
        elif passed > _TELLING * values["total"]:
            form += ", {speed}, {remaining} left"
        return values | {"n": passed, "speed": f"{rate:.2f}× real time", "bar_format": form}

    def correct(self, seconds: float) -> None:
        """Adds to the total what a video lasts longer than it stated."""
        self.total = (self.total or 0) + seconds

    def passing(self, frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
        """Yields frames and counts them."""
        for frame in frames:
            yield frame
            self.update(1 / fps)
