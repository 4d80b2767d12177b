"""Matching annotated videos with the files in the source folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.config_checks import FEATURES
from afsd_jax.data import annotations, preparation
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode import flow, media
from afsd_jax.data.decode.feature_rows import FeatureRows
from afsd_jax.data.decode.sources import open_array
from afsd_jax.data.tasks import Task
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, nearest, video_name
from afsd_jax.types import AnnotatedVideo

_TABLES = (*annotations.SUFFIXES, ".txt")  # THUMOS14 has one .txt file per class


class SourceFiles(NamedTuple):
    """The annotated videos, and their files in a source folder.

    Attributes:
      videos: the annotations, by the names of the videos.
      paths: files of the annotated videos, by name.
      others: names of files without annotations.
      unreadable: why a file that is there cannot be opened, by the name of its video.
      reasons: why a file that is there is not searched for, by the name that annotations give it.
      notes: lines about what is left out.
    """

    videos: annotations.Annotations
    paths: dict[str, Path]
    others: Sequence[str] = ()
    unreadable: Mapping[str, str] = {}
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
    names, paths, odd = {}, {}, {}
    for stated, name in matches.items():
        path = found.paths.get(name)
        if path is None:
            odd[stated] = f"{name}: {found.unreadable[Path(name)]}"
            continue
        own = not videos[stated].file or composed(path.name) == stated  # such as trial.264
        names[stated] = stated if own else name
        paths[names[stated]] = path
    passed_over = [p for p in found.passed_over if not _is_annotation(p, options)]
    notes = [f"{path}: {reason}" for path, reason in sorted(found.unreadable.items())]
    notes = [note for note in notes if note not in odd.values()]
    if passed_over:
        notes.append(media.describe_passed_over(options.source, passed_over))
    left = tuple(sorted(found.paths.keys() - matches.values()))
    if left:
        notes.append(f"{len(left)} file{'s'[: len(left) - 1]} without annotations: left out")
    for name in [name for name, path in paths.items() if path.suffix == ".npy"]:
        try:
            (FeatureRows if stream == FEATURES else open_array)(paths[name])
        except UserError as error:
            odd[name] = str(error)
            del paths[name]
    return SourceFiles(annotations.renamed(videos, names), paths, left, odd, reasons, notes)


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
) -> dict[str, str]:
    """Returns a line for each video without a file, readable or not, by name.

    A line says how many actions are lost with the video, and which name is the nearest.

    Raises:
      UserError: there are some and that is not allowed, or no video has a readable file.
    """
    missing = sorted(videos.keys() - files.paths.keys() - files.unreadable.keys())
    if missing and not allowed:
        first, others = missing[0], len(missing) - 1
        hint = _hint(first, files)
        misspelt = first not in files.reasons and bool(nearest(first, files.others))
        raise UserError(
            f"{videos[first].place}: no file of video {first!r} in {source}{hint}"
            + (f"; nor of {others} other" + "s" * (others > 1) if others else "")
            + ("" if misspelt else "; add it, or allow missing videos")
        )
    if not files.paths.keys() & videos.keys():
        reason = next(iter(files.unreadable.values()), f"{source}: none of them is here")
        raise UserError(f"none of the {len(videos)} annotated videos can be read; {reason}")
    return {name: f"{name}{_hint(name, files)}; {_lost(videos[name])}" for name in missing}


def _hint(name: str, files: SourceFiles) -> str:
    """Returns which file may be that of a video without one: preferably one without annotations."""
    if reason := files.reasons.get(name):
        return f" ({reason})"
    if near := nearest(name, files.others):
        return near
    near = nearest(name, files.paths)
    return f"{near}, which has annotations already" if near else ""


def _lost(video: AnnotatedVideo) -> str:
    count = len(video.actions)
    return f"{count} action" + ("" if count == 1 else "s") + " of it cannot be used"


def openable(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], dict[str, str]]:
    """Opens all arrays, images and shards, so that errors in them come before any work.

    Videos are checked when they are prepared, because a check reads the whole file.

    Returns:
      The tasks whose frames can be opened, and why those of others cannot, by name.

    Raises:
      UserError: no task's frames can be opened, or frames are too many for a shard.
    """
    errors: dict[str, str] = {}
    for task in tasks:
        if task.timeline is not None:
            preparation.check_size(task, task.timeline.num_frames)
            try:
                preparation.open_source(task)
            except UserError as error:
                errors[task.name] = str(error)
    if len(errors) == len(tasks) > 0:
        raise UserError(next(iter(errors.values())))
    if any(task.stream == "flow" for task in tasks):
        flow.import_opencv()
    return tuple(task for task in tasks if task.name not in errors), errors
