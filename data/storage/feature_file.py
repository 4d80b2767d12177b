"""Features of clips on disk: one file per video, read in any order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure


class FeatureFile:
    """The features of one video's clips in all their views: a .npy file, float16 [rows, size]."""

    def __init__(self, path: Path, rows: int, size: int):
        """Opens nothing yet; `rows` is the number of clips times the number of views."""
        self.path, self._shape = path, (rows, size)
        self._array: np.ndarray | None = None

    @property
    def num_bytes(self) -> int:
        """Size of the features in bytes."""
        return self._shape[0] * self._shape[1] * 2

    def is_complete(self) -> bool:
        """Returns whether the file exists and holds all rows."""
        try:
            self._open()
        except (OSError, ValueError):
            return False
        return True

    def write(self, rows: Iterator[np.ndarray]) -> None:
        """Takes the rows of this file from an iterator and writes them, all or none.

        Values beyond the range of float16 are clipped to it.

        Raises:
          UserError: the file cannot be written.
        """
        largest = np.finfo(np.float16).max
        with naming_failure(self.path), atomic_write(self.path) as temporary:
            array = np.lib.format.open_memmap(temporary, "w+", np.float16, self._shape)
            for row in array:
                row[:] = np.clip(next(rows), -largest, largest)
            array.flush()

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns the features of a clip in a view, float16 [size].

        Raises:
          UserError: the file is missing or damaged.
        """
        try:
            return self._open()[row]
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.path}: missing or damaged ({error}); run the same command again"
            ) from error

    def _open(self) -> np.ndarray:
        if self._array is None:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if (array.shape, array.dtype) != (self._shape, np.float16):
                raise ValueError(f"holds {array.dtype} {array.shape}")
            self._array = array
        return self._array
