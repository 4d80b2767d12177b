"""Where the features of a frozen trunk lie: a file for each video, view and endpoint.

A folder has one endpoint of one trunk, whichever networks read it. Its name is a digest of the
weights up to that endpoint and of what the trunk reads; the name of a file is a digest of a video's
frames, and the view. If any of these changes, so does the name, and new features are computed.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from afsd_jax.data.clips.clip_reader import View
from afsd_jax.data.storage import shards
from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.io import files, fingerprint
from afsd_jax.models import i3d
from afsd_jax.models.network import feature_shape
from afsd_jax.models.video_trunk import extended

VERSION = 3  # version of the files' content; features of another version are computed again
SAMPLED_FRAMES = 16  # frames of a video in its digest; they distinguish videos of equal sizes

ViewFiles = dict[View, dict[str, FeatureFile]]  # of one video; by view and endpoint


def cache_folder(data: ml_collections.ConfigDict) -> Path:
    """Returns the folder of all features; `data` is the field `data` of a configuration."""
    return Path(data.data_dir) / data.feature_cache


def feature_files(
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    endpoints: Sequence[str],
    videos: Sequence[PreparedVideo],
    views: Collection[View],
) -> list[ViewFiles]:
    """Returns the files of each video, which need not exist, after making their folders.

    A file has a row for each cell of its endpoint in time, of the video that
    `video_trunk.extended` makes at least as long as a clip.

    Args:
      config: configuration of the network; `data.feature_cache` is the folder, relative to
        `data.data_dir`.
      weights: weights of the network by name, at least those up to the last of the endpoints.
      endpoints: names of endpoints.
      videos: videos of one prepared data set.
      views: crops and mirrorings of each video.

    Raises:
      UserError: a folder cannot be made, or frames cannot be read.
    """
    data, found = config.data, list[ViewFiles]()
    folders = {endpoint: _folder(config, weights, endpoint) for endpoint in endpoints}
    for video in videos:
        num_frames = extended(video.num_frames, data.clip_length)
        name = _fingerprint(video, num_frames)
        shapes = {x: feature_shape(config.model, x, num_frames, data.crop_size) for x in endpoints}
        found.append(
            {
                view: {
                    x: FeatureFile(
                        folder / _name(name, view), shapes[x][0], math.prod(shapes[x][1:])
                    )
                    for x, folder in folders.items()
                }
                for view in views
            }
        )
    return found


def _folder(config: ml_collections.ConfigDict, weights: Mapping[str, Any], endpoint: str) -> Path:
    """Returns the folder of an endpoint, after writing `features.json`, which describes it."""
    data, units = config.data, i3d.endpoints_until(endpoint)
    trunk = {
        name: x
        for name, x in weights.items()
        if name.startswith("trunk.") and name.split(".")[1] in units
    }
    made_of = {
        "version": VERSION,
        "trunk": fingerprint.of_arrays([trunk]),
        "dtype": config.model.dtype,
        "endpoint": endpoint,
        "stream": data.stream,
        "negate_flipped_flow": data.negate_flipped_flow,
        "crop_size": data.crop_size,
    }
    folder = cache_folder(data) / fingerprint.of_values(made_of)
    files.make_folder(folder)
    if not (folder / "features.json").exists() and jax.process_index() == 0:
        files.write_json(folder / "features.json", made_of)
    return folder


def _name(of_video: str, view: View) -> str:
    mirrored = "_mirrored" if view.flip else ""
    return f"{of_video}_{view.y}_{view.x}{mirrored}.features"


def _fingerprint(video: PreparedVideo, num_frames: int) -> str:
    """Returns a digest of the video's frames and of the number to which it is extended."""
    digest = hashlib.sha256(f"{video.encoding} {video.shape} {num_frames}".encode())
    digest.update(np.diff(video.positions).tobytes())
    count = min(SAMPLED_FRAMES, video.num_frames)
    numbers = np.linspace(0, video.num_frames - 1, count).astype(int).tolist()
    with shards.naming_damage(video.path):
        for frame in shards.read_frames(video.path, video.positions, numbers):
            digest.update(frame)
    return digest.hexdigest()[:32]
