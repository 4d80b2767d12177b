"""Finding the annotations that a prepared data set stores."""

import os
from pathlib import Path

from afsd_jax.data.builders.dataset_folder import GROUND_TRUTH
from afsd_jax.data.storage.prepared_folder import INFO
from afsd_jax.errors import UserError


def truth_file(path: str | os.PathLike[str]) -> Path:
    """Returns the file of annotations in a prepared folder; any other path is returned as it is.

    Args:
      path: file or folder of annotations; a prepared folder DATA_DIR/DATASET/STREAM/VERSION, or a
        folder above it, up to DATA_DIR. The streams of a data set have the same annotations.

    Raises:
      UserError: several data sets were prepared there.
    """
    path = Path(path)
    places = [file for depth in range(4) for file in path.glob("*/" * depth + GROUND_TRUTH)]
    found = sorted(file for file in places if (file.parent / INFO).is_file())
    data_sets = sorted({file.parents[2] for file in found})
    if len(data_sets) > 1:
        raise UserError(
            f"{path}: holds {len(data_sets)} prepared data sets; give one, such as {data_sets[0]}"
        )
    return found[-1] if found else path
