"""The public operation: checks its arguments and runs one of the two implementations."""

import jax
import jax.numpy as jnp

from afsd_jax.kernels.implementations import choose_implementation
from afsd_jax.kernels.regions import to_regions
from afsd_jax.runtime.devices import cuda_is_installed


def boundary_max_pooling(
    features: jax.Array, segments: jax.Array, implementation: str | None = None
) -> jax.Array:
    """Pools features around the start and the end of every segment (AFSD §3.3).

    The first C // 2 channels of the result are the maximum over the cells of the start region, the
    others the maximum over the cells of the end region. Bounds are inclusive, truncated towards
    zero and clamped to the features. If the right bound is left of the left bound, the region is
    the cell at the left bound. NaN counts as larger than every number.

    The gradient of an output goes to the first maximal cell of its region; segments have no
    gradient.

    >>> import jax.numpy as jnp
    >>> from afsd_jax.kernels import boundary_max_pooling
    >>> features = jnp.array([[[1.0, 5.0], [4.0, 2.0], [3.0, 7.0], [0.0, 6.0]]])  # 4 cells
    >>> segments = jnp.array([[[0, 1, 2, 3]]])  # start region: cells 0 to 1, end region: 2 to 3
    >>> print(boundary_max_pooling(features, segments, implementation="xla"))
    [[[4. 7.]]]

    Args:
      features: [B, T, C] float32, bfloat16, float16 or (by XLA) float64, T >= 1.
      segments: [B, N, 4] floating point or integers: left and right bound of the start region, then
        of the end region, in cells of the features.
      implementation: "triton" (CUDA GPUs), "xla" (everywhere), or None: Triton on CUDA GPUs if it
        is installed and safe to load, else XLA. None is resolved for JAX's default backend while
        the call is traced.

    Returns:
      [B, N, C], with the dtype of the features.

    Raises:
      ValueError: shapes do not fit, or the implementation is unknown.
      TypeError: the features have another dtype than those above.
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
