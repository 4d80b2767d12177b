"""A folder that only this user can write to, for files that must not come from anybody else.

Compiled programs are machine code, and a pickle can run any code when it is read. So they are read
only from a folder that nobody else can write to, and only if they are complete.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size


class TrustedFolder:
    """Files by name, with a limit of their size altogether; the least recently read go first."""

    def __init__(self, path: Path, most_bytes: int):
        """Takes the folder; it is made with the first file."""
        self._path, self._most_bytes = path, most_bytes

    def read(self, name: str) -> bytes | None:
        """Returns a file's content; None: there is none, it is damaged, or others can write it."""
        path = self._path / name
        if not self._is_trusted():
            return None
        try:
            with open(path, "rb", opener=_no_link) as file:
                if not _is_own(os.fstat(file.fileno())):
                    return None
                digest, content = file.read(_DIGEST_BYTES), file.read()
            os.utime(path)  # it was read now
        except OSError:
            return None
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file as a whole; does nothing if the folder cannot be written or trusted."""
        with contextlib.suppress(OSError):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_trusted():
                return
            with self._temporary() as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
                temporary.replace(self._path / name)
            self._remove_oldest()

    def link(self, name: str, other: str) -> None:
        """Gives a file another name, if it is there and the file system can do that."""
        with contextlib.suppress(OSError), self._temporary() as temporary:
            temporary.unlink()
            os.link(self._path / name, temporary)
            temporary.replace(self._path / other)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        number, name = tempfile.mkstemp(dir=self._path, prefix=".")
        os.close(number)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _is_trusted(self) -> bool:
        try:
            state = self._path.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(state.st_mode) and not state.st_mode & 0o077 and _is_own(state)

    def _remove_oldest(self) -> None:
        states = [(path, path.stat()) for path in self._path.iterdir()]
        states.sort(key=lambda one: one[1].st_mtime)
        size = sum(state.st_size / state.st_nlink for _, state in states)
        for path, state in states:
            if size <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            size -= state.st_size / state.st_nlink


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _is_own(state: os.stat_result) -> bool:
    """Returns whether this user owns the file and others cannot write it."""
    return state.st_uid == os.geteuid() and not state.st_mode & 0o022
