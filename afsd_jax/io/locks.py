"""A lock on a folder, so that two processes do not write into it at once.

The kernel holds the lock (`flock`) and releases it when its process ends, however it ends. A small
file beside the other files of the folder names the process, for the message to the next one.
"""

import contextlib
import datetime
import json
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io.files import naming_failure, read_json
from afsd_jax.io.temporary_folders import remove_abandoned

NAME = ".lock"
_MOST_BYTES = 4096

log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path, what: str, name: str = NAME) -> Iterator[None]:
    """Holds the lock of a folder while the block runs.

    The folder is made if it is missing, and removed again if nothing was written to it. What killed
    processes left half-written in it is removed. Of several processes that work together in one
    folder, only one takes the lock. Where the file system has no locks, a warning says so, and the
    block runs without.

    Args:
      folder: the folder.
      what: work of this process there, such as "training".
      name: name of the lock's file; different names do not exclude each other.

    Raises:
      UserError: another process has the lock; the message names it. Or the folder cannot be written
        to.
    """
    path = folder / name
    made = not folder.exists()
    with naming_failure(path):
        descriptor = _acquire(path)
        if descriptor is None:
            raise UserError(_explanation(path))
    try:
        with naming_failure(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _description(what))
        remove_abandoned(folder)
        yield
    finally:
        # Removed before it is released: a process that has opened it then finds its name gone.
        with contextlib.suppress(OSError):
            path.unlink()
            if made:
                folder.rmdir()  # fails if anything is in it
        os.close(descriptor)


def _acquire(path: Path) -> int | None:
    """Returns a descriptor of the locked file, or None if another process has the lock."""
    # Never through a link, and never waiting for a pipe, which a stranger's folder may hold.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, flags, 0o644)
        except (FileExistsError, FileNotFoundError):
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise
            continue  # its last holder removed the folder in between
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UserError(f"{path}: must be a file, not a pipe or device; remove it")
        if not _flock(descriptor, path):
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # its last holder removed it in between


def _flock(descriptor: int, path: Path) -> bool:
    """Returns False if another process has the lock; True, too, where there are no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        log.warning("%s: cannot be locked here; start no other process in this folder", path)
    return True


def _description(what: str) -> bytes:
    now = datetime.datetime.now().isoformat(" ", "seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now, "what": what}
    return json.dumps(holder).encode()


def _explanation(path: Path) -> str:
    """Returns who has the lock, and what to do."""
    try:
        holder = read_json(path, _MOST_BYTES)
        pid, host, since, what = (str(holder[k]) for k in ("pid", "host", "since", "what"))
    except (UserError, KeyError, TypeError):  # it is being written
        return f"{path.parent}: another process writes into it; wait for its end"
    text = (
        f"{path.parent}: process {pid} on {host} has been {what} there since {since}; wait for its "
        "end, stop it, or give another folder"
    )
    if host != socket.gethostname():
        text += f" (if that machine is gone, delete {path})"
    return text
