"""Reading JSON files, and writing files completely or not at all."""

import collections
import contextlib
import errno
import json
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from afsd_jax.errors import UserError, WriteError
from afsd_jax.io.temporary_folders import temporary_folder

# Why writing fails, apart from errors in the program.
_REASONS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
)


def check_output_file(path: str | os.PathLike[str] | None) -> None:
    """Checks, before any work, that a file can be written at `path` (None: no file).

    Raises:
      UserError: `path` is a folder or a device, or its folder is missing or cannot be written to.
    """
    if path is None:
        return
    target = Path(path)
    if target.is_dir():
        raise UserError(f"{target}: is a folder; give the path of a file")
    if target.exists() and not target.is_file():
        raise UserError(f"{target}: is not a regular file; give another path")
    _check_writable(target.parent)


def check_output_folder(path: str | os.PathLike[str] | None, parents: bool = False) -> None:
    """Checks, before any work, that the folder `path` can be created or written to.

    Args:
      path: folder to check; None: no folder.
      parents: whether folders above it may be missing as well.

    Raises:
      UserError: `path` is a file, or the folder above it is missing or cannot be written to.
    """
    if path is None:
        return
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; give the path of a folder")
    while parents and not target.exists():
        target = target.parent
    _check_writable(target if target.exists() else target.parent)


def check_apart(
    outputs: Iterable[str | os.PathLike[str] | None],
    inputs: Iterable[str | os.PathLike[str] | None],
) -> None:
    """Checks, before any work, that outputs are neither inputs nor the same file twice.

    Args:
      outputs: files to write; None is ignored.
      inputs: files to read; None is ignored.

    Raises:
      UserError: an output is one of the inputs, or two outputs are the same file.
    """
    read = {Path(path).resolve() for path in inputs if path is not None}
    written: set[Path] = set()
    for path in (Path(path) for path in outputs if path is not None):
        place = path.resolve()
        if place in read:
            raise UserError(f"{path}: is one of the inputs; give another path to write to")
        if place in written:
            raise UserError(f"{path}: would be written twice; give another path for one of the two")
        written.add(place)


def _check_writable(folder: Path) -> None:
    if not folder.exists():
        raise UserError(
            f"{folder}: no such folder; make it with: mkdir -p {shlex.quote(str(folder))}"
        )
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: this folder cannot be written to; give another one")


@contextlib.contextmanager
def naming_failure(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an error in writing, such as a full disk, into a WriteError that names `path`.

    An error of the system that names a file elsewhere remains as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = write_failure(error)
        if reason is None or not _may_be_about(Path(path), error):
            raise
        raise WriteError(f"{path}: cannot be written ({reason})") from error


def write_failure(error: BaseException) -> str | None:
    """Returns the system's reason why something cannot be written; None if that is not the error.

    TensorFlow, TensorStore and others raise exceptions of their own, with this reason in the text.
    """
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)
    return next((reason for reason in map(os.strerror, _REASONS) if reason in str(error)), None)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Makes a folder, and those above it, if they are missing.

    Raises:
      WriteError: it cannot be made.
    """
    with naming_failure(path):
        _make_folder(Path(path))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file, or a link to nothing
        code = errno.ENOTDIR
        raise NotADirectoryError(code, os.strerror(code), error.filename) from error


def _may_be_about(path: Path, error: Exception) -> bool:
    """Returns whether an error names no file, or one beside, above or below a path."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return True
    named, place = Path(os.path.abspath(os.fsdecode(error.filename))), path.absolute()
    return named in place.parents or place.parent in named.parents or named == place.parent


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` if the block raises nothing.

    The block may create a file or a folder there. After an error the temporary is removed and
    `path` remains unchanged. Parent folders are created. What a killed process leaves is hidden;
    `temporary_folders.remove_abandoned` removes it.

    Raises:
      WriteError: the block or this function cannot write, such as on a full disk.
    """
    target = Path(path)
    with naming_failure(target):
        _make_folder(target.parent)
        with temporary_folder(target) as folder:
            temporary = folder / target.name
            yield temporary
            _replace(target, temporary, folder / "replaced")


def _replace(target: Path, temporary: Path, aside: Path) -> None:
    if not (temporary.is_dir() and target.is_dir()):
        os.replace(temporary, target)
        return
    os.replace(target, aside)
    try:
        os.replace(temporary, target)
    except OSError:
        os.replace(aside, target)
        raise


def append(path: str | os.PathLike[str], content: bytes) -> None:
    """Appends to a file, completely or not at all.

    Raises:
      WriteError: it cannot be written.
    """
    with naming_failure(path), open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        left = memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]
        except BaseException:
            file.truncate(size)
            raise


def check_space(folder: Path, num_bytes: int, num_files: int) -> None:
    """Raises OSError if a disk has no room for so many more bytes and files.

    Libraries that write in threads print tracebacks if it has none.
    """
    if not hasattr(os, "posix_fallocate"):  # as on macOS
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, num_bytes)
    state = os.statvfs(folder)
    if state.f_files and state.f_favail < num_files:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raises UserError if a path is a folder, or a pipe or device, which may never end."""
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"{path}: must be a file, not a folder, pipe or device")


def read_bytes(path: str | os.PathLike[str], most_bytes: int | None = None) -> bytes:
    """Returns the content of a file; see `read_text`."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if most_bytes is not None and size > most_bytes:
                raise UserError(f"{path}: has {size:,} bytes, more than such a file may have")
            return file.read()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def read_text(path: str | os.PathLike[str], most_bytes: int | None = None) -> str:
    """Returns the content of a text file in UTF-8.

    Args:
      path: file to read; pipes and devices, which may never end, are refused.
      most_bytes: largest size that is read; None: any.

    Raises:
      UserError: the file is missing, unreadable, too large or no UTF-8.
    """
    try:
        return read_bytes(path, most_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text in UTF-8 ({error.reason})") from error


def read_json(path: str | os.PathLike[str], most_bytes: int | None = None) -> Any:
    """Returns the content of a JSON file; see `read_text` and `parse_json`.

    Raises:
      UserError: the file is missing, unreadable or not JSON, or has a name twice.
    """
    return parse_json(read_text(path, most_bytes), str(path))


def parse_json(text: str, place: str) -> Any:
    """Returns the content of JSON text, which stands at a place.

    Raises:
      UserError: it is not JSON, or has a name twice (Python's reader would silently use the last
        one).
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            (twice, _), *_ = collections.Counter(name for name, _ in pairs).most_common(1)
            raise UserError(f"{place}: duplicate video or field {twice!r}; it must appear once")
        return content

    try:
        # Some editors write this mark.
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=unique)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not valid JSON ({error})") from error


def json_text(value: Any) -> str:
    """Returns `value` as JSON text, formatted as in files."""
    return json.dumps(value, indent=1) + "\n"


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as JSON, completely or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text in UTF-8 with its own ends of lines, completely or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
