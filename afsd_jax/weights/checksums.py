"""Checksums of a folder's files, which detect damage before a file is used."""

import os
from pathlib import Path, PurePosixPath

from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.fingerprint import crc32c

NAME = "checksums.json"


def write(folder: str | os.PathLike[str]) -> None:
    """Writes the CRC32C of every file in a folder to `NAME` in that folder."""
    sums = {path: crc32c(Path(folder) / path) for path in _files(Path(folder))}
    files.write_json(Path(folder) / NAME, sums)


def leave_out(folder: str | os.PathLike[str], *parts: str) -> None:
    """Removes the checksums of sub-folders that are about to be removed, if there are any."""
    path = Path(folder) / NAME
    if path.exists():
        sums = files.read_json(path)
        files.write_json(path, {x: sums[x] for x in sums if x.partition("/")[0] not in parts})


def damaged(folder: str | os.PathLike[str], *parts: str) -> str:
    """Returns the first file that is missing or has changed since it was written, or "".

    A folder without checksums counts as undamaged: they are written last, when its other files are
    complete, so a process may have ended, or may still be working, before that.

    Args:
      folder: folder that `write` was called on.
      *parts: sub-folders to check, besides the files of the folder itself. Default: all.
    """
    folder = Path(folder)
    if not (folder / NAME).exists():
        return ""
    try:
        sums = files.read_json(folder / NAME)
        for path, expected in sums.items():
            read = not parts or "/" not in path or path.partition("/")[0] in parts
            if not read:
                continue
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                return NAME  # names a file elsewhere
            if not (folder / path).is_file() or crc32c(folder / path) != expected:
                return path
    except OSError as error:
        return str(Path(error.filename or folder).relative_to(folder))
    except (UserError, AttributeError, ValueError):
        return NAME
    return ""


def _files(folder: Path) -> list[str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found]
