"""The consistency clip: a training clip with background moved into one of its actions (AFSD §3.4).

It shows the same frames in another order, so it is an index into the clip's own frames.
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
      index: int32 [T], the clip's frame that each of its frames shows.
      segments: float64 [3, 2], (start, end) in frames: the action before the cut, the action after
        it, the background in it less a frame on each side.
    """

    index: np.ndarray
    segments: np.ndarray


def moved_length(min_action: float, rules: ml_collections.ConfigDict) -> int:
    """Returns how many frames of background are moved.

    Args:
      min_action: the video's shortest action over its training clips, frames.
      rules: the field `data.consistency` of a configuration.
    """
    rounded = math.ceil(min_action) if rules.round_up else math.floor(min_action)
    return int(rounded / rules.divisor)


def consistency_clip(
    segments: np.ndarray, length: int, cut: int, pick: Callable[[int], int]
) -> ConsistencyClip | None:
    """Makes a consistency clip by four choices: an action, its cut, a background, its frames.

    Args:
      segments: float64 [A, 2], (start, end) of the clip's actions, frames.
      length: T.
      cut: m, frames of background to move.
      pick: pick(n) chooses one of n ≥ 1 options, from 0 on.

    Returns:
      The clip, or None where there is nothing to choose from.
    """
    lengths = segments[:, 1] - segments[:, 0]
    # Both variants of the reference agree here: an action of exactly 2m has no place to cut.
    actions = segments[lengths > 2 * cut]
    backgrounds = _backgrounds(segments, length, cut)
    if not len(actions) or not backgrounds:
        return None
    start, end = actions[pick(len(actions))].tolist()
    at = math.ceil(start) + cut + pick(math.ceil(end - start - cut) - cut)
    first, last = backgrounds[pick(len(backgrounds))]
    source = first + pick(last - first - cut)

    index = np.arange(length, dtype=np.int32)
    if source >= end:
        # The background comes from after the action: what lies between moves back.
        index[at : at + cut] = np.arange(source, source + cut)
        index[at + cut : source + cut] = np.arange(at, source)
        regions = [(start, at), (at + cut, end + cut), (at + 1, at + cut - 1)]
    else:
        index[source : at - cut] = np.arange(source + cut, at)
        index[at - cut : at] = np.arange(source, source + cut)
        regions = [(start - cut, at - cut), (at, end), (at - cut + 1, at - 1)]
    return ConsistencyClip(index, np.array(regions, np.float64))


def _backgrounds(segments: np.ndarray, length: int, cut: int) -> list[tuple[int, int]]:
    """Returns the whole frames (first, last) of each stretch of background longer than `cut`."""
    times = sorted([*segments.ravel().tolist(), 0, length - 1])
    actions = {(start, end) for start, end in segments.tolist()}
    stretches = [
        (math.ceil(left), math.floor(right))
        for left, right in itertools.pairwise(times)
        if (left, right) not in actions
    ]
    return [(first, last) for first, last in stretches if last - first > cut]
