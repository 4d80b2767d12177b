"""Features of clips, kept on disk: one file a video, read at random."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, naming_failure


class FeatureFile:
    """The features of one video's clips, each in every view: a .npy of float16 [rows, size]."""

    def __init__(self, path: Path, rows: int, size: int):
        """Opens nothing yet; `rows` is the number of clips times that of views."""
        self.path, self._shape = path, (rows, size)
        self._array: np.ndarray | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of the features."""
        return self._shape[0] * self._shape[1] * 2

    def is_whole(self) -> bool:
        """Returns whether the file is there and holds all that it should."""
        try:
            self._open()
        except (OSError, ValueError):
            return False
        return True

    def write(self, rows: Iterator[np.ndarray]) -> None:
        """Takes this file's rows from an iterator and writes them, all or none.

        Values beyond float16's range become its largest.

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
          UserError: the file is gone or damaged.
        """
        try:
            return self._open()[row]
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.path}: damaged or gone ({error}); run the same command again"
            ) from error

    def _open(self) -> np.ndarray:
        if self._array is None:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if (array.shape, array.dtype) != (self._shape, np.float16):
                raise ValueError(f"holds {array.dtype} {array.shape}")
            self._array = array
        return self._array


def total_bytes(files: Sequence[FeatureFile]) -> int:
    """Returns how much the features of these files take on disk."""
    return sum(file.num_bytes for file in files)
