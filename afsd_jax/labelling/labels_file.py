"""The labels file: a table or ActivityNet's JSON, read, written and merged with other changes."""

import collections
import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from afsd_jax.data.annotations import check_order, match_paths, read_annotations
from afsd_jax.data.annotations.annotation_formats import FORMATS
from afsd_jax.data.annotations.boris import find_export
from afsd_jax.data.annotations.own_table import COLUMNS
from afsd_jax.data.annotations.table_rows import read_table
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_json
from afsd_jax.labelling.changes import VideoChange, check_label
from afsd_jax.labelling.records import Labels, Segment, VideoLabels
from afsd_jax.types import Action, AnnotatedVideo, MarkedVideo

_KINDS = {".csv": "csv", ".json": "activitynet"}
_DECIMALS = 3  # times that agree to so many are the same in two files
_Row = tuple[str, float, float]


class FileContent(NamedTuple):
    """What a labels file holds.

    actions: of the given videos that it lists, by name. others: the videos that it lists besides.
    subsets: of the given videos, by name.
    """

    actions: dict[str, tuple[Action, ...]]
    others: tuple[MarkedVideo, ...]
    subsets: dict[str, str]


def check_labels_path(path: Path) -> None:
    """Raises UserError for a file that labels cannot be written to."""
    if path.suffix.lower() not in _KINDS:
        raise UserError(f"{path}: the name must end in .csv or .json (ActivityNet)")
    if not path.exists():
        return
    if path.suffix.lower() == ".csv":
        ours = find_export(path, read_table(path)) is None
    else:
        content = read_json(path)
        ours = isinstance(content, dict) and "database" in content
    if not ours:
        raise UserError(
            f"{path}: has another format than is written here; open it as a start, and give a new "
            "file for the labels"
        )


def read_content(path: Path, videos: Mapping[str, Path]) -> FileContent:
    """Reads annotations of any kind.

    Args:
      path: a file, or a folder of files.
      videos: the files of the given videos, by name.

    Raises:
      UserError: it cannot be read, or has an action or a class that cannot be.
    """
    annotated = {} if _is_empty(path) else read_annotations(path)
    check_order(annotated)
    for video in annotated.values():
        for action in video.actions:
            _check(action)
    names = match_paths(annotated, videos)
    actions: dict[str, tuple[Action, ...]] = {}
    for stated, name in names.items():
        actions[name] = (*actions.get(name, ()), *annotated[stated].actions)
    others = [_marked(name, one) for name, one in annotated.items() if name not in names]
    subsets = {name: annotated[stated].subset for stated, name in names.items()}
    return FileContent(actions, tuple(others), subsets)


def _is_empty(path: Path) -> bool:
    """Returns whether a file of ours lists no video, which `read_annotations` refuses."""
    if path.suffix.lower() == ".csv" and path.is_file():
        return [cells for _, cells in read_table(path)] == [list(COLUMNS)]
    return path.suffix.lower() == ".json" and read_json(path) == {"database": {}}


def _check(action: Action) -> None:
    try:
        check_label(action.label)
    except UserError as error:
        raise UserError(f"{action.place}: {error}") from error
    if action.end_s > 1e7 or len(action.label) > 100:
        raise UserError(f"{action.place}: a time after 10,000,000 s, or a class of 100 letters")


def _marked(name: str, video: AnnotatedVideo) -> MarkedVideo:
    return MarkedVideo(
        name, video.actions, subset=video.subset, duration_s=video.duration_s, file=video.file
    )


def file_text(
    path: Path,
    labels: Labels,
    videos: Mapping[str, Path],
    durations_s: Mapping[str, float],
    content: FileContent,
) -> str:
    """Returns the text of a labels file.

    It lists the videos with actions, those reviewed without, and the others that it listed before.

    Args:
      path: the file; its suffix is the format.
      labels: what is labelled.
      videos: the files of the given videos, by name.
      durations_s: lengths of videos, seconds, by name.
      content: what the file held when it was read.
    """
    marked = [
        MarkedVideo(
            name,
            [Action(s.label, s.start, s.end) for s in in_order(video)],
            subset=content.subsets.get(name, ""),
            path=videos.get(name),
            duration_s=durations_s.get(name),
        )
        for name, video in sorted(labels.videos.items())
        if is_listed(video)
    ]
    there = {video.name for video in marked}
    marked += [video for video in content.others if video.name not in there]
    return FORMATS[_KINDS[path.suffix.lower()]].write(marked, path)


def names_lost(path: Path, videos: Mapping[str, Path]) -> set[str]:
    """Returns the videos that a labels file cannot name, as if a name begins with a blank.

    Args:
      path: the file, which is neither read nor written; its suffix is the format.
      videos: the files of the given videos, by name.
    """
    labels = Labels({name: VideoLabels(reviewed=True) for name in videos})
    text = file_text(path, labels, videos, {}, FileContent({}, (), {}))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"labels{path.suffix}"
        written.write_text(text, encoding="utf-8", newline="")
        return set(videos) - set(read_content(written, videos).actions)


def is_listed(video: VideoLabels) -> bool:
    """Returns whether the labels file lists a video: it has actions, or certainly none."""
    return bool(video.segments) or video.reviewed


def in_order(video: VideoLabels) -> list[Segment]:
    """Returns the segments of a video by their start."""
    return sorted(video.segments.values(), key=lambda s: (s.start, s.end, s.label, s.id))


def digest_of(content: bytes) -> str:
    """Returns what tells contents of the file apart."""
    return hashlib.sha256(content).hexdigest()


def imported(content: FileContent) -> list[VideoChange]:
    """Returns the changes that take over annotations; the videos that they list are reviewed."""
    return [
        VideoChange(name, put=[_segment(a) for a in actions], reviewed=True)
        for name, actions in content.actions.items()
    ]


def merge(content: FileContent, written: Labels, labels: Labels) -> list[VideoChange]:
    """Returns the changes that another program made in the file.

    Actions that it added are added, and those that it removed are removed, unless they have been
    changed here in the meantime.

    Args:
      content: what the file holds now.
      written: the labels that it held before.
      labels: the labels now.
    """
    changes = []
    for name in sorted({*content.actions, *(n for n, v in written.videos.items() if v.segments)}):
        ours = labels.videos.get(name, VideoLabels())
        before = _rows(written.videos.get(name, VideoLabels()).segments.values())
        theirs = {_row(a.label, a.start_s, a.end_s): a for a in content.actions.get(name, ())}
        found = collections.Counter(
            _row(a.label, a.start_s, a.end_s) for a in content.actions.get(name, ())
        )
        here = _rows(ours.segments.values())
        added = (found - before) - (here - before)
        removed = before - found
        gone = []
        for segment in in_order(ours):
            row = _row(segment.label, segment.start, segment.end)
            if removed[row] > 0:
                removed[row] -= 1
                gone.append(segment.id)
        if added or gone:
            new = [_segment(theirs[row]) for row in added.elements()]
            changes.append(VideoChange(name, put=new, remove=gone))
    return changes


def _segment(action: Action) -> Segment:
    return Segment(uuid4().hex, action.label, action.start_s, action.end_s)


def _rows(segments: Iterable[Segment]) -> "collections.Counter[_Row]":
    return collections.Counter(_row(s.label, s.start, s.end) for s in segments)


def _row(label: str, start_s: float, end_s: float) -> _Row:
    return label, round(start_s, _DECIMALS), round(end_s, _DECIMALS)
