"""The consistency clip: a training clip with background moved into one of its actions (AFSD §3.4).

It shows the same frames in another order, so it is stored as an index into the clip's frames.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import ml_collections
import numpy as np


@dataclasses.dataclass(frozen=True)
class ConsistencyClip:
    """A consistency clip.

    Attributes:
      index: int32 [T], the frame of the training clip that each of its frames shows.
      segments: float64 [3, 2], (start, end) in frames: the part of the action before the moved
        background, the part after it, and the background itself without a frame on each side.
    """

    index: np.ndarray
    segments: np.ndarray


def moved_length(min_action: float, rules: ml_collections.ConfigDict, unit: int = 1) -> int:
    """Returns the number of background frames to move.

    Args:
      min_action: the shortest action in the video's training clips, frames.
      rules: the field `data.consistency` of a configuration.
      unit: the number is rounded up to a multiple of it.
    """
    rounded = math.ceil(min_action) if rules.round_up else math.floor(min_action)
    return -(-int(rounded / rules.divisor) // unit) * unit


def consistency_clip(
    segments: np.ndarray, length: int, moved: int, pick: Callable[[int], int], unit: int = 1
) -> ConsistencyClip | None:
    """Makes a consistency clip by four choices: an action, a place in it, a background, its frames.

    Args:
      segments: float64 [A, 2], (start, end) of the clip's actions, frames.
      length: T, frames of the clip.
      moved: m, number of background frames to move.
      pick: pick(n) chooses an integer from 0 to n - 1, n ≥ 1.
      unit: frames that stay together, a divisor of `moved` and `length`: the place and the
        background begin at multiples of it, up to `unit` - 1 frames before those chosen.

    Returns:
      The clip, or None if no action or no background is long enough.
    """
    lengths = segments[:, 1] - segments[:, 0]
    # In both variants of the reference, an action of exactly 2m frames has no place for background.
    actions = segments[lengths > 2 * moved]
    backgrounds = _backgrounds(segments, length, moved)
    if not len(actions) or not backgrounds:
        return None
    start, end = actions[pick(len(actions))].tolist()
    at = math.ceil(start) + moved + pick(math.ceil(end - start - moved) - moved)
    first, last = backgrounds[pick(len(backgrounds))]
    source = first + pick(last - first - moved)
    is_after = source >= end
    at, source = at - at % unit, source - source % unit

    index = np.arange(length, dtype=np.int32)
    if is_after:
        # The background comes from after the action: the frames between move back.
        index[at : at + moved] = np.arange(source, source + moved)
        index[at + moved : source + moved] = np.arange(at, source)
        regions = [(start, at), (at + moved, end + moved), (at + 1, at + moved - 1)]
    else:
        index[source : at - moved] = np.arange(source + moved, at)
        index[at - moved : at] = np.arange(source, source + moved)
        regions = [(start - moved, at - moved), (at, end), (at - moved + 1, at - 1)]
    return ConsistencyClip(index, np.array(regions, np.float64))


def _backgrounds(segments: np.ndarray, length: int, moved: int) -> list[tuple[int, int]]:
    """Returns (first, last) frame of each stretch of background longer than `moved` frames."""
    times = sorted([*segments.ravel().tolist(), 0, length - 1])
    actions = {(start, end) for start, end in segments.tolist()}
    stretches = [
        (math.ceil(left), math.floor(right))
        for left, right in itertools.pairwise(times)
        if (left, right) not in actions
    ]
    return [(first, last) for first, last in stretches if last - first > moved]
