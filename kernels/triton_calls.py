"""Boundary max pooling as a sequence of Triton kernel calls.

A `launch` function makes the calls, so the same code runs through jax-triton on a GPU and in
Triton's interpreter without one. Importing this module loads Triton; `implementations` says when
that is safe.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from afsd_jax.kernels import triton_kernels as kernels
from afsd_jax.kernels.block_table import level_rows, positions_like

WARP_BYTES = 512  # that one warp reads at a time, 16 bytes per lane
SEGMENTS = 8  # regions per program in a large problem: neighbouring regions share cached rows
LARGE = 1 << 16  # programs: more than any GPU runs at a time

Struct = jax.ShapeDtypeStruct


class Launch(Protocol):
    """Runs `grid` programs of a kernel on inputs (arrays, integers), outputs and constants."""

    def __call__(
        self, kernel: Any, inputs: list[Any], outputs: list[Struct], grid: int, **constants: Any
    ) -> list[Any]: ...


def forward(
    launch: Launch, features: Any, regions: Any, longest: Any, dtype: Any, track: bool
) -> list[Any]:
    """Pools features [B, T, C] of `dtype` over regions [B, N, 4]; see `longest_regions`.

    Returns:
      The output [B, N, C] and, if `track`, the positions; see `positions_like`.
    """
    clips, length, channels = features.shape
    count = regions.shape[1]
    positions = positions_like(features, count)
    levels = len(level_rows(length)) - 1
    shape = {"CHANNELS": channels, "LEVELS": levels, "TRACK": track}
    block, blocks = _channel_blocks(channels, dtype)

    # Without a table, arrays that are never read stand in for its two arguments.
    maxima, block_positions = features, regions
    table = []
    if levels:
        table = _tracked(
            launch,
            kernels.block_maxima,
            [features, longest, length],
            dtype,
            positions[-1],
            clips * positions[-1].shape[1] * blocks,
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
        positions[0],
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

    Starting at the coarsest level, each level passes its gradient on to the level below. Sums are
    in float32 and in a fixed order, so they are the same in every run.

    Args:
      launch: runs a kernel.
      gradient: [B, N, C], gradient of the output.
      regions: [B, N, 4] int32; see `to_regions`.
      longest: [B] int32; see `longest_regions`.
      positions: the positions that `forward` returned.
      length: T, number of cells.
      dtype: dtype of the result.

    Returns:
      [B, T, C], gradient of the features.
    """
    clips, count, channels = gradient.shape
    rows = level_rows(length)
    block, blocks = _channel_blocks(channels, dtype)
    result = gradient  # a placeholder: the coarsest level has no level above to read
    for level in reversed(range(len(rows))):
        tiles = -(-rows[level] // kernels.TILE.value)
        (result,) = launch(
            kernels.sum_gradients,
            [gradient, positions[0], regions, longest, result, positions[-1], length, count],
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
    """Launches a kernel whose outputs are values of `dtype` and, with TRACK, their positions."""
    values = Struct(positions.shape, dtype)
    if TRACK:
        return launch(kernel, inputs, [values, positions], grid, TRACK=True, **constants)
    return launch(kernel, inputs, [values], grid, TRACK=False, positions=None, **constants)


def _channel_blocks(channels: int, dtype: Any) -> tuple[int, int]:
    """Returns the number of channels of one program, and of such blocks in both halves."""
    half = channels - channels // 2
    width = min(WARP_BYTES // jnp.dtype(dtype).itemsize, 1 << (half - 1).bit_length())
    return width, 2 * -(-half // width)
