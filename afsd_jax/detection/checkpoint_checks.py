"""Checks of the checkpoints that a detector is made of."""

from collections.abc import Sequence

import ml_collections

from afsd_jax.errors import UserError
from afsd_jax.runtime.memory import physical_bytes
from afsd_jax.weights.checkpoint import Checkpoint


def check_memory(config: ml_collections.ConfigDict) -> None:
    """Raises UserError if a batch of windows, which a checkpoint states, can fit into no memory.

    The first layer alone takes 16 bytes for each value of its input.
    """
    data, batch_size = config.data, config.inference.batch_size
    needed = 16 * batch_size * data.clip_length * data.crop_size**2 * config.model.in_channels
    if needed > physical_bytes():
        raise UserError(
            f"config.inference.batch_size={batch_size} windows of {data.clip_length} frames of "
            f"{data.crop_size}x{data.crop_size} pixels need {needed / 2**30:,.0f} GiB at least, "
            "more than this machine has; lower the batch size"
        )


def check_fusible(streams: Sequence[Checkpoint]) -> None:
    """Raises UserError if the networks differ in more than their input."""
    first = streams[0]
    data_fields = (
        *("fps", "max_frames", "clip_length", "crop_size", "frame_size", "class_agnostic"),
        *("crop", "keep_aspect"),
    )
    for other in streams[1:]:
        for field in data_fields:
            if first.config.data[field] != other.config.data[field]:
                raise UserError(
                    f"the streams' checkpoints differ in config.data.{field}: "
                    f"{first.config.data[field]} and {other.config.data[field]}"
                )
        for field in ("refinement", "quality", "trunk_context"):
            if first.config.model[field] != other.config.model[field]:
                raise UserError(
                    f"the streams' checkpoints differ in config.model.{field}; fuse networks "
                    "that predict the same"
                )
        if first.class_names != other.class_names:
            raise UserError("the streams' checkpoints were trained on different classes")
