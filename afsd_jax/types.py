"""Types that several rooms use: annotated actions and videos, predictions, detections.

Times are seconds, unless a field says frames.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jax
    import numpy as np
    from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Action:
    """A true action.

    Attributes:
      label: class name.
      start_s: from the video's start, seconds.
      end_s: from the video's start, seconds.
      source_frames: (start, end) in frames of the original video, if the annotations use these;
        they take precedence over the seconds.
      place: file and position in it, for messages.
    """

    label: str
    start_s: float
    end_s: float
    source_frames: tuple[float, float] | None = None
    place: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True)
class AnnotatedVideo:
    """The annotations of one video.

    Attributes:
      subset: subset of the data set; "" if unknown.
      duration_s: length, seconds; None if unknown.
      actions: actions in the order of the file.
      place: file and position in it, for messages.
      notes: lines about what reading left out.
      file: path of the video as the annotations state it; "" if they state its name.
      observed: whether others may have annotated the same video under other paths, each on their
        own computer.
      group: videos with one name here, such as that of a person or a place, stay together when a
        split is divided; "": the video is alone.
      crop: the part of its pictures that is used, as of `FrameGeometry`; "" if none is stated.
    """

    subset: str
    duration_s: float | None
    actions: tuple[Action, ...]
    place: str = dataclasses.field(default="", compare=False)
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    file: str = dataclasses.field(default="", compare=False)
    observed: bool = dataclasses.field(default=False, compare=False)
    group: str = dataclasses.field(default="", compare=False)
    crop: str = ""


SQUEEZE, CENTER, LETTERBOX = KEEP_ASPECT = ("squeeze", "center", "letterbox")
OWN_CROPS = "own"  # crop of a network whose training videos had different ones
ANY_ACTION = "action"  # the only class of networks that locate actions of any class


class Predictions(NamedTuple):
    """Raw predictions of a network for K priors and C classes.

    loc: [..., K, 2] coarse distances from the prior to start and end, frames.
    conf: [..., K, C] coarse class logits, class 0 the background.
    prop_loc: [..., K, 2] refining offsets, in half widths of the coarse segment.
    prop_conf: [..., K, C] refined class logits; both None without refinement.
    center: [..., K] quality logits; None without quality.
    """

    loc: "jax.Array"
    conf: "jax.Array"
    prop_loc: "jax.Array | None"
    prop_conf: "jax.Array | None"
    center: "jax.Array | None"


class Detection(NamedTuple):
    """A detected action.

    Attributes:
      label: class name.
      score: from 0 to 1.
      start_s: from the video's start, seconds.
      end_s: from the video's start, seconds.

    Example:
      >>> detection = Detection("jump", 0.9, start_s=1.0, end_s=2.5)
      >>> detection.end_s - detection.start_s
      1.5
    """

    label: str
    score: float
    start_s: float
    end_s: float


class MarkedVideo(NamedTuple):
    """One video with its annotated or detected actions, as tools for annotation store it.

    Attributes:
      name: name of the video.
      marks: actions or detections.
      detected: whether these are detections.
      subset: subset of the data set; "" if unknown.
      path: the video file; None if unknown.
      duration_s: length, seconds; None if unknown.
      fps: frames per second of the file; the mean if the rate varies; None if unknown.
      file: as of `AnnotatedVideo`.
      classes: all classes of the data set or detector, for formats that number them; empty: the
        labels that occur, sorted.
    """

    name: str
    marks: Sequence[Action | Detection]
    detected: bool = False
    subset: str = ""
    path: Path | None = None
    duration_s: float | None = None
    fps: float | None = None
    file: str = ""
    classes: Sequence[str] = ()


class DetectionColumns(NamedTuple):
    """Detections of many videos as columns: a million of them take 40 MB.

    Attributes:
      videos: names of the videos, also of those without detections.
      labels: class names, in the order of their first detections.
      video: [P], int64, position in `videos`, in ascending order.
      label: [P], int64, position in `labels`.
      score: [P], float64.
      start_s: [P], float64, seconds.
      end_s: [P], float64, seconds.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: "NDArray[np.int64]"
    label: "NDArray[np.int64]"
    score: "NDArray[np.float64]"
    start_s: "NDArray[np.float64]"
    end_s: "NDArray[np.float64]"

    @classmethod
    def of(cls, detections: "Mapping[str, Sequence[Detection]]") -> "DetectionColumns":
        """Returns the detections of each video, in the given order.

        Example:
          >>> columns = DetectionColumns.of({"a": [Detection("jump", 0.9, 1.0, 2.5)], "b": []})
          >>> columns.videos, columns.labels, columns.score.tolist()
          (('a', 'b'), ('jump',), [0.9])
        """
        import numpy as np

        counts = [len(items) for items in detections.values()]
        rows = chain.from_iterable(detections.values())
        labels, *values = tuple(zip(*rows, strict=True)) or ((),) * 4
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        return cls(
            tuple(detections),
            tuple(numbers),
            np.repeat(np.arange(len(counts)), counts),
            np.fromiter(map(numbers.__getitem__, labels), np.int64, len(labels)),
            *(np.array(column, np.float64) for column in values),
        )


class VideoLabel(NamedTuple):
    """A video-level classifier's result: the class of all actions and a factor of their scores."""

    label: str
    score: float
