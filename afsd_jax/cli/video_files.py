"""Video files that a command line names: by path, by folder or by pattern."""

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.cli.printing import print_text
from afsd_jax.data.decode import media
from afsd_jax.errors import UserError
from afsd_jax.io.video_names import video_names


class NamedVideos(NamedTuple):
    """The videos that a command line names.

    Attributes:
      paths: their files, by the names of the videos; see `io.video_names`.
      unreadable: lines about links to nothing, and about videos and folders in the named folders
        that cannot be opened.
    """

    paths: dict[str, Path]
    unreadable: list[str]


def video_files(paths: Sequence[Path]) -> NamedVideos:
    """Returns the files that paths name: a folder stands for the videos in it and below it.

    A pattern that the shell did not expand, such as videos/*.mp4 or **/*.mp4, stands for the files
    that match it. What a folder holds besides videos is passed over, with a note.

    Raises:
      UserError: a file that is named itself is missing, a folder has no video, no file matches a
        pattern, or nothing can be opened.
    """
    readable: list[Path] = []
    unreadable: list[str] = []
    for path in _expanded(paths):
        found = [path]
        if os.path.isdir(path):  # unlike Path.is_dir, without an error in a closed folder
            found, reasons = _videos_in(path)
            unreadable += reasons
        elif reason := media.why_unreadable(path):
            if not os.path.islink(path):
                raise UserError(f"{path}: {reason}")
            found, unreadable = [], [*unreadable, f"{path}: {reason}"]
        readable += found
    if unreadable and not readable:
        raise UserError(unreadable[0])
    return NamedVideos(video_names(readable), unreadable)


def _expanded(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the paths, with those that match a pattern in its place."""
    for path in paths:
        if os.path.exists(path) or not glob.has_magic(str(path)):
            yield path
            continue
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not matches:
            raise UserError(f"{path}: no file matches")
        yield from matches


def _videos_in(folder: Path) -> tuple[list[Path], list[str]]:
    """Returns the videos in a folder, and a line for each that cannot be opened."""
    sources = media.find_sources(folder, "rgb")
    found = [path for path in sources.paths.values() if media.is_video(path)]
    arrays = [path for path in sources.paths.values() if not media.is_video(path)]
    unreadable = [f"{path}: {reason}" for path, reason in sources.unreadable.items()]
    if not found:
        hint = f" that can be read ({unreadable[0]})" if unreadable else ""
        raise UserError(f"{folder}: this folder contains no video{hint}")
    if passed_over := sorted([*sources.passed_over, *arrays]):
        note = media.describe_passed_over(folder, passed_over)
        print_text(f"note: {note}", file=sys.stderr)
    return found, unreadable
