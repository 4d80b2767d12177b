"""A frozen trunk's features of clips, computed once and kept on disk.

The files lie in a folder named by all that determines them but the video: weights, sampling, views.
Each is named by its video's frames and clips. What has changed is never read, but made anew.
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

SAMPLED_FRAMES = 16  # of a video, whose bytes tell it from another of the same sizes

log = logging.getLogger(__name__)


class TrunkFeatures:
    """The features of clips of videos; called with the numbers of a video, clip and view."""

    def __init__(self, videos: Sequence[FeatureFile], num_views: int):
        """Holds one file a video, its rows all views of the first clip, then of the next."""
        self._videos, self._num_views = videos, num_views

    def __call__(self, video: int, clip: int, view: int) -> np.ndarray:
        """Returns the features of a clip in a view, float16 [size]; see `split`.

        Raises:
          UserError: the file is gone or damaged.
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
            "config.train.init_from is empty: a frozen trunk needs weights from somewhere; set "
            "it to kinetics"
        )
    if not config.data.feature_cache:
        return
    frozen = i3d.frozen_endpoints(model.frozen_until)
    if any(name not in frozen for name in model.pyramid_inputs):
        raise UserError(
            f"config.model.frozen_until={model.frozen_until!r}: with config.data.feature_cache the "
            f"trunk must be frozen up to {model.pyramid_inputs[-1]}, set it to that"
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

    Each host computes those of its share of the videos; all must reach the folder.

    Args:
      config: of the network; `data.feature_cache` is the folder, in `data.data_dir` if relative.
      weights: of the network.
      videos: prepared alike.
      offsets: of each video's clips, frames.
      views: to see each clip in.
      padding: value of normalised frames after the video's end.

    Raises:
      UserError: the folder cannot be written or is too small, or frames cannot be read.
    """
    data = config.data
    shapes = feature_shapes(config.model, data.clip_length, data.crop_size)
    size = sum(math.prod(shape) for shape in shapes)
    folder = _folder(config, weights, views, padding)
    kept = [
        FeatureFile(folder / f"{_fingerprint(video, clips)}.npy", len(clips) * len(views), size)
        for video, clips in zip(videos, offsets, strict=True)
    ]
    share = range(jax.process_index(), len(videos), jax.process_count())
    todo = [number for number in share if offsets[number] and not kept[number].is_complete()]
    _check_space(folder, [kept[number] for number in todo])
    cuts = [
        ClipView(number, start, min(start + data.clip_length, videos[number].num_frames), *view)
        for number in todo
        for start in offsets[number]
        for view in views
    ]
    rows = _compute(config, weights, videos, cuts, padding)
    for number in todo:
        kept[number].write(rows)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("trunk features")
    return TrunkFeatures(kept, len(views))


def split(
    features: jax.Array, shapes: Sequence[tuple[int, ...]], dtype: jnp.dtype
) -> list[jax.Array]:
    """Returns features [B, size] as `Network.heads` reads them, [B, *shape] for each shape."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = jnp.split(features, ends[:-1], axis=1)
    return [
        part.astype(dtype).reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)
    ]


def _compute(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    videos: Sequence[PreparedVideo],
    cuts: Sequence[ClipView],
    padding: float,
) -> Iterator[np.ndarray]:
    """Yields the features of each clip, float16 [size]."""
    if not cuts:
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
    with tqdm(total=len(cuts), desc="trunk features", unit="clip") as bar:
        for frames, num_frames in reader.read_batches(cuts, batch_size):
            count = len(frames)
            # The last batch repeats its last clip, so that the trunk sees one shape.
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
    """Returns the folder of features made in this way, with `features.json` that describes it."""
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
    """Returns a name that changes with the video's frames and its clips."""
    digest = hashlib.sha256(f"{video.encoding} {video.shape} {list(offsets)}".encode())
    digest.update(np.diff(video.positions).tobytes())
    count = min(SAMPLED_FRAMES, video.num_frames)
    numbers = np.linspace(0, video.num_frames - 1, count).astype(int).tolist()
    with shards.naming_damage(video.path):
        for frame in shards.read_frames(video.path, video.positions, numbers):
            digest.update(frame)
    return digest.hexdigest()[:32]


def _check_space(folder: Path, todo: Sequence[FeatureFile]) -> None:
    needed = sum(file.num_bytes for file in todo)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: the trunk's features need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are "
            "free; give config.data.feature_cache another folder, or set config.data.clip_stride "
            "higher or config.data.crops lower"
        )
    if todo:
        log.info(f"{folder}: features of {len(todo)} videos, {needed / 1e9:.2f} GB, go here")
