"""Boundary max pooling in plain JAX, for every backend.

A sparse table holds the maxima over every range of 1, 2, 4, ... cells. A region of any length is
the union of two such ranges, so its maximum needs two rows of the table. The cost is
O(T log T + N) rows and does not depend on the lengths of the regions.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

CPU_CACHE = 8 << 20  # bytes that fit a CPU's cache


@jax.custom_vjp
def max_over_regions(features: jax.Array, regions: jax.Array) -> jax.Array:
    """Pools features [B, T, C] over regions [B, N, 4]: [B, N, C], differentiable."""
    return forward(features, regions, _cache())


def _forward_rule(features: jax.Array, regions: jax.Array):
    return forward(features, regions, _cache()), (features, regions)


def _backward_rule(saved: tuple[jax.Array, jax.Array], gradient: jax.Array):
    return backward(*saved, gradient, _cache()), None


max_over_regions.defvjp(_forward_rule, _backward_rule)


def _cache() -> int | None:
    return CPU_CACHE if jax.default_backend() == "cpu" else None


def forward(features: jax.Array, regions: jax.Array, cache: int | None = None) -> jax.Array:
    """Pools the first half of the channels over the start regions, the rest over the end regions.

    Args:
      features: [B, T, C] floating point.
      regions: [B, N, 4] int32; see `to_regions`.
      cache: bytes of the cache, or None. If given, channels are processed in blocks whose table
        fits it, one block after the other. This is for CPUs, with little cache and slow memory.

    Returns:
      [B, N, C] with the dtype of the features: bit for bit the values at the first maxima.
    """
    return _by_halves(_maxima, regions, _channel_blocks(features, cache), features)


def backward(
    features: jax.Array, regions: jax.Array, gradient: jax.Array, cache: int | None = None
) -> jax.Array:
    """Adds the gradient [B, N, C] of every output to the first maximum of its region.

    The table is computed again, not stored, because it is log T times as large as the features.
    Sums are in float32 at least, whatever the dtype.

    Returns:
      [B, T, C] with the dtype of the features.
    """
    dtype = features.dtype
    # A cast preserves order and ties, so the same cells win.
    wide = jnp.promote_types(dtype, jnp.float32)
    features, gradient = features.astype(wide), gradient.astype(wide)
    blocks = _channel_blocks(features, cache)
    return _by_halves(_gradient, regions, blocks, features, gradient).astype(dtype)


def _channel_blocks(features: jax.Array, cache: int | None) -> int:
    """Returns the number of equal blocks in which to process one half of the channels.

    In an exported program the number of clips, and so the size of the table, is not known.
    """
    clips, length, channels = features.shape
    if cache is None or channels % 2 or not isinstance(clips, int):
        return 1
    half = channels // 2
    channel_bytes = clips * length * length.bit_length() * features.dtype.itemsize
    fits = [n for n in range(1, half + 1) if half % n == 0 and half // n * channel_bytes <= cache]
    # Smaller blocks than a cache line, 16 channels, would not be faster.
    return min([n for n in fits if half // n >= 16] or [max(half // 16, 1)])


def _by_halves(
    function: Callable, regions: jax.Array, blocks: int, *arrays: jax.Array
) -> jax.Array:
    """Applies a function of regions [B, N, 2] and arrays [..., C] to each half of the channels."""
    half = arrays[0].shape[-1] // 2
    start, end = partial(function, regions[..., :2]), partial(function, regions[..., 2:])
    results = [
        _by_blocks(start, blocks, *(array[..., :half] for array in arrays)),
        _by_blocks(end, blocks, *(array[..., half:] for array in arrays)),
    ]
    return jnp.concatenate(results, axis=-1)


def _by_blocks(function: Callable, blocks: int, *arrays: jax.Array) -> jax.Array:
    """Applies a function of arrays [..., C] to one block of channels after the other."""
    if blocks == 1:
        return function(*arrays)
    parts = [jnp.moveaxis(array.reshape(*array.shape[:-1], blocks, -1), -2, 0) for array in arrays]
    results = jnp.moveaxis(jax.lax.map(lambda part: function(*part), parts), 0, -2)
    return results.reshape(*results.shape[:-2], -1)


# As functions with their own jit, both are traced once for all calls of a shape.
@jax.jit
def _maxima(regions: jax.Array, cells: jax.Array) -> jax.Array:
    """Returns the maxima [B, N, C] of cells [B, T, C] over regions [B, N, 2]."""
    return jax.vmap(_region_max)(cells, regions)


@jax.jit
def _gradient(regions: jax.Array, cells: jax.Array, gradient: jax.Array) -> jax.Array:
    """Returns the gradient of the cells [B, T, C], given that of their maxima [B, N, C]."""
    return jax.vjp(partial(_maxima, regions), cells)[1](gradient)[0]


def _region_max(cells: jax.Array, regions: jax.Array) -> jax.Array:
    """Returns the maxima [N, C] of cells [T, C] over regions [N, 2]."""
    length = cells.shape[0]
    first, last = regions[:, 0], regions[:, 1]
    level = 31 - jax.lax.clz(last - first + 1)  # level of the largest range that fits the region
    left = level * length + first
    right = level * length + last + 1 - (1 << level)
    table = _running_maxima(cells)
    return _maximum(table[left], table[right])


def _running_maxima(cells: jax.Array) -> jax.Array:
    """Returns maxima [levels * T, C]: row k * T + t is over 2^k cells from t (fewer at the end)."""
    length = cells.shape[0]
    levels = [cells]
    for k in range(length.bit_length() - 1):
        later = jnp.pad(levels[-1][1 << k :], ((0, 1 << k), (0, 0)), mode="edge")
        levels.append(_maximum(levels[-1], later))
    return jnp.concatenate(levels)


def _maximum(earlier: jax.Array, later: jax.Array) -> jax.Array:
    """Returns the larger one, or the earlier one of equals; NaN is larger than every number."""
    later_wins = (later > earlier) | (jnp.isnan(later) & ~jnp.isnan(earlier))
    return jnp.where(later_wins, later, earlier)
