"""Opening a split of a prepared data set, and reading it with tf.data."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_collections

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.config_checks import FEATURES
from afsd_jax.data.builders.prepared_report import stored_geometry, stored_groups
from afsd_jax.data.folds import read_split
from afsd_jax.data.storage import shards
from afsd_jax.data.storage.prepared_folder import PreparedFolder, open_folder
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


def open_data_set(data: ml_collections.ConfigDict) -> PreparedFolder:
    """Opens the data set that the configuration names.

    Args:
      data: the field `data` of a configuration.

    Raises:
      UserError: the data set is missing or damaged.
    """
    path, name = Path(data.data_dir), f"{data.dataset}/{data.stream}"
    if not (path / name).is_dir():
        above = [parent for parent in path.parents if (parent / name).is_dir()]
        place = above[0] if above else "the folder into which it was prepared"
        remedy = "" if above else "make it with afsd prepare, or "
        raise UserError(
            f"config.data.data_dir={data.data_dir!r}: holds no prepared data set {name}; "
            f"{remedy}give {place}"
        )
    return open_folder(path / name)


def open_split(
    data: ml_collections.ConfigDict, split: str
) -> tuple[PreparedFolder, list[PreparedVideo]]:
    """Opens a split of the data set that the configuration names.

    Args:
      data: the field `data` of a configuration.
      split: name of the split, such as train, or a part of one, such as train[:10%] or train[1/5].

    Raises:
      UserError: the data set is missing or damaged, or its frames have another size, shape, rate or
        number of channels than in the configuration.
    """
    opened = open_data_set(data)
    videos = read_part(opened, split)
    height, width, channels = videos[0].shape
    folder, size = videos[0].path.parent, data.frame_size
    if (height, width) != (size, size):
        raise UserError(
            f"{folder}: was prepared with frames of {width}x{height} pixels, but "
            f"config.data.frame_size={size}; set that to {height}, or prepare it again into "
            f"another folder with size {size}"
        )
    shaped = stored_geometry(folder).keep_aspect
    if shaped != data.keep_aspect:
        raise UserError(
            f"{folder}: was prepared with keep_aspect {shaped}, but "
            f"config.data.keep_aspect={data.keep_aspect}; set that to {shaped}, or prepare it "
            "again into another folder"
        )
    if channels != STREAM_CHANNELS[data.stream] and data.stream != FEATURES:
        raise UserError(
            f"{videos[0].path}: frames have {channels} channels, but "
            f"config.data.stream={data.stream}"
        )
    for video in videos:
        _check_rate(video, data)
    return opened, videos


def read_part(
    folder: PreparedFolder, split: str, known: Mapping[str, list[PreparedVideo]] = {}
) -> list[PreparedVideo]:
    """Returns the videos of a split, or of a part of one; see `folds.read_split`.

    Raises:
      UserError: there are none, or the data set is damaged.
    """
    return read_split(folder, split, stored_groups(folder.path), known)


def _check_rate(video: PreparedVideo, data: ml_collections.ConfigDict) -> None:
    def fail(found: str, field: str) -> None:
        raise UserError(
            f"{video.path.parent}: {video.name} was prepared {found}, but config.data.{field}="
            f"{data[field]:g}; set that to the data set's value, or prepare it again into another "
            f"folder with {field} {data[field]:g}"
        )

    if data.max_frames and video.num_frames > data.max_frames:
        fail(f"with {video.num_frames} frames", "max_frames")
    slower = data.max_frames and video.fps < data.fps
    if data.fps and not slower and not math.isclose(video.fps, data.fps, rel_tol=1e-3):
        fail(f"at {video.fps:g} frames per second", "fps")


def parallel_map(dataset: "tf.data.Dataset", function: Callable[..., Any]) -> "tf.data.Dataset":
    """Maps a function, which has no Python branches on tensors, over the elements of a dataset.

    Without such branches there is nothing to convert for AutoGraph, which takes a second to look.
    """
    import tensorflow as tf

    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(function, num_parallel_calls=num_threads())


def iterate_arrays(dataset: "tf.data.Dataset", folder: Path) -> Iterator[Any]:
    """Yields the elements of a data set as arrays, prefetching two."""
    import tensorflow as tf

    try:
        yield from dataset.prefetch(2).with_options(_options()).as_numpy_iterator()
    except tf.errors.OpError as error:
        for path in folder.glob("*.tfrecord-*"):
            if str(path) in error.message:
                shards.check_shard(path)
        reason = error.message.partition("\n")[0]
        raise UserError(
            f"{folder}: frames cannot be read ({reason}); prepare the data set again"
        ) from error


def num_threads() -> int:
    """Returns the number of cores, the threads that tf.data uses."""
    return os.cpu_count() or 1


def _options() -> "tf.data.Options":
    """Returns options for a private pool of few threads, and a deterministic order."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = num_threads()
    options.threading.max_intra_op_parallelism = 1
    return options
