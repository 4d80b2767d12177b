"""The data sets by name, and preparing one in one call."""

import os
from pathlib import Path
from typing import Any

from afsd_jax import files
from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.builders.activitynet import Activitynet
from afsd_jax.data.builders.base import REPORT, VideoBuilder
from afsd_jax.data.builders.options import Options
from afsd_jax.data.builders.own_videos import Videos
from afsd_jax.data.builders.synthetic import Synthetic
from afsd_jax.data.builders.thumos14 import Thumos14
from afsd_jax.errors import UserError

BUILDERS: dict[str, type[VideoBuilder]] = {
    builder.name: builder for builder in (Thumos14, Activitynet, Videos, Synthetic)
}


def prepare_dataset(
    dataset: str,
    data_dir: str | os.PathLike[str],
    stream: str = "rgb",
    options: Options | None = None,
    **kwargs: Any,
) -> Path:
    """Prepares a stream of a data set, going on where an earlier run stopped.

    Args:
      dataset: thumos14, activitynet, videos or synthetic.
      data_dir: folder of prepared data sets.
      stream: rgb or flow.
      options: of the preparation.
      **kwargs: further arguments of the builder.

    Returns:
      The prepared folder, DATA_DIR/DATASET/STREAM/VERSION; one that is there is left as it is.

    Raises:
      UserError: of the annotations, the files or the options, or the folder was prepared with
        others. Nothing is written then.
    """
    if dataset not in BUILDERS:
        raise UserError(f"data set {dataset!r}: must be one of {', '.join(BUILDERS)}")
    if stream not in STREAM_CHANNELS:
        raise UserError(f"stream {stream!r}: must be one of {', '.join(STREAM_CHANNELS)}")
    try:
        Path(data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{data_dir}: cannot be written ({error.strerror})") from error
    builder = BUILDERS[dataset](data_dir=data_dir, config=stream, options=options, **kwargs)
    folder = Path(builder.data_dir)
    if (folder / REPORT).exists():
        _check_options(folder, builder)
    else:
        # TFDS makes folders at once, so all that can be refused is looked at before.
        builder.plan()
        builder.download_and_prepare()
    return folder


def _check_options(folder: Path, builder: VideoBuilder) -> None:
    """Raises UserError if a folder was prepared in another way than is asked for now."""
    if builder.options is None:
        return
    report = read_report(folder)
    for field, wanted in builder.stored_options(builder.options).items():
        if report[field] != wanted:
            raise UserError(
                f"{folder}: was prepared with {field} {report[field]}, not {wanted}; "
                "delete it, or give another --output"
            )


def read_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what `preparation.json` of a prepared folder says became of each video.

    Keys: dataset, stream, fps, max_frames, size, encoding, classes, videos (those prepared, with
    split, shard, num_frames, duration_s, damaged, …), unreadable (name → error), missing (names)
    and notes (actions that were cut or left out).
    """
    return files.read_json(Path(folder) / REPORT)
