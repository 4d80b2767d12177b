"""Features of a video on disk: rows of numbers, and a checksum that belongs to the file's name."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure

_BLOCK = 1 << 20  # bytes read at once


class FeatureFile:
    """A file of float16 [rows, size], in memory order, and a SHA-256 digest.

    The digest covers the shape, the values, and the names of the file and of its folder, which say
    what was computed. So a file with the features of another video is not intact.

    It is read and written piece by piece, never mapped into memory, where a full disk or a
    shortened file would end the process.
    """

    def __init__(self, path: Path, rows: int, size: int):
        """Opens nothing yet."""
        self.path, self._shape = path, (rows, size)
        self._row_bytes = 2 * size

    @property
    def num_bytes(self) -> int:
        """Size of the features in bytes."""
        return self._shape[0] * self._row_bytes

    def is_intact(self) -> bool:
        """Reads the file, and returns whether it exists and has all rows as they were written."""
        if not self.path.is_file():  # a pipe would be waited for
            return False
        digest = self._new_digest()
        try:
            with open(self.path, "rb") as file:
                for start in range(0, self.num_bytes, _BLOCK):
                    digest.update(file.read(min(_BLOCK, self.num_bytes - start)))
                return file.read(_BLOCK) == digest.digest()
        except OSError:
            return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[np.ndarray], None]]:
        """Yields a function that writes the next rows; the file gets all of them or is not made.

        The function takes an array [n, …] with `size` values in each row. Values beyond the range
        of float16 are clipped to it.

        Raises:
          UserError: the file cannot be written.
        """
        largest, digest, count = np.finfo(np.float16).max, self._new_digest(), 0
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:

            def write(rows: np.ndarray) -> None:
                nonlocal count
                content = np.clip(rows, -largest, largest).astype("<f2").tobytes()
                digest.update(content)
                with naming_failure(self.path):  # other files may be written at once
                    count += file.write(content)

            yield write
            assert count == self.num_bytes, (count, self._shape)
            file.write(digest.digest())

    def read(self, start: int, stop: int) -> NDArray[np.float16]:
        """Returns the rows from start to stop, float16 [stop - start, size].

        Raises:
          UserError: the file is missing, or shorter than it was.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(start * self._row_bytes)
                content = file.read((stop - start) * self._row_bytes)
            return np.frombuffer(content, "<f2").reshape(stop - start, self._shape[1])
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.path}: missing or damaged ({error}); run the same command again"
            ) from error

    def _new_digest(self) -> "hashlib._Hash":
        rows, size = self._shape
        name = f"{self.path.parent.name}/{self.path.name}"
        return hashlib.sha256(f"{name} {rows} {size} ".encode())
