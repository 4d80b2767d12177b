"""Video files that a command line names: by path, by folder or by pattern."""

import glob
import itertools
from collections.abc import Sequence
from pathlib import Path

from afsd_jax.data.decode import media
from afsd_jax.errors import UserError


def video_files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files that paths name: a folder stands for the videos in it and below it.

    A pattern that the shell did not expand, such as videos/*.mp4 or **/*.mp4, stands for the files
    that match it.

    Raises:
      UserError: a file is missing, a folder has no video, no file matches a pattern, or two files
        have the same name.
    """
    names: dict[str, Path] = {}
    for path in itertools.chain.from_iterable(map(_videos_in, paths)):
        if not path.is_file():
            wrong = "is a pipe, socket or device, not a file" if path.exists() else "no such file"
            raise UserError(f"{path}: {wrong}")
        if path.stem in names:
            raise UserError(
                f"{names[path.stem]} and {path} have the same name; detections are stored by name, "
                "so run the command twice, with two outputs"
            )
        names[path.stem] = path
    return list(names.values())


def _videos_in(path: Path) -> list[Path]:
    if not path.exists() and glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not matches:
            raise UserError(f"{path}: no file matches")
        return [video for match in matches for video in _videos_in(match)]
    if not path.is_dir():
        return [path]
    found = [video for video in media.find_sources(path, "rgb").values() if media.is_video(video)]
    if not found:
        raise UserError(f"{path}: this folder contains no video")
    return found
