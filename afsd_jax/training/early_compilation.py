"""Compiling the training step while features are computed and the first batch is read."""

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from afsd_jax.data.clips.clip_reader import ClipView
from afsd_jax.data.clips.geometry import frame_unit
from afsd_jax.data.storage.frame_codec import frame_dtype
from afsd_jax.data.training_data import TrainingData
from afsd_jax.models.network import feature_shapes
from afsd_jax.runtime.sharding import data_sharded
from afsd_jax.training.state import TrainState
from afsd_jax.training.step import TrainStep


def compile_early(
    step: TrainStep,
    state: TrainState,
    config: ml_collections.ConfigDict,
    data: TrainingData,
    mesh: Mesh,
) -> None:
    """Begins to compile a step in a thread; see `TrainStep.compile_early`.

    Only on CPUs: on a GPU the compiler's trial runs would compete for its memory.
    """
    if jax.default_backend() == "cpu" and jax.process_count() == 1:
        shapes = jax.tree.map(_shape, state)  # the thread must not keep the arrays
        step.compile_early(lambda: (shapes, batch_shapes(config, data, mesh)))


def batch_shapes(
    config: ml_collections.ConfigDict, data: TrainingData, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns shape, type and place of each array of a batch, without reading any clip.

    Args:
      config: the resolved configuration.
      data: the training clips, of which this process reads all.
      mesh: devices that share a batch.
    """
    length, side = config.data.clip_length, config.data.crop_size
    slices = length // frame_unit(config.model)
    size = sum(map(math.prod, feature_shapes(config.model, length, side))) // slices

    def zeros(_: ClipView, slices: int) -> np.ndarray:
        return np.zeros((slices, size), np.float16)

    with contextlib.closing(data.batches(features=zeros)) as batches:
        batch: Mapping[str, Any] = next(batches)
    if not config.data.feature_cache:
        video = data.videos[0]
        shape = config.train.batch_size, length, side, side, video.shape[2]
        frames = jax.ShapeDtypeStruct(shape, frame_dtype(video.encoding))
        batch = {"frames": frames, **{k: v for k, v in batch.items() if k != "features"}}
    sharding = data_sharded(mesh)
    return {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding) for name, x in batch.items()
    }


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding, weak_type=x.weak_type)
