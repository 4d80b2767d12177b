"""Features of videos that another network has computed, as rows at a fixed rate.

A folder holds NAME.npy, float [T, C], for each video, and features.json with three numbers in the
words of ActionFormer: `fps`, the rate of the frames that the network saw; `feat_stride`, the frames
from one row to the next; and `num_frames`, the frames that a row describes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.media import FACTS
from afsd_jax.data.decode.sources import Timeline, map_file
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import number

LARGEST = float(np.finfo(np.float16).max)
_ROWS_PER_READ = 1024


class FeatureRows:
    """A `FrameSource` whose frames are rows, float16 [1, 1, C].

    Row i describes the frames around i * feat_stride + num_frames / 2, and frame j of this source
    those around (j + 1/2) * feat_stride. So rows are moved by whole frames, which leaves at most
    half a stride; the first row also stands for the frames before it.

    Attributes:
      fps: rows per second.
      num_frames: number of frames.
      duration_s: length of the video, seconds.
      source_frames: 0.
      damaged: 0.
      aspect: None: there is no picture.
      channels: C.
    """

    source_frames = damaged = 0
    aspect: float | None = None

    def __init__(self, path: Path, duration_s: float | None = None):
        """Reads the facts of the folder, and type and shape of the rows.

        Args:
          path: the file NAME.npy.
          duration_s: length of the video, if it is known.

        Raises:
          UserError: the file does not hold such rows, or the facts are missing or wrong.
        """
        self.path, facts = path, path.parent / FACTS
        if not facts.exists():
            raise UserError(
                f"{facts}: is missing; it states the rate of the features, such as "
                '{"fps": 30, "feat_stride": 4, "num_frames": 16}'
            )
        stated = files.read_json(facts)
        stride, described, rate = (
            _positive(stated, name, facts) for name in ("feat_stride", "num_frames", "fps")
        )
        rows = open_rows(path)
        self._first = max(round((described / stride - 1) / 2), 0)
        self.fps, self.channels = rate / stride, rows.shape[1]
        self.num_frames = len(rows) + self._first
        self.duration_s = duration_s or self.num_frames / self.fps

    @property
    def timeline(self) -> Timeline:
        """Rate and length of the video."""
        return Timeline(self.fps, self.num_frames, self.duration_s, 0)

    def __iter__(self) -> Iterator[NDArray[np.float16]]:
        """Yields the frames, with only a few of them in memory.

        Raises:
          UserError: a value is not finite, or too large for float16.
        """
        for start in range(0, self.num_frames - self._first, _ROWS_PER_READ):
            part = np.array(open_rows(self.path)[start : start + _ROWS_PER_READ], np.float32)
            if not (np.abs(part) <= LARGEST).all():
                row = start + int(np.argmax(~(np.abs(part) <= LARGEST).all(1)))
                raise UserError(
                    f"{self.path}: row {row} has a value that is not finite or above {LARGEST:g}"
                )
            frames = part.astype(np.float16)[:, None, None]
            if not start:
                yield from frames[:1].repeat(self._first, axis=0)
            yield from frames


def open_rows(path: Path) -> NDArray[np.floating]:
    """Maps the features of a video into memory: float [T, C] with T ≥ 1.

    Raises:
      UserError: the file does not hold such an array.
    """
    rows = map_file(path)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        found = f"{rows.dtype} {list(rows.shape)}" if isinstance(rows, np.ndarray) else "several"
        raise UserError(f"{path}: features are float [rows, channels], not {found}")
    if not rows.size:
        raise UserError(f"{path}: has no rows")
    return rows


def _positive(facts: object, name: str, path: Path) -> float:
    value = number(facts.get(name) if isinstance(facts, dict) else None, f"{path}: {name}")
    if value <= 0:
        raise UserError(f"{path}: {name} must be above 0, is {value:g}")
    return value
