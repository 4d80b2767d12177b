"""The data sets by name; preparing one, and reading the report on it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.builders import prepared_report
from afsd_jax.data.builders.activitynet import Activitynet
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.own_videos import OwnVideos
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.prepared_report import REPORT
from afsd_jax.data.builders.prepared_size import check_space
from afsd_jax.data.builders.synthetic import Synthetic
from afsd_jax.data.builders.thumos14 import Thumos14
from afsd_jax.data.storage.prepared_folder import open_folder
from afsd_jax.errors import UserError
from afsd_jax.io.files import make_folder, naming_failure
from afsd_jax.io.locks import locked

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
    """Prepares a stream of a data set, and resumes an interrupted run.

    In a prepared folder, only videos whose annotations or files have changed are prepared again;
    everything else is kept.

    Args:
      dataset: thumos14, activitynet, videos or synthetic.
      data_dir: folder of prepared data sets.
      stream: rgb or flow.
      options: options of preparation; None: the defaults.
      **kwargs: further arguments of the builder.

    Returns:
      The prepared folder, DATA_DIR/DATASET/STREAM/VERSION.

    Raises:
      UserError: annotations, files or options are wrong, the folder was prepared with other rates,
        sizes or encodings, or another process is preparing it. Nothing is written then.
    """
    if dataset not in BUILDERS:
        raise UserError(f"data set {dataset!r}: must be one of {', '.join(BUILDERS)}")
    if stream not in STREAM_CHANNELS:
        raise UserError(f"stream {stream!r}: must be one of {', '.join(STREAM_CHANNELS)}")
    if (prepared_folder(dataset, data_dir, stream) / REPORT).exists():
        open_folder(prepared_folder(dataset, data_dir, stream))  # refused before TFDS reads it
    builder = BUILDERS[dataset](data_dir=data_dir, config=stream, options=options, **kwargs)
    folder = Path(builder.data_dir)
    if not (folder / REPORT).exists():
        # TFDS makes folders at once, so errors must come before.
        check_space(builder.plan().tasks, Path(data_dir), builder.parts)
        make_folder(data_dir)
    with locked(folder.parent, f"preparing {dataset}"), naming_failure(data_dir):
        if (folder / REPORT).exists():
            builder.renew()
        else:
            builder.download_and_prepare()
    return folder


def prepared_folder(dataset: str, data_dir: str | os.PathLike[str], stream: str) -> Path:
    """Returns the folder into which a stream of a data set is prepared."""
    return Path(data_dir, dataset, stream, str(BUILDERS[dataset].VERSION))


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Describes how a renewed folder differs from before, given both reports.

    For example: 9 unchanged, 2 with renewed annotations, 1 new.
    """
    old, new = before.get("fingerprints", {}), after["fingerprints"]
    kinds = dict.fromkeys(
        ("unchanged", "with renewed annotations", "decoded again", "new", "no longer there"), 0
    )
    for name, (frames_key, annotations_key, _) in new.items():
        if name not in old:
            kinds["new"] += 1
        elif old[name][0] != frames_key:
            kinds["decoded again"] += 1
        else:
            same = old[name][1] == annotations_key
            kinds["unchanged" if same else "with renewed annotations"] += 1
    kinds["no longer there"] = len(old.keys() - new.keys())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)


def read_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns `preparation.json` of a prepared folder, the report on each video.

    Keys: dataset, stream, fps, max_frames, size, encoding, classes, videos (the prepared ones, with
    split, shard, num_frames, duration_s, damaged, …), unreadable (name → error), missing (names),
    notes (such as actions that were cut or left out), warnings, and fingerprints (name → three:
    frames, annotations, both together).
    """
    return prepared_report.read_report(Path(folder) / REPORT)
