"""Temporary folders beside a file that is being written; those of killed processes are removed.

A process locks its temporary folder while it writes (`flock`). The kernel releases the lock when
the process ends, however it ends, so an unlocked one is abandoned.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".afsd-partial"


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yields a new hidden folder beside `target`, and removes it in the end.

    Raises:
      OSError: it cannot be made.
    """
    while True:
        # Short, so that a name may be as long as the file system allows.
        prefix = f".{target.name[:32]}."
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=target.parent))
        lock = _lock(folder, wait=True)
        if folder.exists():
            break
        _release(lock)  # another process removed it before it was locked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(lock)


def remove_abandoned(folder: Path) -> None:
    """Removes the temporary folders in `folder` whose processes have died.

    Where the file system has no locks, nothing is removed.
    """
    for path in folder.glob(f".*{_SUFFIX}"):
        lock = _lock(path, wait=False)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
        _release(lock)


def _lock(folder: Path, wait: bool) -> int | None:
    """Returns a descriptor of the locked folder, or None if it cannot be locked."""
    lock = None
    try:
        import fcntl

        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        _release(lock)
        return None
    return lock


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
