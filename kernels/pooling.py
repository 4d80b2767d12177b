"""The public operation: checks its arguments and runs one of its two implementations."""

import jax
import jax.numpy as jnp

from afsd_jax.kernels.implementations import choose_implementation
from afsd_jax.kernels.regions import to_regions
from afsd_jax.runtime.devices import cuda_is_installed


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
      features: [B, T, C] float32, bfloat16, float16 or (by XLA) float64, T >= 1.
      segments: [B, N, 4] floating point or integers: left and right bound of the start region, then
        of the end region, in cells of the features.
      implementation: "triton" (CUDA GPUs), "xla" (everywhere), or None: Triton on CUDA GPUs where
        it is installed and safe to load, XLA elsewhere. None is decided while the call is traced,
        for JAX's default backend.

    Returns:
      [B, N, C] of the dtype of the features.

    Raises:
      ValueError: shapes do not fit, or the implementation is unknown.
      TypeError: the features are not of one of the dtypes above.
      RuntimeError: "triton" cannot be used here; the text says why and what to do.
    """
    features, segments = jnp.asarray(features), jnp.asarray(segments)
    _check(features, segments)
    on_cuda = jax.default_backend() == "gpu" and cuda_is_installed()
    if features.dtype == jnp.float64 and implementation is None:
        implementation = "xla"
    if choose_implementation(implementation, on_cuda) == "triton":
        from afsd_jax.kernels.triton_jax import max_over_regions
    else:
        from afsd_jax.kernels.xla import max_over_regions
    return jax.jit(max_over_regions)(features, to_regions(segments, features.shape[1]))


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
    if features.dtype not in (jnp.float32, jnp.bfloat16, jnp.float16, jnp.float64):
        raise TypeError(
            f"features must be float32, bfloat16, float16 or float64, not {features.dtype}"
        )
