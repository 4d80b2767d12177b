"""The data sets by name, and preparing one in one call."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.builders.activitynet import Activitynet
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.dataset_folder import REPORT
from afsd_jax.data.builders.own_videos import OwnVideos
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.synthetic import Synthetic
from afsd_jax.data.builders.thumos14 import Thumos14
from afsd_jax.errors import UserError
from afsd_jax.io import files

BUILDERS: dict[str, type[VideoBuilder]] = {
    builder.name: builder for builder in (Thumos14, Activitynet, OwnVideos, Synthetic)
}


def prepare_dataset(
    dataset: str,
    data_dir: str | os.PathLike[str],
    stream: str = "rgb",
    options: PrepareOptions | None = None,
    **kwargs: Any,
) -> Path:
    """Prepares a stream of a data set, going on where an earlier run stopped.

    A prepared folder is looked at again: what has changed in the annotations or the files is
    prepared anew, everything else is kept.

    Args:
      dataset: thumos14, activitynet, videos or synthetic.
      data_dir: folder of prepared data sets.
      stream: rgb or flow.
      options: of the preparation.
      **kwargs: further arguments of the builder.

    Returns:
      The prepared folder, DATA_DIR/DATASET/STREAM/VERSION.

    Raises:
      UserError: of the annotations, the files or the options, or the folder was prepared with
        other rates, sizes or encodings. Nothing is written then.
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
        if builder.options is not None:
            _check_options(folder, builder, builder.options)
            builder.renew()
    else:
        # TFDS makes folders at once, so all that can be refused is looked at before.
        builder.plan()
        builder.download_and_prepare()
    return folder


def _check_options(folder: Path, builder: VideoBuilder, options: PrepareOptions) -> None:
    """Raises UserError if a folder was prepared in another way than is asked for now."""
    report = read_report(folder)
    for field, wanted in builder.stored_options(options).items():
        if report.get(field, wanted) != wanted:
            raise UserError(
                f"{folder}: was prepared with {field} {report[field]}, not {wanted}; "
                "delete it, or give another --output"
            )


def prepared_folder(dataset: str, data_dir: str | os.PathLike[str], stream: str) -> Path:
    """Returns where a stream of a data set is prepared."""
    return Path(data_dir, dataset, stream, str(BUILDERS[dataset].VERSION))


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Returns what a renewed folder has that it had not before, from both reports.

    Such as: 9 unchanged, 2 with renewed annotations, 1 new.
    """
    old, new = before.get("fingerprints", {}), after["fingerprints"]
    kinds = dict.fromkeys(
        ("unchanged", "with renewed annotations", "decoded again", "new", "no longer there"), 0
    )
    for name, (frames, said, _) in new.items():
        if name not in old:
            kinds["new"] += 1
        elif old[name][0] != frames:
            kinds["decoded again"] += 1
        else:
            kinds["unchanged" if old[name][1] == said else "with renewed annotations"] += 1
    kinds["no longer there"] = len(old.keys() - new.keys())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)


def read_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what `preparation.json` of a prepared folder says became of each video.

    Keys: dataset, stream, fps, max_frames, size, encoding, classes, videos (those prepared, with
    split, shard, num_frames, duration_s, damaged, …), unreadable (name → error), missing (names),
    notes (actions that were cut or left out, …) and fingerprints (name → those of the frames, of
    the annotations and of both).
    """
    return files.read_json(Path(folder) / REPORT)
