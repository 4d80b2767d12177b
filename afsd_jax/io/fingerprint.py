"""Short digests that identify the inputs of a result."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

_HEX_DIGITS = 32
_CHUNK = 2**24  # bytes


def of_arrays(arrays: Sequence[Mapping[str, Any]], *values: Any) -> str:
    """Returns a digest of dictionaries of named arrays and of JSON values."""
    digest = hashlib.sha256(_bytes(values))
    for named in arrays:
        for name in sorted(named):
            array = np.ascontiguousarray(named[name])
            digest.update(_bytes([name, str(array.dtype), array.shape]))
            digest.update(array.data)
    return digest.hexdigest()[:_HEX_DIGITS]


def of_values(*values: Any) -> str:
    """Returns a digest of JSON values."""
    return hashlib.sha256(_bytes(values)).hexdigest()[:_HEX_DIGITS]


def file_fingerprint(path: Path) -> str:
    """Returns a text that changes when a file is replaced, but not when its folder moves."""
    state = path.stat()
    return f"{path.name} {state.st_size} {state.st_mtime_ns}"


def of_files(paths: Iterable[Path]) -> str:
    """Returns a digest of files' names, sizes and modification times, not of their content."""
    return of_values(*(file_fingerprint(path) for path in paths if path.exists()))


def crc32c(path: Path) -> int:
    """Returns the CRC32C of a file's content, which detects damage."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = google_crc32c.extend(value, chunk)
    return value


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
