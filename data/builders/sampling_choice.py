"""Chooses the rate and the size of frames from the videos and their actions, with reasons."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike

from afsd_jax.data.action_lengths import LostActions, find_lost
from afsd_jax.data.decode.frame_geometry import FrameGeometry, place_picture
from afsd_jax.data.decode.picture_shape import PictureShape

USUAL_FPS = 10.0
RATES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)  # frames per second
SIZES = (112, 168, 224)  # pixels; six sevenths of them are multiples of the trunk's cells
_TOLERANCE = 0.02  # of the share of lost actions: for less, no other rate is worth its cost
# Frames of 112×112 pixels for which the trunk needs about an hour on a laptop.
_MOST_WORK = 200_000
_ALIKE = 1.01  # ratio of rates that count as the same, such as 29.97 and 30

Lengths = Mapping[str, ArrayLike]  # for each class [N, 2]: lengths of actions and videos, seconds


class Choice(NamedTuple):
    """A chosen value, and the reason in words."""

    value: float | int
    reason: str


def best_rate(lengths: Lengths, own_rates: Sequence[float]) -> float:
    """Returns the rate nearest to `USUAL_FPS` at which hardly more actions are lost than must be.

    Args:
      lengths: lengths of the actions of each class, and of their videos, seconds.
      own_rates: frames per second of the videos; their median limits the rate.
    """
    limit = statistics.median(own_rates) * _ALIKE if own_rates else math.inf
    rates = [rate for rate in RATES if rate <= limit] or [RATES[0]]
    shares = {rate: find_lost(lengths, scale=rate).share for rate in rates}
    good = [rate for rate in rates if shares[rate] <= min(shares.values()) + _TOLERANCE]
    return float(min(good, key=lambda rate: abs(math.log(rate / USUAL_FPS))))


def choose_fps(lengths: Lengths, own_rates: Sequence[float]) -> Choice:
    """Chooses the rate by the shortest and the longest actions; see `best_rate`."""
    fps = best_rate(lengths, own_rates)
    usual, lost = find_lost(lengths, scale=USUAL_FPS), find_lost(lengths, scale=fps)
    of_all = f"of {sum(lost.all.values())} actions"
    if fps == USUAL_FPS:
        return Choice(fps, f"{lost.number} {of_all} are too short or too long at this rate")
    if usual.share <= lost.share:
        return Choice(fps, "the videos have no more frames a second")
    kind = "short" if fps > USUAL_FPS else "long"
    before = f"at {USUAL_FPS:g}, {usual.number} {of_all} would be too {kind}"
    return Choice(fps, f"{before}, at {fps:g} {lost.number}")


def choose_size(sides: Sequence[float], num_frames: float) -> Choice:
    """Chooses the height and width of frames, of those that suit the trunk.

    Args:
      sides: for each video the largest side of the part that a frame shows, pixels.
      num_frames: frames of all videos.
    """
    side = statistics.median(sides) if sides else SIZES[0]
    wanted = next((size for size in SIZES if size >= side), SIZES[-1])
    affordable = [s for s in SIZES if num_frames * (s / SIZES[0]) ** 2 <= _MOST_WORK]
    size = min(wanted, max(affordable, default=SIZES[0]))
    reason = f"the largest side of what a frame shows is {side:.0f} pixels"
    if size < wanted:
        reason += f", but {num_frames:,.0f} frames of {wanted} would take hours on a laptop"
    elif side > size:
        reason += ", and the trunk was trained on frames of this size"
    factor = (size / SIZES[0]) ** 2
    more = f"; features take {factor:.3g} times as long as with {SIZES[0]}" if factor > 1 else ""
    return Choice(size, reason + more)


def largest_side(shape: PictureShape, geometry: FrameGeometry) -> float:
    """Returns the largest side of the part of a picture that a frame shows, stored pixels.

    Raises:
      UserError: the crop is outside of the picture.
    """
    picture, size = (shape.height, shape.width), (SIZES[0], SIZES[0])
    region = place_picture(geometry, picture, size, shape.pixel_aspect).region
    top, left, bottom, right = region
    return float(max(bottom - top, right - left))


def length_lines(lengths: Lengths, fps: float, own_rates: Sequence[float]) -> list[str]:
    """Returns lines about actions that are lost at a rate, each with a remedy.

    Args:
      lengths: lengths of the actions of each class, and of their videos, seconds.
      fps: frames per second that are sampled.
      own_rates: frames per second of the videos.
    """
    lost = find_lost(lengths, scale=fps)
    lines = [line for line in (lost.short_line, lost.long_line) if line]
    if not lines:
        return []
    better = best_rate(lengths, own_rates)
    remedy = _remedy(lost, find_lost(lengths, scale=better), fps, better)
    return [f"{line}; {remedy}" for line in lines]


def _remedy(lost: LostActions, left: LostActions, fps: float, better: float) -> str:
    """Returns what to do about the actions that are lost at `fps`; `left` are lost at `better`."""
    parts = []
    if left.share < lost.share - _TOLERANCE:
        of_them = "none is" if not left.number else f"{left.number} are"
        parts.append(
            f"with {better:g} frames a second instead of {fps:g} (fps auto) {of_them} lost"
        )
    if lost.short_line and lost.long_line and left.number:
        parts.append(
            "no rate suits all classes; prepare the short and the long ones apart, each at its own "
            "rate, and train a detector for each"
        )
    return "; ".join(parts) or "no rate that these videos have loses fewer"
