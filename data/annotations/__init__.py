"""Reading the annotation files of several tools, strictly: every error names file and place."""

import logging
import os
from pathlib import Path, PurePosixPath

from afsd_jax.data.annotations.annotation_formats import (
    FORMATS,
    output_files,
    read_file,
    write_annotations,
)
from afsd_jax.data.annotations.boris import Export, read_boris
from afsd_jax.data.annotations.checks import check_names, check_order, class_names, read_class_list
from afsd_jax.data.annotations.collector import (
    Annotations,
    shown_name,
    without_empty_actions,
)
from afsd_jax.data.annotations.split_assignment import assign_splits, stable_split
from afsd_jax.data.annotations.table_rows import cell_number, read_rows
from afsd_jax.data.annotations.video_matching import (
    fullest,
    match_names,
    match_paths,
    renamed,
    stated_stem,
)
from afsd_jax.data.decode.media import visible_paths
from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json
from afsd_jax.io.names import split_name
from afsd_jax.io.video_names import tell_apart
from afsd_jax.types import AnnotatedVideo

__all__ = [
    "FORMATS",
    "PROJECT",
    "SUFFIXES",
    "Annotations",
    "assign_splits",
    "cell_number",
    "check_names",
    "check_order",
    "class_names",
    "match_names",
    "match_paths",
    "output_files",
    "read_activitynet",
    "read_annotations",
    "read_class_list",
    "read_rows",
    "renamed",
    "split_name",
    "stable_split",
    "without_empty_actions",
    "write_annotations",
]

log = logging.getLogger(__name__)

PROJECT = FORMATS["boris"].suffix
SUFFIXES = (".json", ".csv", ".tsv", ".eaf", PROJECT)
_UNREAD = (".numbers", ".ods", ".xls", ".xlsx")  # files of programs that can save others
_KINDS = (
    "a table (CSV or TSV) with the columns video, label, start, end, or exported from BORIS; a "
    "project of BORIS; JSON of ActivityNet, Label Studio, VIA 3 or FiftyOne; ELAN's .eaf"
)


def read_annotations(path: str | os.PathLike[str]) -> Annotations:
    """Reads an annotation file, or all annotation files in a folder and the folders below it.

    The format is recognised by the suffix and the content. BORIS's exports of several observations
    are read as if they were in one file. A project of BORIS in a folder is read only if there are
    no other annotation files, which may be its exports. Actions without length are left out, with a
    note.

    Raises:
      UserError: a file has no known format, is malformed or names no video, a name may be that of
        several videos, or two files name the same video.
    """
    path = Path(path)
    videos: Annotations = {}
    exports: list[Export] = []
    for file in _files_in(path) if os.path.isdir(path) else [path]:
        content = _read_file(file)
        if isinstance(content, Export):
            exports.append(content)
        else:
            _add(videos, content)
    _add(videos, read_boris(exports))
    videos = _named(videos)
    if not videos:
        raise UserError(f"{path}: names no video; annotations are {_KINDS}")
    return videos


def _files_in(folder: Path) -> list[Path]:
    paths, unreadable = visible_paths(folder)
    for path, reason in unreadable.items():
        raise UserError(f"{path}: {reason}")
    for path in paths:
        if path.suffix.lower() in _UNREAD:
            log.warning("%s: is not read; save or export it as CSV", path)
    read = [path for path in paths if path.suffix.lower() in SUFFIXES and not os.path.isdir(path)]
    exports = [path for path in read if path.suffix.lower() != PROJECT]
    if not exports:
        return read
    for path in read:
        if path.suffix.lower() == PROJECT:
            log.warning("%s: is not read, because the folder has other annotation files", path)
    return exports


def _add(videos: Annotations, more: Annotations) -> None:
    for key, video in more.items():
        name = shown_name(key) if video.file else key
        if key in videos:
            raise _twice(name, video, videos[key])
        videos[key] = without_empty_actions(name, video)


def _named(videos: Annotations) -> Annotations:
    """Returns videos, which are given by their paths or names, by names that tell them apart.

    Raises:
      UserError: two files name the same video.
    """
    stated = {key: video for key, video in videos.items() if video.file}
    for key, full in fullest({key: video.place for key, video in stated.items()}).items():
        if key != full:
            raise _twice(shown_name(key), videos[key], videos[full])
    names = tell_apart([PurePosixPath(key) for key in stated], stated_stem)
    result = {key: video for key, video in videos.items() if not video.file}
    for path, name in names.items():
        video = stated[str(path)]
        for known in (name, stated_stem(path)):
            if known in result and not result[known].file:
                raise _twice(known, video, result[known])
        result[name] = video
    return result


def _twice(name: str, video: AnnotatedVideo, other: AnnotatedVideo) -> UserError:
    return UserError(f"{video.place}: video {name!r} is also in {other.place}")


def read_activitynet(path: str | os.PathLike[str]) -> Annotations:
    """Reads a ground truth file in ActivityNet's format."""
    videos = activitynet_json.read_ground_truth(path)
    check_names(videos)
    return videos


def _read_file(path: Path) -> Annotations | Export:
    suffix = path.suffix.lower()
    if suffix in _UNREAD:
        raise UserError(f"{path}: save or export it as CSV; annotations are {_KINDS}")
    return read_file(path, _KINDS)
