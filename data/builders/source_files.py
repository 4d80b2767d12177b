"""Matching annotated videos with the files in the source folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data import annotations
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode import media
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, nearest, video_name

_TABLES = (*annotations.SUFFIXES, ".txt")  # THUMOS14 has one .txt file per class


class SourceFiles(NamedTuple):
    """The annotated videos, and their files in a source folder.

    Attributes:
      videos: the annotations, by the names of the videos.
      paths: files of the annotated videos, by name.
      others: names of files without annotations.
      reasons: why a file that is there cannot be used, by the name that annotations give it.
      notes: lines about what is left out.
    """

    videos: annotations.Annotations
    paths: dict[str, Path]
    others: Sequence[str] = ()
    reasons: Mapping[str, str] = {}
    notes: Sequence[str] = ()


def match_files(
    options: PrepareOptions,
    stream: str,
    videos: annotations.Annotations,
    prefixes: Sequence[str],
) -> SourceFiles:
    """Finds the files of annotated videos.

    A video that is annotated by its path gets the name of its file; see `io.video_names`.

    Args:
      options: options of the preparation.
      stream: rgb or flow.
      videos: the annotated videos.
      prefixes: what may stand before the name of a video in the name of its file.

    Raises:
      UserError: several files may be meant, or two annotated videos may mean one file.
    """
    found = media.find_sources(options.source, stream)
    unreadable = {str(path): path for path in found.unreadable}  # no name has a slash
    matches = annotations.match_paths(videos, found.paths | unreadable, prefixes)
    reasons = dict(_reasons(found.passed_over))
    names, paths = {}, {}
    for stated, name in matches.items():
        path = found.paths.get(name)
        if path is None:
            reasons[stated] = f"{name} {found.unreadable[Path(name)]}"
            continue
        own = not videos[stated].file or composed(path.name) == stated  # such as trial.264
        names[stated] = stated if own else name
        paths[names[stated]] = path
    passed_over = [p for p in found.passed_over if not _is_annotation(p, options)]
    notes = [f"{path}: {reason}" for path, reason in sorted(found.unreadable.items())]
    if passed_over:
        notes.append(media.describe_passed_over(options.source, passed_over))
    left = tuple(sorted(found.paths.keys() - matches.values()))
    if left:
        notes.append(f"{len(left)} file{'s'[: len(left) - 1]} without annotations: left out")
    return SourceFiles(annotations.renamed(videos, names), paths, left, reasons, notes)


def _reasons(passed_over: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in passed_over:
        reason = f"{path} is there, but its suffix is none of those that are searched for"
        yield from ((video_name(path), reason), (composed(path.name), reason))


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
