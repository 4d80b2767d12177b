"""Matching annotated videos with the files in the source folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data import annotations
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode import media
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, nearest, video_name

_TABLES = (*annotations.SUFFIXES, ".txt")  # THUMOS14 has one .txt file per class


class SourceFiles(NamedTuple):
    """The files of a source folder.

    Attributes:
      paths: files of the annotated videos, by name.
      others: names of files without annotations.
      reasons: why a file that is there is not the video of this name, by name.
      notes: lines about what is left out.
    """

    paths: dict[str, Path]
    others: Sequence[str] = ()
    reasons: Mapping[str, str] = {}
    notes: Sequence[str] = ()


def match_files(
    options: PrepareOptions,
    stream: str,
    videos: annotations.Annotations,
    file_stems: Callable[[str], Sequence[str]],
) -> SourceFiles:
    """Finds the files of annotated videos.

    Args:
      options: options of the preparation.
      stream: rgb or flow.
      videos: the annotated videos.
      file_stems: returns the possible file names of a video, without suffix.

    Raises:
      UserError: two files have the same name.
    """
    found = media.find_sources(options.source, stream)
    left, paths = dict(found.paths), {}
    for name in videos:
        stem = next((stem for stem in file_stems(name) if stem in left), None)
        if stem is not None:
            paths[name] = left.pop(stem)
    for name in videos:  # with a suffix that may be part of the name, such as trial.264
        if name not in paths and media.is_video(Path(name)) and video_name(name) in left:
            paths[name] = left.pop(video_name(name))
    passed_over = [p for p in found.passed_over if not _is_annotation(p, options)]
    notes = [f"{path}: {reason}" for path, reason in sorted(found.unreadable.items())]
    if passed_over:
        notes.append(media.describe_passed_over(options.source, passed_over))
    if left:
        notes.append(f"{len(left)} file{'s'[: len(left) - 1]} without annotations: left out")
    return SourceFiles(paths, tuple(left), dict(_reasons(found)), notes)


def _reasons(found: media.Sources) -> Iterator[tuple[str, str]]:
    for path in found.passed_over:
        reason = f"{path} is there, but its suffix is none of those that are searched for"
        yield from ((video_name(path), reason), (composed(path.name), reason))
    for path, reason in found.unreadable.items():
        yield video_name(path), f"{path} {reason}"


def _is_annotation(path: Path, options: PrepareOptions) -> bool:
    if options.annotations is None:
        return path.suffix.lower() in _TABLES
    given = [path.resolve() for path in (options.annotations, options.classes) if path is not None]
    return any(place in (path.resolve(), *path.resolve().parents) for place in given)


def missing_videos(
    videos: annotations.Annotations, files: SourceFiles, source: Path, allowed: bool
) -> tuple[str, ...]:
    """Returns the names of videos without a file.

    Raises:
      UserError: there are some and that is not allowed, or all are missing.
    """
    missing = tuple(sorted(name for name in videos if name not in files.paths))
    if missing and not allowed:
        first, others = missing[0], len(missing) - 1
        reason = files.reasons.get(first)
        near = "" if reason else nearest(first, files.others)
        hint = f" ({reason})" if reason else near
        raise UserError(
            f"{videos[first].place}: no file of video {first!r} in {source}{hint}"
            + (f"; nor of {others} other" + "s" * (others > 1) if others else "")
            + ("" if near else "; add it, or allow missing videos")
        )
    if len(missing) == len(videos):
        raise UserError(f"{source}: none of the {len(videos)} videos is here")
    return missing
