"""A frozen trunk's features of whole videos, computed once and stored on disk.

A clip is a slice of its video's features, so clips of any place and length need no new features.
Each endpoint of the trunk is stored by itself (`feature_files`), so networks that read different
endpoints share what they have in common, and one pass of the trunk serves all of them.
"""

import contextlib
import itertools
import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.experimental import multihost_utils

from afsd_jax.data.clips.clip_reader import ClipReader, ClipView, View
from afsd_jax.data.clips.geometry import frame_unit
from afsd_jax.data.clips.speed import resample
from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.data.training_data import TrainingData
from afsd_jax.detection.backends import chosen_backend, open_video_trunk
from afsd_jax.errors import UserError
from afsd_jax.io.disk_space import free_bytes, size_in_words
from afsd_jax.io.temporary_folders import remove_abandoned
from afsd_jax.models import i3d
from afsd_jax.models.video_trunk import MULTIPLE, VideoTrunk
from afsd_jax.runtime.progress_bar import SecondsBar
from afsd_jax.training.feature_files import ViewFiles, cache_folder, feature_files

_PART = 256  # frames decoded at once

log = logging.getLogger(__name__)


class TrunkFeatures:
    """Reads the features of clips and windows."""

    def __init__(self, videos: Sequence[ViewFiles], endpoints: Sequence[str], unit: int):
        """Takes the files of each video, their endpoints, and the frames of a slice."""
        self._videos, self._unit = videos, unit
        self._strides = {name: i3d.endpoint_stride(name)[0] for name in endpoints}

    def __call__(self, clip: ClipView, slices: int) -> np.ndarray:
        """Returns the features of a clip, float16 [slices, size]; see `split`.

        A clip of more or fewer frames is resampled, each endpoint's cells by themselves.

        Raises:
          UserError: a file is missing or damaged.
        """
        files = self._videos[clip.video][View(clip.y, clip.x, clip.flip > 0)]
        first, last = clip.start // self._unit, -(-clip.stop // self._unit)
        factor = (clip.stop - clip.start) / (slices * self._unit)
        parts = []
        for name, stride in self._strides.items():
            count = self._unit // stride  # of cells in a slice
            cells = files[name].read(first * count, last * count)
            if factor != 1:
                centre = i3d.endpoint_centre(name) / stride
                cells = resample(cells, slices * count, factor, centre)
            parts.append(cells.reshape(slices, -1))
        return np.concatenate(parts, axis=1)


def check_frozen(config: ml_collections.ConfigDict) -> None:
    """Checks that a frozen trunk gets weights, and that cached features never change.

    Raises:
      UserError: the trunk is frozen, but there are no weights to start from; or features are
        cached, but the heads read an endpoint that learns, clips are cropped anywhere, or the trunk
        sees clips instead of whole videos.
    """
    model = config.model
    if model.frozen_until and not config.train.init_from:
        raise UserError(
            "config.train.init_from is empty: a frozen trunk needs trained weights; set it to "
            "kinetics"
        )
    whole_videos = model.trunk_context == "video"
    if bool(config.data.feature_cache) != whole_videos:
        raise UserError(
            f"config.model.trunk_context={model.trunk_context!r}: "
            + (
                "a trunk that sees whole videos cannot be trained; freeze it and set "
                "config.data.feature_cache, or set this to clip"
                if whole_videos
                else "with config.data.feature_cache the trunk sees whole videos; set this to video"
            )
        )
    if not whole_videos:
        return
    frozen = i3d.frozen_endpoints(model.frozen_until)
    if any(name not in frozen for name in model.pyramid_inputs):
        raise UserError(
            f"config.model.frozen_until={model.frozen_until!r}: with config.data.feature_cache the "
            f"trunk must be frozen up to {model.pyramid_inputs[-1]}; set it to that endpoint"
        )
    if not config.data.crops:
        raise UserError(
            "config.data.crops=0: with config.data.feature_cache clips are cropped at fixed "
            "places; set it to 1, the centre, or 5, the corners as well"
        )


def of_training(
    config: ml_collections.ConfigDict, weights: Mapping[str, Any], data: TrainingData
) -> TrunkFeatures:
    """Returns the features of the training videos in all their views; see `cached`."""
    return cached(config, weights, data.videos, data.views)


def cached(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    videos: Sequence[PreparedVideo],
    views: Collection[View],
) -> TrunkFeatures:
    """Returns the features that a network reads, after computing those that the cache lacks.

    Args and errors are those of `fill`; the endpoints are the inputs of the network's pyramid.
    """
    endpoints = tuple(config.model.pyramid_inputs)
    files = fill(config, weights, endpoints, videos, views)
    return TrunkFeatures(files, endpoints, frame_unit(config.model))


def fill(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    endpoints: Sequence[str],
    videos: Sequence[PreparedVideo],
    views: Collection[View],
) -> list[ViewFiles]:
    """Computes the features that the cache lacks, all endpoints of a video in one pass.

    Each host computes the features of some videos; all hosts must reach the same folder. Two runs
    may use one folder at once: what both compute is the same. What killed runs left half-written is
    removed. Memory does not grow with the videos.

    Args are those of `feature_files`.

    Returns:
      The files of each video.

    Raises:
      UserError: the folder cannot be written or is too small, or frames cannot be read.
    """
    found = feature_files(config, weights, endpoints, videos, views)
    for folder in cache_folder(config.data).iterdir():
        remove_abandoned(folder)
    mine = range(jax.process_index(), len(videos), jax.process_count())
    todo = [
        _Missing(number, view, missing)
        for number in mine
        for view, files in found[number].items()
        if (missing := {name: file for name, file in files.items() if not file.is_intact()})
    ]
    num_bytes = sum(file.num_bytes for one in todo for file in one.files.values())
    _check_space(cache_folder(config.data), num_bytes)
    if todo:
        _compute(config, weights, videos, todo, size_in_words(num_bytes))
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("trunk features")
    return found


def split(
    features: jax.Array, shapes: Sequence[tuple[int, ...]], dtype: jnp.dtype
) -> list[jax.Array]:
    """Splits features [B, slices, size] into the inputs of `Network.heads`.

    Args:
      features: in each slice the cells of all endpoints.
      shapes: shape [T', H', W', C'] of each endpoint.
      dtype: type of the results.

    Returns:
      An array [B, *shape] for each shape.
    """
    batch, slices, _ = features.shape
    ends = np.cumsum([math.prod(shape) // slices for shape in shapes])
    parts = jnp.split(features, ends[:-1], axis=2)
    return [
        part.astype(dtype).reshape(batch, *shape) for part, shape in zip(parts, shapes, strict=True)
    ]


class _Missing(NamedTuple):
    """A view of a video, which is named by its number, and its files to write, by endpoint."""

    video: int
    view: View
    files: dict[str, FeatureFile]


def _compute(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    videos: Sequence[PreparedVideo],
    todo: Sequence[_Missing],
    size: str,
) -> None:
    """Computes files; `size` is that of all of them, in words."""
    data, model, folder = config.data, config.model, cache_folder(config.data)
    backend = _backend(config)
    missing = {name for one in todo for name in one.files}
    endpoints = [name for name in i3d.ENDPOINTS if name in missing]
    log.info(
        f"{folder}: stores features of {len({one.video for one in todo})} videos at "
        f"{', '.join(endpoints)}, {size} ({size_in_words(free_bytes(folder))} are free), computed "
        f"by {backend}"
    )
    frame_shape = data.crop_size, data.crop_size, model.in_channels
    trunk = open_video_trunk(backend, weights, frame_shape, endpoints, model.dtype, MULTIPLE)
    clips = [
        ClipView(one.video, start, min(start + _PART, videos[one.video].num_frames), *one.view)
        for one in todo
        for start in range(0, videos[one.video].num_frames, _PART)
    ]
    frames = ClipReader(videos, data).read(clips)
    total = sum(videos[one.video].num_frames / videos[one.video].fps for one in todo)
    with SecondsBar(total, desc="trunk features") as bar:
        for one in todo:
            video = videos[one.video]
            parts = itertools.islice(frames, -(-video.num_frames // _PART))
            counted = _counted(parts, video.fps, bar)
            _write(trunk, endpoints, one.files, counted, data.clip_length)


def _write(
    trunk: VideoTrunk,
    endpoints: Sequence[str],
    files: Mapping[str, FeatureFile],
    parts: Iterable[np.ndarray],
    least: int,
) -> None:
    """Writes the features of a video.

    Args:
      trunk: computes the endpoints.
      endpoints: all that it computes, in its order.
      files: file of each endpoint that is written.
      parts: the video's frames, uint8 [n, S, S, C] each.
      least: number of frames to which a shorter video is extended.
    """
    run = trunk.start()
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(file.writing()) for name, file in files.items()}

        def write(slices: Sequence[np.ndarray]) -> None:
            cells = dict(zip(endpoints, slices, strict=bool(slices)))
            for name in cells.keys() & writers.keys():
                writers[name](cells[name])

        for part in parts:
            write(run.add(part))
        write(run.end(least))


def _counted(parts: Iterable[np.ndarray], fps: float, bar: SecondsBar) -> Iterator[np.ndarray]:
    """Yields parts of a video, and shows how many seconds of it are done."""
    for part in parts:
        yield part
        bar.update(len(part) / fps)


def _backend(config: ml_collections.ConfigDict) -> str:
    """Returns the fastest backend for the features, in bfloat16 if the network is."""
    backend = chosen_backend(None)
    half = backend == "openvino" and config.model.dtype == "bfloat16"
    return "openvino-bfloat16" if half else backend


def _check_space(folder: Path, needed: int) -> None:
    """Raises UserError if the folder has no space for so many bytes."""
    free = free_bytes(folder)
    if needed > free:
        raise UserError(
            f"{folder}: the trunk's features need {size_in_words(needed)}, {size_in_words(free)} "
            "are free; give config.data.feature_cache another folder, or set config.data.crops "
            "lower"
        )
