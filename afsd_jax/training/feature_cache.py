"""A frozen trunk's features of clips, computed once and stored on disk.

A digest of weights, sampling and views names the folder. A digest of a video's frames and clips
names its file. If any of these changes, so does the name, and new features are computed.
"""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from afsd_jax.data.clips.clip_reader import ClipReader, ClipView, View
from afsd_jax.data.storage import shards
from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.models import PADDING, i3d, normalise, parameters
from afsd_jax.models.network import feature_shapes
from afsd_jax.runtime.compilation import compiled
from afsd_jax.runtime.sharding import data_mesh, data_sharded, replicated

SAMPLED_FRAMES = 16  # frames of a video in its digest; they distinguish videos of equal sizes

log = logging.getLogger(__name__)


class TrunkFeatures:
    """Reads the features of clips; called with the numbers of a video, its clip and a view."""

    def __init__(self, videos: Sequence[FeatureFile], num_views: int):
        """Takes one file per video; its rows are all views of the first clip, then of the next."""
        self._videos, self._num_views = videos, num_views

    def __call__(self, video: int, clip: int, view: int) -> np.ndarray:
        """Returns the features of a clip in a view, float16 [size]; see `split`.

        Raises:
          UserError: the file is missing or damaged.
        """
        return self._videos[video][clip * self._num_views + view]


def check_frozen(config: ml_collections.ConfigDict) -> None:
    """Checks that a frozen trunk gets weights, and that cached features never change.

    Raises:
      UserError: the trunk is frozen, but there are no weights to start from; or features are
        cached, but the heads read an endpoint that learns, or clips are cropped anywhere.
    """
    model = config.model
    if model.frozen_until and not config.train.init_from:
        raise UserError(
            "config.train.init_from is empty: a frozen trunk needs trained weights; set it to "
            "kinetics"
        )
    if not config.data.feature_cache:
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


def without_consistency_loss(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the configuration, with the consistency loss switched off if features are cached.

    Consistency clips rearrange frames, and the cache has no features of them.
    """
    if not config.data.feature_cache or not config.loss.consistency_weight:
        return config
    log.info("note: the consistency loss is off, because the cache has no features of its clips")
    config = config.copy_and_resolve_references()
    config.loss.consistency_weight = 0.0
    return config


def of_training(
    config: ml_collections.ConfigDict, weights: Mapping[str, Any], data: TrainingData
) -> TrunkFeatures:
    """Returns the features of the training clips in all their views; see `cached`."""
    padding = PADDING[config.data.train_padding]
    return cached(config, weights, data.videos, data.offsets, data.views, padding)


def cached(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    videos: Sequence[PreparedVideo],
    offsets: Sequence[Sequence[int]],
    views: Sequence[View],
    padding: float,
) -> TrunkFeatures:
    """Returns the features of clips, after computing those that the cache lacks.

    Each host computes the features of some videos; all hosts must reach the same folder.

    Args:
      config: configuration of the network; `data.feature_cache` is the folder, relative to
        `data.data_dir`.
      weights: weights of the network.
      videos: videos of one prepared data set.
      offsets: first frames of each video's clips.
      views: crops and mirrorings of each clip.
      padding: value of normalised frames after the video's end.

    Raises:
      UserError: the folder cannot be written or is too small, or frames cannot be read.
    """
    data = config.data
    shapes = feature_shapes(config.model, data.clip_length, data.crop_size)
    size = sum(math.prod(shape) for shape in shapes)
    folder = _folder(config, weights, views, padding)
    feature_files = [
        FeatureFile(folder / f"{_fingerprint(video, starts)}.npy", len(starts) * len(views), size)
        for video, starts in zip(videos, offsets, strict=True)
    ]
    mine = range(jax.process_index(), len(videos), jax.process_count())
    todo = [n for n in mine if offsets[n] and not feature_files[n].is_complete()]
    num_bytes = sum(feature_files[number].num_bytes for number in todo)
    _check_space(folder, num_bytes)
    if todo:
        log.info(f"{folder}: stores features of {len(todo)} videos, {num_bytes / 1e9:.2f} GB")
    clips = [
        ClipView(number, start, min(start + data.clip_length, videos[number].num_frames), *view)
        for number in todo
        for start in offsets[number]
        for view in views
    ]
    rows = _compute(config, weights, videos, clips, padding)
    for number in todo:
        feature_files[number].write(rows)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("trunk features")
    return TrunkFeatures(feature_files, len(views))


def split(
    features: jax.Array, shapes: Sequence[tuple[int, ...]], dtype: jnp.dtype
) -> list[jax.Array]:
    """Splits features [B, size] into the inputs of `Network.heads`, [B, *shape] for each shape."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = jnp.split(features, ends[:-1], axis=1)
    return [
        part.astype(dtype).reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)
    ]


def _compute(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    videos: Sequence[PreparedVideo],
    clips: Sequence[ClipView],
    padding: float,
) -> Iterator[np.ndarray]:
    """Yields the features of each clip, float16 [size]."""
    if not clips:
        return
    devices = jax.local_devices()
    mesh = data_mesh(devices)
    template = parameters.abstract_network(config)

    def forward(weights: Mapping[str, Any], frames: jax.Array, num_frames: jax.Array) -> jax.Array:
        network = parameters.replace(template, weights)
        features = network.features(normalise(frames, num_frames, padding))
        flat = [part.reshape(len(frames), -1) for part in features]
        return jnp.concatenate(flat, axis=1).astype(jnp.float32)

    batched = data_sharded(mesh)
    compute = compiled(forward, in_shardings=(replicated(mesh), batched, batched))
    local = {name: np.asarray(value) for name, value in weights.items()}
    local = jax.device_put(local, replicated(mesh))
    batch_size = max(config.train.batch_size // jax.process_count(), len(devices))
    reader = ClipReader(videos, config.data)
    with tqdm(total=len(clips), desc="trunk features", unit="clip") as bar:
        for frames, num_frames in reader.read_batches(clips, batch_size):
            count = len(frames)
            # The last batch repeats its last clip, so that the trunk is compiled for one shape.
            repeated = np.minimum(np.arange(batch_size), count - 1)
            features = np.asarray(compute(local, frames[repeated], num_frames[repeated]))
            for row in features[:count]:
                yield row
                bar.update()


def _folder(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    views: Sequence[View],
    padding: float,
) -> Path:
    """Returns the folder of such features, after writing `features.json`, which describes it."""
    data, model = config.data, config.model
    trunk = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith("trunk."):
            trunk.update(name.encode() + np.asarray(weights[name]).tobytes())
    made_of = {
        "trunk": trunk.hexdigest(),
        "dtype": model.dtype,
        "endpoints": list(model.pyramid_inputs),
        "stream": data.stream,
        "negate_flipped_flow": data.negate_flipped_flow,
        "clip_length": data.clip_length,
        "crop_size": data.crop_size,
        "padding": padding,
        "views": [list(view) for view in views],
    }
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    folder = Path(data.data_dir) / data.feature_cache / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    if not (folder / "features.json").exists() and jax.process_index() == 0:
        files.write_json(folder / "features.json", made_of)
    return folder


def _fingerprint(video: PreparedVideo, offsets: Sequence[int]) -> str:
    """Returns a digest of the video's frames and clips."""
    digest = hashlib.sha256(f"{video.encoding} {video.shape} {list(offsets)}".encode())
    digest.update(np.diff(video.positions).tobytes())
    count = min(SAMPLED_FRAMES, video.num_frames)
    numbers = np.linspace(0, video.num_frames - 1, count).astype(int).tolist()
    with shards.naming_damage(video.path):
        for frame in shards.read_frames(video.path, video.positions, numbers):
            digest.update(frame)
    return digest.hexdigest()[:32]


def _check_space(folder: Path, needed: int) -> None:
    """Raises UserError if the folder has no space for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: the trunk's features need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are "
            "free; give config.data.feature_cache another folder, or set config.data.clip_stride "
            "higher or config.data.crops lower"
        )
