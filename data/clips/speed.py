"""Training clips of another speed: more or fewer of a video's cells, resampled to the clip's.

Only features are resampled, as frames cannot be interpolated. The actions of a clip are those of
the video at that speed.
"""

from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.data.clips.training_clips import Actions, Clip, clip_at


class Place(NamedTuple):
    """The part of a video that a clip shows: its first frame, and how many frames there are."""

    start: int
    shown: int


def draw_place(
    offset: int,
    actions: Actions,
    num_frames: int,
    data: ml_collections.ConfigDict,
    unit: int,
    rng: np.random.Generator,
) -> Place:
    """Draws a speed for a clip, and a place where an action is complete at this speed.

    The factor is log-uniform between 1 / (1 + s) and 1 + s, s = `data.speed`, but a clip never
    shows more frames than its video, or than the clip itself, has. A slower clip lies within the
    clip at the video's own speed, and a faster one around it. If no action is complete in any such
    place, or each has more than `data.max_actions`, the clip stays as it is.

    Args:
      offset: first frame of the clip at the video's own speed.
      actions: actions of the video.
      num_frames: frames of the video.
      data: the field `data` of a configuration.
      unit: frames of which places are multiples; see `geometry.frame_unit`.
      rng: makes all choices.
    """
    length, available = data.clip_length, max(num_frames, data.clip_length)
    shown = min(round(length * (1 + data.speed) ** rng.uniform(-1, 1)), available)
    first, last = sorted((offset, offset + length - shown))
    last = min(last, available - shown) // unit
    first = max(min(-(-first // unit), last), 0)
    for number in rng.permutation(last - first + 1).tolist():
        place = Place((first + number) * unit, shown)
        clip, is_complete = clip_in(place, actions, data)
        if is_complete and len(clip.labels) <= data.max_actions:
            return place
    return Place(offset, length)


def clip_in(place: Place, actions: Actions, data: ml_collections.ConfigDict) -> tuple[Clip, bool]:
    """Returns the clip that shows a part of a video, and whether an action is complete in it.

    Its segments are in frames of the video at the clip's speed.
    """
    factor = place.shown / data.clip_length
    at_speed = actions._replace(segments=actions.segments / factor)
    clip, is_complete = clip_at(place.start / factor, at_speed, data)
    return clip._replace(offset=place.start), is_complete


def resample(cells: np.ndarray, count: int, factor: float, centre: float = 0.5) -> np.ndarray:
    """Interpolates cells linearly along time; the first and the last one extend beyond the ends.

    Args:
      cells: [N, size], the first one at the beginning of the clip.
      count: number of cells to return.
      factor: speed of the result, in relation to that of `cells`.
      centre: middle of what the first cell sees, in cells from the clip's beginning.

    Returns:
      [count, size], of the same type.

    Example:
      >>> resample(np.array([[0.0], [10.0], [20.0], [30.0]]), count=2, factor=2.0).tolist()
      [[5.0], [25.0]]
    """
    places = (np.arange(count) + centre) * factor - centre
    places = places.clip(0, len(cells) - 1)
    before = places.astype(int)
    after = np.minimum(before + 1, len(cells) - 1)
    share = (places - before)[:, None].astype(np.float32)
    left, right = (cells[index].astype(np.float32) for index in (before, after))
    return (left + share * (right - left)).astype(cells.dtype)
