"""Boundary max pooling in plain JAX, for every backend.

A sparse table holds the running maxima of every window of 1, 2, 4, ... cells. A region of any
length is the union of two such windows, so its maximum costs two rows of the table: the cost is
O(T log T + N) rows and does not depend on the lengths of the regions.
"""

import jax
import jax.numpy as jnp


def forward(features: jax.Array, regions: jax.Array) -> jax.Array:
    """Pools the first half of the channels over the start regions, the rest over the end regions.

    Args:
      features: [B, T, C] floating point.
      regions: [B, N, 4] int32, as `to_regions` makes them.

    Returns:
      [B, N, C] of the dtype of the features: bit for bit the values at the first maxima.
    """
    half = features.shape[-1] // 2
    pool = jax.vmap(_region_max)
    start = pool(features[..., :half], regions[..., :2])
    end = pool(features[..., half:], regions[..., 2:])
    return jnp.concatenate([start, end], axis=-1)


def backward(features: jax.Array, regions: jax.Array, gradient: jax.Array) -> jax.Array:
    """Adds the gradient [B, N, C] of every output to the first maximum of its region.

    The table is built again rather than kept: it is log T times as large as the features. Sums are
    taken in float32, whatever the dtype.

    Returns:
      [B, T, C] of the dtype of the features.
    """
    # A cast keeps order and ties, so the same cells win.
    _, pullback = jax.vjp(lambda x: forward(x, regions), features.astype(jnp.float32))
    return pullback(gradient.astype(jnp.float32))[0].astype(features.dtype)


def _region_max(cells: jax.Array, regions: jax.Array) -> jax.Array:
    """Maxima [N, C] of cells [T, C] over regions [N, 2]."""
    length = cells.shape[0]
    first, last = regions[:, 0], regions[:, 1]
    level = 31 - jax.lax.clz(last - first + 1)  # of the largest window that fits the region
    left = level * length + first
    right = level * length + last + 1 - (1 << level)
    table = _running_maxima(cells)
    return _maximum(table[left], table[right])


def _running_maxima(cells: jax.Array) -> jax.Array:
    """Maxima [levels * T, C]: row k * T + t is over the 2^k cells from t on (fewer at the end)."""
    length = cells.shape[0]
    levels = [cells]
    for k in range(length.bit_length() - 1):
        ahead = jnp.pad(levels[-1][1 << k :], ((0, 1 << k), (0, 0)), mode="edge")
        levels.append(_maximum(levels[-1], ahead))
    return jnp.concatenate(levels)


def _maximum(earlier: jax.Array, later: jax.Array) -> jax.Array:
    """The larger one, the earlier one of equals; NaN is larger than every number."""
    later_wins = (later > earlier) | (jnp.isnan(later) & ~jnp.isnan(earlier))
    return jnp.where(later_wins, later, earlier)
