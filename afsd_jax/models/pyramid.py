"""The temporal feature pyramid and the frame-level feature. Source: AFSD §3.2 and §3.4."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.models import layers


def level_lengths(clip_length: int, first_stride: int, levels: int) -> tuple[int, ...]:
    """Returns the number of cells in each level for clips of `clip_length` frames."""
    lengths = [-(-clip_length // first_stride)]
    while len(lengths) < levels:
        lengths.append(-(-lengths[-1] // 2))
    return tuple(lengths)


def priors(lengths: Sequence[int]) -> np.ndarray:
    """Returns the priors of all levels, float32 [K]: cell centres as fractions of the clip."""
    cells = [(np.arange(length) + 0.5) / length for length in lengths]
    return np.concatenate(cells).astype(np.float32)


class Pyramid(nnx.Module):
    """Temporal features of a clip in increasingly coarse levels.

    The first levels come from trunk endpoints: a convolution collapses space, then the next coarser
    level is upsampled and added. Each further level has half the cells of the one before.
    """

    def __init__(
        self,
        inputs: Sequence[tuple[int, int]],
        levels: int,
        channels: int,
        groups: int,
        dtype: DTypeLike,
        rng: layers.Rng,
    ):
        """`inputs` holds (height = width, channels) of each trunk endpoint that is read."""
        units = [
            layers.NormReLU(
                layers.SpatialConv(size, in_channels, channels, dtype, rng), channels, groups
            )
            for size, in_channels in inputs
        ]
        units += [
            layers.conv_norm_relu(channels, channels, 3, 2, groups, dtype, rng)
            for _ in range(levels - len(inputs))
        ]
        self.levels = nnx.List(units)

    def __call__(self, endpoints: Sequence[jax.Array]) -> list[jax.Array]:
        """Returns the levels [B,t,channels] for trunk endpoints [B,t,H,W,C], finest first."""
        features = [unit(x) for unit, x in zip(self.levels, endpoints, strict=False)]
        for coarse in reversed(range(1, len(features))):
            fine = features[coarse - 1]
            features[coarse - 1] = fine + layers.upsample(features[coarse], fine.shape[1])
        for unit in list(self.levels)[len(features) :]:
            features.append(unit(features[-1]))
        return features


class FrameLevel(nnx.Module):
    """The frame-level feature: [B,t,C] → [B,T,C], start-sensitive then end-sensitive half."""

    def __init__(
        self, channels: int, groups: int, clip_length: int, dtype: DTypeLike, rng: layers.Rng
    ):
        self.units = nnx.List(
            [
                layers.conv_norm_relu(channels, channels, kernel_size, 1, groups, dtype, rng)
                for kernel_size in (3, 3, 1)
            ]
        )
        self.clip_length = clip_length

    def __call__(self, level: jax.Array) -> jax.Array:
        return layers.apply_all(self.units, layers.upsample(level, self.clip_length))
