"""Changes of what is labelled, as pure functions: each gives the labels after it.

The same changes in the same order give the same labels and versions, so a journal of changes is
enough to restore them.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec.structs import replace

from afsd_jax.data.annotations.checks import check_name
from afsd_jax.errors import UserError
from afsd_jax.labelling.records import (
    LabelClass,
    Labels,
    Segment,
    Suggestion,
    VideoLabels,
)
from afsd_jax.report.colors import PALETTE, class_colors

V = TypeVar("V")
_MOST = 100_000  # of a list in one change
_Ids = Annotated[list[str], msgspec.Meta(max_length=_MOST)]


class VideoChange(msgspec.Struct, frozen=True, tag="video", omit_defaults=True):
    """A change of one video.

    Attributes:
      video: name of the video.
      put: segments that are new or replace those with their ids.
      remove: ids of segments.
      accept, unaccept: ids of suggestions that became segments, or no longer are.
      reject, unreject: ids of suggestions that are background, or no longer are.
      reviewed: whether all its actions are labelled; None: as before.
    """

    video: str = ""
    put: Annotated[list[Segment], msgspec.Meta(max_length=_MOST)] = []
    remove: _Ids = []
    accept: _Ids = []
    unaccept: _Ids = []
    reject: _Ids = []
    unreject: _Ids = []
    reviewed: bool | None = None


class PutClass(LabelClass, frozen=True, omit_defaults=True):
    """A class that is new, gets another colour, or, if `was` is given, another name."""

    was: str = ""


class ClassChange(msgspec.Struct, frozen=True, tag="classes", omit_defaults=True):
    """A change of the classes."""

    put: Annotated[list[PutClass], msgspec.Meta(max_length=_MOST)] = []
    remove: _Ids = []


class Suggested(msgspec.Struct, frozen=True, tag="suggested"):
    """New suggestions of one video in place of those that are not decided; see `VideoLabels`."""

    video: str
    suggestions: list[Suggestion]
    source: str = ""


Change = VideoChange | ClassChange | Suggested


def check_change(labels: Labels, change: VideoChange | ClassChange) -> None:
    """Raises UserError for a change that a stranger may send, but that makes no sense."""
    if isinstance(change, VideoChange):
        for segment in change.put:
            check_label(segment.label)
            if not segment.start < segment.end:
                raise UserError(
                    f"segment {segment.id!r}: ends at {segment.end:g} s, not after its start at "
                    f"{segment.start:g} s"
                )
        return
    for put in change.put:
        check_label(put.name)
        if put.was and put.was not in labels.classes:
            raise UserError(f"there is no class {put.was!r} to rename")
    used = {s.label for video in labels.videos.values() for s in video.segments.values()}
    for name in change.remove:
        if name in used:
            raise UserError(f"class {name!r}: has segments; delete or change them first")


def check_label(label: str) -> None:
    """Raises UserError for a text that cannot be the name of a class in every format."""
    check_name(label, "class", "class")
    if label != label.strip():
        raise UserError(f"class {label!r}: remove the blanks around it")


def conflicts(video: VideoLabels, change: VideoChange, version: int) -> bool:
    """Returns whether a change is of a segment that has changed after a version.

    A change that leaves the segment as it is does no harm.
    """
    changed = {segment.id: segment for segment in change.put}
    after: dict[str, Segment | None] = {**dict.fromkeys(change.remove), **changed}
    return any(
        video.versions.get(key, 0) > version and video.segments.get(key) != segment
        for key, segment in after.items()
    )


def changed(labels: Labels, change: Change) -> Labels:
    """Returns the labels after a change; ids that are not there are passed over."""
    version = labels.version + 1
    if isinstance(change, ClassChange):
        return replace(_with_classes(labels, change, version), version=version)
    before = labels.videos.get(change.video, VideoLabels())
    if isinstance(change, Suggested):
        given = [_own_class(s, labels.renamed) for s in change.suggestions]
        suggestions = {s.id: s for s in given}
        after = replace(before, suggestions=suggestions, version=version, source=change.source)
        names = [s.label for s in given]
    else:
        after = _changed_video(before, change, version)
        names = [s.label for s in change.put]
    return replace(
        labels,
        videos={**labels.videos, change.video: after},
        classes=with_new_classes(labels.classes, names),
        version=version,
    )


def _changed_video(video: VideoLabels, change: VideoChange, version: int) -> VideoLabels:
    removed = set(change.remove)
    segments = {key: one for key, one in video.segments.items() if key not in removed}
    segments |= {segment.id: segment for segment in change.put}
    touched = {*(key for key in removed if key in video.segments), *(s.id for s in change.put)}
    open_, accepted, rejected = video.suggestions, video.accepted, video.rejected
    open_, accepted = _moved(open_, accepted, change.accept)
    accepted, open_ = _moved(accepted, open_, change.unaccept)
    open_, rejected = _moved(open_, rejected, change.reject)
    rejected, open_ = _moved(rejected, open_, change.unreject)
    return replace(
        video,
        segments=segments,
        suggestions=open_,
        accepted=accepted,
        rejected=rejected,
        reviewed=video.reviewed if change.reviewed is None else change.reviewed,
        version=version,
        versions={**video.versions, **dict.fromkeys(sorted(touched), version)},
    )


def _moved(
    source: Mapping[str, V], target: Mapping[str, V], keys: Iterable[str]
) -> tuple[dict[str, V], dict[str, V]]:
    """Returns two mappings after these keys have gone from the first to the second."""
    going = {key: source[key] for key in keys if key in source}
    return {k: v for k, v in source.items() if k not in going}, {**target, **going}


def with_new_classes(
    classes: Mapping[str, LabelClass], names: Iterable[str]
) -> dict[str, LabelClass]:
    """Returns the classes and, with colours that are rare among them, those that are missing."""
    result = dict(classes)
    for name in dict.fromkeys(names):
        if name not in result:
            result[name] = LabelClass(name, _free_color(result.values()))
    return result


def _free_color(classes: Iterable[LabelClass]) -> str:
    used = {one.color for one in classes}
    shades = class_colors([str(number) for number in range(3 * len(PALETTE))]).values()
    free = (color for color in shades if color not in used)
    return next(itertools.chain(free, [PALETTE[len(used) % len(PALETTE)]]))


def _with_classes(labels: Labels, change: ClassChange, version: int) -> Labels:
    for put in change.put:
        if put.was and put.was != put.name:
            labels = _renamed(labels, put.was, put.name, version)
        classes = {**labels.classes, put.name: LabelClass(put.name, put.color)}
        renamed = {old: new for old, new in labels.renamed.items() if old != put.name}
        labels = replace(labels, classes=classes, renamed=renamed)
    gone = set(change.remove)
    videos = {
        name: replace(video, suggestions=_without(video.suggestions, gone), version=version)
        if any(s.label in gone for s in video.suggestions.values())
        else video
        for name, video in labels.videos.items()
    }
    classes = {name: one for name, one in labels.classes.items() if name not in gone}
    return replace(labels, videos=videos, classes=classes)


def _without(suggestions: Mapping[str, Suggestion], gone: set[str]) -> dict[str, Suggestion]:
    return {key: one for key, one in suggestions.items() if one.label not in gone}


def _renamed(labels: Labels, old: str, new: str, version: int) -> Labels:
    """Returns the labels with one class under another name, at the same place among the classes."""
    classes = {
        new if name == old else name: one
        for name, one in labels.classes.items()
        if name != new or old not in labels.classes
    }
    renamed = {key: new if value == old else value for key, value in labels.renamed.items()}
    videos = {n: _renamed_in(video, old, new, version) for n, video in labels.videos.items()}
    return replace(labels, videos=videos, classes=classes, renamed={**renamed, old: new})


def _renamed_in(video: VideoLabels, old: str, new: str, version: int) -> VideoLabels:
    parts: dict[str, dict[str, Any]] = {
        "segments": video.segments,
        "suggestions": video.suggestions,
        "accepted": video.accepted,
        "rejected": video.rejected,
    }
    if not any(one.label == old for part in parts.values() for one in part.values()):
        return video
    touched = [key for key, segment in video.segments.items() if segment.label == old]
    after = {
        name: {k: replace(one, label=new) if one.label == old else one for k, one in part.items()}
        for name, part in parts.items()
    }
    versions = {**video.versions, **dict.fromkeys(touched, version)}
    return replace(video, **after, version=version, versions=versions)


def _own_class(suggestion: Suggestion, renamed: Mapping[str, str]) -> Suggestion:
    label = renamed.get(suggestion.label, suggestion.label)
    return suggestion if label == suggestion.label else replace(suggestion, label=label)
