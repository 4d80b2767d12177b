"""The public operation: checks its arguments, chooses an implementation, has a gradient."""

from functools import partial

import jax
import jax.numpy as jnp

from afsd_jax.kernels import operation
from afsd_jax.kernels.choice import IMPLEMENTATIONS
from afsd_jax.kernels.regions import to_regions


def boundary_max_pooling(
    features: jax.Array, segments: jax.Array, implementation: str | None = None
) -> jax.Array:
    """Pools features around the start and the end of every segment (AFSD §3.3).

    The first C // 2 channels are the maximum over the cells of the start region, the others over
    those of the end region. Bounds are inclusive, truncated towards zero and clamped to the
    features; where the right bound is left of the left one, the region is the cell at the left one.
    NaN counts as larger than every number.

    The gradient of an output goes to the first maximal cell of its region; segments get none.

    Args:
      features: [B, T, C] float32, bfloat16 or float16, T >= 1.
      segments: [B, N, 4] floating point or integers: left and right bound of the start region, then
        of the end region, in cells of the features.
      implementation: "triton" (CUDA GPUs), "xla" (everywhere), or None: Triton on CUDA GPUs where
        it is installed and safe to load, XLA elsewhere.

    Returns:
      [B, N, C] of the dtype of the features.

    Raises:
      ValueError: shapes do not fit, or the implementation is unknown.
      TypeError: the features are not of one of the dtypes above.
      RuntimeError: while compiling, "triton" cannot be had; the text says why and what to do.
    """
    features, segments = jnp.asarray(features), jnp.asarray(segments)
    _check(features, segments)
    if implementation not in (None, *IMPLEMENTATIONS):
        wanted = ", ".join(map(repr, IMPLEMENTATIONS))
        raise ValueError(f"implementation must be None or one of {wanted}, not {implementation!r}")
    return _pool(features, to_regions(segments, features.shape[1]), implementation)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _pool(features: jax.Array, regions: jax.Array, implementation: str | None) -> jax.Array:
    return operation.pool(features, regions, implementation)


def _pool_forward(features: jax.Array, regions: jax.Array, implementation: str | None):
    output, *tracked = operation.pool_and_track(features, regions, implementation)
    return output, (features, regions, tracked)


def _pool_backward(implementation: str | None, saved: tuple, gradient: jax.Array):
    features, regions, tracked = saved
    return operation.pool_back(features, regions, tracked, gradient, implementation), None


_pool.defvjp(_pool_forward, _pool_backward)


def _check(features: jax.Array, segments: jax.Array) -> None:
    if features.ndim != 3 or segments.ndim != 3 or segments.shape[2] != 4:
        raise ValueError(
            "features must be [B, T, C] and segments [B, N, 4], "
            f"not {list(features.shape)} and {list(segments.shape)}"
        )
    if features.shape[0] != segments.shape[0]:
        raise ValueError(
            f"features of {features.shape[0]} clips but segments of {segments.shape[0]}"
        )
    if features.shape[1] == 0:
        raise ValueError("features must have at least one cell, T >= 1")
    if features.dtype not in (jnp.float32, jnp.bfloat16, jnp.float16):
        raise TypeError(f"features must be float32, bfloat16 or float16, not {features.dtype}")
