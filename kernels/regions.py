"""Converting segments to the integer regions that are pooled."""

import jax
import jax.numpy as jnp


def to_regions(segments: jax.Array, length: int) -> jax.Array:
    """Returns the first and last cell of the start region and of the end region.

    Each bound is truncated towards zero and clamped to [0, length - 1]. A region whose right bound
    is left of its left bound becomes the single cell at its left bound. NaN counts as 0.

    Args:
      segments: [..., 4] floating point or integers: left and right bound of the start region, then
        of the end region, in cells of the features, both inclusive.
      length: number of cells, at least 1.

    Returns:
      [..., 4] int32 with 0 <= first <= last < length in both pairs.
    """
    if jnp.issubdtype(segments.dtype, jnp.floating):
        # float32, since bfloat16 cannot represent every length; NaN is removed, since casting it to
        # an integer is undefined.
        segments = segments.astype(jnp.promote_types(segments.dtype, jnp.float32))
        segments = jnp.where(jnp.isnan(segments), 0, jnp.trunc(segments))
    else:
        segments = segments.astype(jnp.int32)
    bounds = jnp.clip(segments, 0, length - 1).astype(jnp.int32)
    first = bounds[..., 0::2]
    last = jnp.maximum(bounds[..., 1::2], first)
    return jnp.stack([first, last], axis=-1).reshape(segments.shape)


def longest_regions(regions: jax.Array) -> jax.Array:
    """Returns the length of every clip's longest region in cells, int32 [B], for [B, N, 4]."""
    cells = regions[..., 1::2] - regions[..., 0::2] + 1
    return jnp.max(cells, axis=(1, 2), initial=0)
