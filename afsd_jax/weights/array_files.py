"""A checkpoint's arrays, read by TensorStore alone.

Orbax reads the same files, but its import and its restoring take most of a second more. It remains
the judge: whatever is not laid out as expected here is left to it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_ARRAY = "/.zarray"


class Shaped(Protocol):
    """Shape and dtype of an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


def read_arrays(folder: Path, expected: Mapping[str, Shaped]) -> dict[str, np.ndarray] | None:
    """Returns the arrays of a flat item of a checkpoint.

    Args:
      folder: absolute path of the item.
      expected: all arrays of the item, by name.

    Returns:
      The arrays by name, or None if the folder does not hold exactly the expected ones in the usual
      layout, or cannot be read: Orbax may then read it, or say what is wrong.
    """
    import tensorstore

    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    try:
        keys = tensorstore.KvStore.open(store).result().list().result()
        names = {key.decode().removesuffix(_ARRAY) for key in keys if key.endswith(_ARRAY.encode())}
        if names != expected.keys():
            return None
        opening = {
            name: tensorstore.open(
                {"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}}, open=True, read=True
            )
            for name in names
        }
        arrays = {name: future.result() for name, future in opening.items()}
        if not all(_fits(array, expected[name]) for name, array in arrays.items()):
            return None
        reading = {name: array.read() for name, array in arrays.items()}
        return {name: future.result() for name, future in reading.items()}
    except (ValueError, OSError, RuntimeError, NotImplementedError):
        return None  # TensorStore raises these; a missing folder is one of them


def _fits(array: Any, expected: Shaped) -> bool:
    """Returns whether an array is the expected one, and no piece of it is larger than it is."""
    piece = math.prod(array.chunk_layout.read_chunk.shape)
    same = tuple(array.shape) == tuple(expected.shape)
    return same and array.dtype.name == expected.dtype.name and piece <= max(array.size, 1)
