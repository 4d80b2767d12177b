"""Boundary max pooling as a plan of Triton kernel calls.

The calls are made by a `launch` function, so the same plan runs through jax-triton on a GPU and in
Triton's interpreter without one. Importing this module loads Triton; `implementations` says when
that is safe.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from afsd_jax.kernels import triton_kernels as kernels
from afsd_jax.kernels.block_table import level_rows, positions_like

WARP_BYTES = 512  # read by one warp at a time, 16 bytes per lane
SEGMENTS = 8  # regions of one program in a large problem: neighbours share rows in the cache
LARGE = 1 << 16  # programs: more than any GPU holds at a time

Struct = jax.ShapeDtypeStruct


class Launch(Protocol):
    """Runs `grid` programs of a kernel on inputs (arrays, integers), outputs and constants."""

    def __call__(
        self, kernel: Any, inputs: list[Any], outputs: list[Struct], grid: int, **constants: Any
    ) -> list[Any]: ...


def forward(
    launch: Launch, features: Any, regions: Any, longest: Any, dtype: Any, track: bool
) -> list[Any]:
    """Pools features [B, T, C] of `dtype` over regions [B, N, 4]; longest [B] are their cells.

    Returns:
      The output [B, N, C] and, if `track`, the arrays of `positions_like`.
    """
    clips, length, channels = features.shape
    count = regions.shape[1]
    kept = positions_like(features, count)
    levels = len(level_rows(length)) - 1
    shape = {"CHANNELS": channels, "LEVELS": levels, "TRACK": track}
    block, blocks = _channel_blocks(channels, dtype)

    # Without a table, arrays that are never read take the places of its own.
    maxima, block_positions = features, regions
    table = []
    if levels:
        table = _tracked(
            launch,
            kernels.block_maxima,
            [features, longest, length],
            dtype,
            kept[-1],
            clips * kept[-1].shape[1] * blocks,
            BLOCK=block,
            **shape,
        )
        maxima, block_positions = table[0], table[-1]
    programs = clips * count * blocks
    segments = SEGMENTS if programs >= LARGE else 1
    pooled = _tracked(
        launch,
        kernels.pool_regions,
        [features, regions, maxima, block_positions, length, count],
        dtype,
        kept[0],
        clips * -(-count // segments) * blocks,
        BLOCK=block,
        SEGMENTS=segments,
        **shape,
    )
    return pooled + table[1:]


def backward(
    launch: Launch,
    gradient: Any,
    regions: Any,
    longest: Any,
    positions: Sequence[Any],
    length: int,
    dtype: Any,
) -> Any:
    """Adds the gradient [B, N, C] of every output to the first maximum of its region.

    From the coarsest level down, each passes on what came to it; sums are taken in float32 and in
    a fixed order, so that they are the same in every run.

    Args:
      positions: as `forward` returned them.

    Returns:
      [B, T, C] of `dtype`.
    """
    clips, count, channels = gradient.shape
    rows = level_rows(length)
    block, blocks = _channel_blocks(channels, dtype)
    result = gradient  # a placeholder: the coarsest level reads none above it
    for level in reversed(range(len(rows))):
        tiles = -(-rows[level] // kernels.TILE.value)
        (result,) = launch(
            kernels.sum_gradients,
            [
                gradient,
                positions[0],
                regions,
                longest,
                result,
                positions[-1],
                length,
                count,
            ],
            [Struct((clips, rows[level], channels), jnp.float32 if level else dtype)],
            clips * tiles * blocks,
            CHANNELS=channels,
            BLOCK=block,
            LEVELS=len(rows) - 1,
            LEVEL=level,
        )
    return result


def _tracked(
    launch: Launch,
    kernel: Any,
    inputs: list[Any],
    dtype: Any,
    positions: Struct,
    grid: int,
    TRACK: bool,
    **constants: Any,
) -> list[Any]:
    """Launches a kernel of which the first output is of `dtype`, the second its `positions`."""
    values = Struct(positions.shape, dtype)
    if TRACK:
        return launch(kernel, inputs, [values, positions], grid, TRACK=True, **constants)
    return launch(kernel, inputs, [values], grid, TRACK=False, positions=None, **constants)


def _channel_blocks(channels: int, dtype: Any) -> tuple[int, int]:
    """Returns the channels of one program and the number of such blocks in both halves."""
    half = channels - channels // 2
    width = min(WARP_BYTES // jnp.dtype(dtype).itemsize, 1 << (half - 1).bit_length())
    return width, 2 * -(-half // width)
