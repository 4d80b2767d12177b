"""A frozen trunk's features of whole videos, computed once and stored on disk.

A clip is a slice of its video's features, so clips of any place and length need no new features. A
digest of weights and of what the trunk reads names the folder. A digest of a video's frames and the
view name its file. If any of these changes, so does the name, and new features are computed.
"""

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
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
from afsd_jax.data.storage import shards
from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.data.training_data import TrainingData
from afsd_jax.detection.backends import chosen_backend, open_video_trunk
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.disk_space import free_bytes, size_in_words
from afsd_jax.io.temporary_folders import remove_abandoned
from afsd_jax.models import i3d
from afsd_jax.models.network import feature_shapes
from afsd_jax.models.video_trunk import VideoTrunk
from afsd_jax.runtime.progress_bar import SecondsBar

VERSION = 2  # version of the files' content; features of another version are computed again
SAMPLED_FRAMES = 16  # frames of a video in its digest; they distinguish videos of equal sizes
_PART = 256  # frames decoded at once

log = logging.getLogger(__name__)
_ViewFiles = Mapping[View, FeatureFile]  # of one video


class _Endpoint(NamedTuple):
    """An endpoint's cells in a slice.

    cells: number of cells.
    size: values of a cell.
    centre: middle of what the first cell sees, in cells from the video's start.
    """

    cells: int
    size: int
    centre: float


class TrunkFeatures:
    """Reads the features of clips and windows."""

    def __init__(self, videos: Sequence[_ViewFiles], unit: int, endpoints: Sequence[_Endpoint]):
        """Takes the files of each video, the frames of a slice, and the endpoints in a slice."""
        self._videos, self._unit, self._endpoints = videos, unit, endpoints

    def __call__(self, clip: ClipView, slices: int) -> np.ndarray:
        """Returns the features of a clip, float16 [slices, size]; see `split`.

        A clip of more or fewer frames is resampled, each endpoint's cells by themselves.

        Raises:
          UserError: the file is missing or damaged.
        """
        file = self._videos[clip.video][View(clip.y, clip.x, clip.flip > 0)]
        first, last = clip.start // self._unit, -(-clip.stop // self._unit)
        found = file.read(first, last)
        factor = (clip.stop - clip.start) / (slices * self._unit)
        if factor == 1:
            return found
        ends = np.cumsum([cells * size for cells, size, _ in self._endpoints])
        parts = [
            resample(part.reshape(-1, size), slices * cells, factor, centre).reshape(slices, -1)
            for part, (cells, size, centre) in zip(
                np.split(found, ends[:-1], axis=1), self._endpoints, strict=True
            )
        ]
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
    views: Sequence[View],
) -> TrunkFeatures:
    """Returns the features of videos, after computing those that the cache lacks.

    Each host computes the features of some videos; all hosts must reach the same folder. Two runs
    may use one folder at once: what both compute is the same. What killed runs left half-written is
    removed.

    Args:
      config: configuration of the network; `data.feature_cache` is the folder, relative to
        `data.data_dir`.
      weights: weights of the network.
      videos: videos of one prepared data set.
      views: crops and mirrorings of each video.

    Raises:
      UserError: the folder cannot be written or is too small, or frames cannot be read.
    """
    data, unit = config.data, frame_unit(config.model)
    shapes = feature_shapes(config.model, unit, data.crop_size)
    size = sum(math.prod(shape) for shape in shapes)
    folder = _folder(config, weights)
    remove_abandoned(folder)
    found: list[dict[View, FeatureFile]] = []
    for video in videos:
        slices = -(-max(video.num_frames, data.clip_length) // unit)
        name = _fingerprint(video, slices)
        found.append({view: FeatureFile(_path(folder, name, view), slices, size) for view in views})
    mine = range(jax.process_index(), len(videos), jax.process_count())
    todo = [
        (number, view)
        for number in mine
        for view, file in found[number].items()
        if not file.is_intact()
    ]
    num_bytes = sum(found[number][view].num_bytes for number, view in todo)
    _check_space(folder, num_bytes)
    if todo:
        backend = _backend(config)
        log.info(
            f"{folder}: stores features of {len({number for number, _ in todo})} videos, "
            f"{size_in_words(num_bytes)} ({size_in_words(free_bytes(folder))} are free), computed "
            f"by {backend}"
        )
        frame_shape = data.crop_size, data.crop_size, config.model.in_channels
        trunk = open_video_trunk(
            backend, weights, frame_shape, config.model.pyramid_inputs, config.model.dtype
        )
        parts = _compute(trunk, ClipReader(videos, data), videos, todo, data.clip_length)
        with contextlib.closing(parts):  # also its progress bar, before an error is printed
            for (number, view), of_video in zip(todo, parts, strict=True):
                found[number][view].write(of_video)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("trunk features")
    return TrunkFeatures(found, unit, _endpoints(config.model.pyramid_inputs, shapes, unit))


def _endpoints(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], unit: int
) -> list[_Endpoint]:
    """Returns the endpoints of these names and shapes [T', H', W', C'] in a slice."""
    return [
        _Endpoint(cells, math.prod(cell), i3d.endpoint_centre(name) * cells / unit)
        for name, (cells, *cell) in zip(names, shapes, strict=True)
    ]


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


def _backend(config: ml_collections.ConfigDict) -> str:
    """Returns the fastest backend for the features, in bfloat16 if the network is."""
    backend = chosen_backend(None)
    half = backend == "openvino" and config.model.dtype == "bfloat16"
    return "openvino-bfloat16" if half else backend


def _compute(
    trunk: VideoTrunk,
    reader: ClipReader,
    videos: Sequence[PreparedVideo],
    todo: Sequence[tuple[int, View]],
    length: int,
) -> Generator[Iterator[np.ndarray], None, None]:
    """Yields for each video in its view the features of its parts, float32 [slices, size]."""
    clips = [
        ClipView(number, start, min(start + _PART, videos[number].num_frames), *view)
        for number, view in todo
        for start in range(0, videos[number].num_frames, _PART)
    ]
    frames = reader.read(clips)
    total = sum(videos[number].num_frames / videos[number].fps for number, _ in todo)
    with SecondsBar(total, desc="trunk features") as bar:

        def features(video: PreparedVideo) -> Iterator[np.ndarray]:
            run = trunk.start()
            for _ in range(0, video.num_frames, _PART):
                part = next(frames)
                yield from map(_row, run.split(run.add(part)))
                bar.update(len(part) / video.fps)
            yield from map(_row, run.split(run.end(length)))

        for number, _ in todo:
            yield features(videos[number])


def _row(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the cells of all endpoints in a slice as one row, float32 [1, size]."""
    return np.concatenate([x.ravel() for x in cells])[None]


def _folder(config: ml_collections.ConfigDict, weights: Mapping[str, Any]) -> Path:
    """Returns the folder of such features, after writing `features.json`, which describes it."""
    data, model = config.data, config.model
    trunk = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith("trunk."):
            trunk.update(name.encode() + np.asarray(weights[name]).tobytes())
    made_of = {
        "version": VERSION,
        "trunk": trunk.hexdigest(),
        "dtype": model.dtype,
        "endpoints": list(model.pyramid_inputs),
        "stream": data.stream,
        "negate_flipped_flow": data.negate_flipped_flow,
        "crop_size": data.crop_size,
    }
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    folder = Path(data.data_dir) / data.feature_cache / key
    files.make_folder(folder)
    if not (folder / "features.json").exists() and jax.process_index() == 0:
        files.write_json(folder / "features.json", made_of)
    return folder


def _path(folder: Path, name: str, view: View) -> Path:
    mirrored = "_mirrored" if view.flip else ""
    return folder / f"{name}_{view.y}_{view.x}{mirrored}.features"


def _fingerprint(video: PreparedVideo, slices: int) -> str:
    """Returns a digest of the video's frames and its number of slices."""
    digest = hashlib.sha256(f"{video.encoding} {video.shape} {slices}".encode())
    digest.update(np.diff(video.positions).tobytes())
    count = min(SAMPLED_FRAMES, video.num_frames)
    numbers = np.linspace(0, video.num_frames - 1, count).astype(int).tolist()
    with shards.naming_damage(video.path):
        for frame in shards.read_frames(video.path, video.positions, numbers):
            digest.update(frame)
    return digest.hexdigest()[:32]


def _check_space(folder: Path, needed: int) -> None:
    """Raises UserError if the folder has no space for so many bytes."""
    free = free_bytes(folder)
    if needed > free:
        raise UserError(
            f"{folder}: the trunk's features need {size_in_words(needed)}, {size_in_words(free)} "
            "are free; give config.data.feature_cache another folder, or set config.data.crops "
            "lower"
        )
