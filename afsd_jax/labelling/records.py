"""What is labelled: immutable records of segments, suggestions, classes and videos.

Times are seconds of the video's file.
"""

from typing import Annotated

import msgspec

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Segment(msgspec.Struct, frozen=True):
    """A labelled action.

    Attributes:
      id: identifies it among the segments of its video.
      label: class.
      start: seconds.
      end: seconds, after the start.
      note: any text.
    """

    id: _Id
    label: Label
    start: Seconds
    end: Seconds
    note: Annotated[str, msgspec.Meta(max_length=10_000)] = ""


class Suggestion(msgspec.Struct, frozen=True):
    """An action that a network proposes.

    Attributes:
      id: identifies it among the suggestions of its video.
      label: class.
      start: seconds.
      end: seconds, after the start.
      score: from 0 to 1.
      round: of learning that proposed it; 0 if none did, as for Kinetics.
    """

    id: _Id
    label: Label
    start: Seconds
    end: Seconds
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    round: int = 0


class LabelClass(msgspec.Struct, frozen=True):
    """A class and its colour, #rrggbb."""

    name: Label
    color: Annotated[str, msgspec.Meta(pattern="^#[0-9a-fA-F]{6}$")]


class VideoLabels(msgspec.Struct, frozen=True):
    """What is known of one video.

    Attributes:
      segments: by their ids.
      suggestions: not yet decided, by their ids.
      accepted: suggestions that became segments, by their ids.
      rejected: suggestions that are background, by their ids.
      reviewed: whether all actions of the video are labelled.
      version: of the last change of the video.
      versions: of the last change of each segment, by its id, also of removed ones.
      source: the network that made the suggestions; "" if none did.
    """

    segments: dict[str, Segment] = {}
    suggestions: dict[str, Suggestion] = {}
    accepted: dict[str, Suggestion] = {}
    rejected: dict[str, Suggestion] = {}
    reviewed: bool = False
    version: int = 0
    versions: dict[str, int] = {}
    source: str = ""


class Labels(msgspec.Struct, frozen=True):
    """Everything that is labelled.

    Attributes:
      videos: by their names.
      classes: by their names, in their order.
      renamed: what suggestions of these classes are called here.
      version: number of changes so far.
    """

    videos: dict[str, VideoLabels] = {}
    classes: dict[str, LabelClass] = {}
    renamed: dict[str, str] = {}
    version: int = 0
