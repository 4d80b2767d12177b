"""Training clips of one video: their positions, their actions and their boundary targets."""

from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.data.clips.geometry import window_offsets


class Actions(NamedTuple):
    """The actions of a video: segments float64 [A, 2] in frames, and labels int32 [A] from 1 on."""

    segments: np.ndarray
    labels: np.ndarray


class Clip(NamedTuple):
    """A training clip.

    Attributes:
      offset: first frame of the clip in its video.
      segments: float64 [A, 2], (start, end) of its actions, frames from the clip's start.
      labels: int32 [A], classes from 1 on.
    """

    offset: int
    segments: np.ndarray
    labels: np.ndarray


class VideoClips(NamedTuple):
    """The training clips of a video.

    Attributes:
      clips: the clips.
      shifted: for each clip, itself and the clips that may be taken in its place: those that begin
        before the next one, in whole units.
      min_action: the shortest action in all clips, frames.
    """

    clips: list[Clip]
    shifted: list[list[Clip]]
    min_action: float


def video_clips(
    num_frames: int,
    segments: np.ndarray,
    labels: np.ndarray,
    data: ml_collections.ConfigDict,
    unit: int = 1,
) -> VideoClips:
    """Returns the training clips of a video, as the reference implementation chooses them.

    Clips start every `clip_stride` frames, and the last possible clip is added. An action belongs
    to a clip if at least the share `min_overlap` of it is inside the bounds [offset + 1,
    offset + T], and is cut there. Clips without an action that is completely inside are left out.
    With `one_clip` the video is one clip at 0 with every action.

    Args:
      num_frames: sampled frames of the video.
      segments: float64 [A, 2], (start, end) of its actions in sampled frames.
      labels: int [A], classes from 1 on; all become 1 with `class_agnostic`.
      data: the field `data` of a configuration.
      unit: frames of which offsets are multiples; see `geometry.frame_unit`. 1: clips begin at any
        frame, and are not shifted.
    """
    length = data.clip_length
    actions = usable_actions(segments, labels, data)
    segments, labels = actions
    if data.one_clip:
        inside = segments[:, 0] < length
        kept = segments[inside].clip(max=length)
        clips = [Clip(0, kept, labels[inside])] if inside.any() else []
        return VideoClips(clips, [[clip] for clip in clips], _shortest(kept, length))

    offsets = window_offsets(num_frames, length, data.clip_stride, unit=unit)
    cut = [clip_at(offset, actions, data) for offset in offsets]
    seen = [segments] if num_frames <= length else []
    min_action = _shortest(np.concatenate([*seen, *(clip.segments for clip, _ in cut)]), length)
    clips, shifted = [], []
    for (clip, is_complete), end in zip(cut, [*offsets[1:], offsets[-1] + 1], strict=True):
        if is_complete:
            starts = range(clip.offset + unit, end, unit) if unit > 1 else ()
            others = [clip_at(start, actions, data) for start in starts]
            clips.append(clip)
            shifted.append([clip, *(other for other, is_complete in others if is_complete)])
    return VideoClips(clips, shifted, min_action)


def usable_actions(
    segments: np.ndarray, labels: np.ndarray, data: ml_collections.ConfigDict
) -> Actions:
    """Returns the actions that have a length, all of class 1 with `class_agnostic`."""
    segments = np.asarray(segments, np.float64).reshape(-1, 2)
    labels = np.asarray(labels, np.int32)
    if data.class_agnostic:
        labels = np.ones_like(labels)
    valid = segments[:, 1] > segments[:, 0]
    return Actions(segments[valid], labels[valid])


def clip_at(offset: float, actions: Actions, data: ml_collections.ConfigDict) -> tuple[Clip, bool]:
    """Returns the clip at an offset, and whether an action is completely inside."""
    bounds = (offset + 1, offset + data.clip_length)
    overlap = share_inside(actions.segments, bounds)
    keep = overlap >= data.min_overlap
    kept = actions.segments[keep].clip(*bounds) - offset
    return Clip(int(offset), kept, actions.labels[keep]), bool((overlap >= 1).any())


def share_inside(segments: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Returns the share of each segment [A, 2] inside the bounds: [A], ≤ 0 is none."""
    start, end = segments.T
    return (np.minimum(bounds[1], end) - np.maximum(bounds[0], start)) / (end - start)


def boundary_targets(segments: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Marks the frames around the starts and ends of actions (AFSD §3.3, in float64).

    A boundary b of an action of d frames marks the frames round(b - w) … round(b + w), with
    w = max(d / 10, 2) / 2; frames outside the clip count as its first or last frame.

    Args:
      segments: float64 [A, 2], (start, end) of actions, frames.
      length: T, frames of the clip.

    Returns:
      (start targets, end targets), uint8 [T] each, 0 or 1.
    """
    half = np.maximum((segments[:, 1] - segments[:, 0]) / 10, 2) / 2
    targets = np.zeros((2, length), np.uint8)
    for target, boundary in zip(targets, segments.T, strict=True):
        first = np.clip(np.round(boundary - half), 0, length - 1).astype(int)
        last = np.clip(np.round(boundary + half), 0, length - 1).astype(int)
        for i, j in zip(first, last, strict=True):
            target[i : j + 1] = 1
    return targets[0], targets[1]


def _shortest(segments: np.ndarray, length: int) -> float:
    return float((segments[:, 1] - segments[:, 0]).min(initial=length))
