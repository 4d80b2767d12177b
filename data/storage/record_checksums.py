"""Checksums of the records in TFRecord files."""

import functools
import os
import struct
from pathlib import Path

import google_crc32c

from afsd_jax.io.tfrecord import masked

LENGTH, CHECKSUM = 8, 4  # bytes
_CHUNK = 1 << 20  # bytes that are read at a time


def check_records(path: Path) -> None:
    """Checks the checksums of all records in a file, once as long as the file does not change.

    Raises:
      ValueError: a checksum is wrong, or the file ends within a record.
    """
    state = path.stat()
    _check_once(path, os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 20)
def _check_once(path: Path, *state: str | int) -> None:
    with path.open("rb") as file:
        while length := file.read(LENGTH):
            _compare(google_crc32c.extend(0, length), file.read(CHECKSUM))
            (left,) = struct.unpack("<Q", length)
            checksum = 0
            while left and (chunk := file.read(min(left, _CHUNK))):
                checksum = google_crc32c.extend(checksum, chunk)
                left -= len(chunk)
            _compare(checksum, file.read(CHECKSUM))


def _compare(checksum: int, stored: bytes) -> None:
    if masked(checksum) != stored:
        raise ValueError("a checksum is wrong")
