"""Tasks of the preparation, one per video, and their results."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afsd_jax.data.decode.frame_geometry import WHOLE, FrameGeometry
from afsd_jax.data.decode.sources import FrameSource, Timeline
from afsd_jax.types import Action


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """The result of a task; `error` is None if a shard was written.

    `aspect` is width over height of what the frames show, 0 if unknown: stored frames are square.
    `crop` is the part of the pictures that was used.
    """

    name: str
    split: str
    error: str | None = None
    num_bytes: int = 0
    fps: float = 0.0
    num_frames: int = 0
    duration_s: float = 0.0
    source_frames: int = 0
    damaged: int = 0
    aspect: float = 0.0
    crop: str = ""


@dataclasses.dataclass(frozen=True)
class EarlierShard:
    """A shard with the same frames from an earlier preparation.

    Attributes:
      path: the shard.
      key: key of its task.
      result: result of its task.
    """

    path: Path
    key: str
    result: TaskResult


@dataclasses.dataclass(frozen=True)
class Task:
    """Everything needed to prepare one video.

    Attributes:
      name: name of the video.
      split: train, test, …
      path: the video, array, folder of flow images or shard.
      actions: actions in the video.
      stream: rgb or flow.
      fps: frames per second to sample; 0 keeps the video's own rate.
      max_frames: if positive, the rate is lowered to at most this many frames.
      size: height and width of the stored frames, pixels.
      encoding: encoding of the stored frames.
      flow_method: tvl1 or dis.
      timeline: rate and length of the video, needed if `path` is not a video.
      class_names: classes in the order of their labels.
      source: fingerprint of the file of the frames.
      earlier: an earlier shard with these frames, or None.
      count_frames: whether times are counted in frames; see `VideoReader`. It is the same for all
        videos of a data set, so no key depends on it.
      group: who or where, if the annotations say so; see `folds`. No shard depends on it.
      geometry: which part of the pictures is used, and how it fills a frame.
    """

    name: str
    split: str
    path: Path
    actions: tuple[Action, ...]
    stream: str
    fps: float
    max_frames: int
    size: int
    encoding: str
    flow_method: str
    timeline: Timeline | None
    class_names: tuple[str, ...]
    source: str = ""
    earlier: EarlierShard | None = None
    count_frames: bool = False
    group: str = ""
    geometry: FrameGeometry = WHOLE

    def frames_key(self) -> str:
        """Returns a fingerprint of everything that determines the frames."""
        method = self.flow_method if self.stream == "flow" else ""
        sampling = (self.fps, self.max_frames, self.timeline)
        shaped = () if self.geometry == WHOLE else tuple(self.geometry)
        return _fingerprint(
            self.source, self.stream, *sampling, self.size, self.encoding, method, *shaped
        )

    def annotations_key(self) -> str:
        """Returns a fingerprint of the video's name, split and actions."""
        actions = [(a.label, a.start_s, a.end_s, a.source_frames) for a in self.actions]
        return _fingerprint(self.name, self.split, actions)

    def key(self) -> str:
        """Returns a fingerprint of everything that determines the shard, used as its file name."""
        labels = [self.class_names.index(action.label) for action in self.actions]
        return _fingerprint(self.frames_key(), self.annotations_key(), labels)


def _fingerprint(*values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The tasks of a preparation.

    Attributes:
      tasks: one per video, sorted by split and name.
      class_names: classes in the order of their labels.
      missing: lines about annotated videos without a file, by name.
      unreadable: why other videos' files cannot be opened, by name.
      notes: lines about annotations and files that are left out.
      warnings: lines about annotations that may be wrong.
    """

    tasks: tuple[Task, ...]
    class_names: tuple[str, ...]
    missing: Mapping[str, str]
    unreadable: Mapping[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def place_actions(
    task: Task, source: FrameSource | Timeline | TaskResult
) -> tuple[list[dict[str, Any]], list[str]]:
    """Places a task's actions on the sampled frames.

    Actions are cut at the end of the video, and left out if they start after it. Both occur in
    published annotations.

    Returns:
      The annotations of the example, and a line for every action changed by at least a frame.
    """
    placed, notes = [], []
    for action in task.actions:
        start, end = action.start_s * source.fps, action.end_s * source.fps
        if action.source_frames and source.source_frames:
            scale = source.num_frames / source.source_frames
            start, end = (frame * scale for frame in action.source_frames)
        if start >= source.num_frames or action.start_s >= source.duration_s:
            notes.append(
                f"{action.place}: starts at {action.start_s:g} s, but {task.name} ends at "
                f"{source.duration_s:g} s: left out"
            )
            continue
        if end >= source.num_frames + 1:
            notes.append(
                f"{action.place}: ends at {action.end_s:g} s, but {task.name} at "
                f"{source.duration_s:g} s: cut there"
            )
        placed.append(
            {
                "label": task.class_names.index(action.label),
                "start_s": action.start_s,
                "end_s": min(action.end_s, source.duration_s),
                "start_frame": start,
                "end_frame": min(end, source.num_frames),
            }
        )
    return placed, notes
