"""Boundary max pooling by Triton kernels in JAX programs. Importing this module loads Triton."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import jax_triton

from afsd_jax.kernels import triton_calls
from afsd_jax.kernels.levels import positions_like
from afsd_jax.kernels.regions import longest_regions

# jax-triton 0.4 renamed it.
OUTPUTS = "out_type"
if OUTPUTS not in inspect.signature(jax_triton.triton_call).parameters:
    OUTPUTS = "out_shape"


def forward(features: jax.Array, regions: jax.Array, *, track: bool) -> list[jax.Array]:
    """Pools features [B, T, C] over regions [B, N, 4].

    Returns:
      The output [B, N, C] and, if `track`, the arrays of `positions_like`.
    """
    longest = longest_regions(regions)
    pooled = triton_calls.forward(launch, features, regions, longest, features.dtype, track)
    if track and len(pooled) == 2:  # there is no table
        table = positions_like(features, regions.shape[1])[1]
        pooled.append(jnp.zeros(table.shape, table.dtype))
    return pooled


def backward(
    regions: jax.Array,
    positions: jax.Array,
    block_positions: jax.Array,
    gradient: jax.Array,
    *,
    length: int,
    dtype: jnp.dtype,
) -> list[jax.Array]:
    """Returns the gradient of the features, [B, length, C] of `dtype`."""
    longest = longest_regions(regions)
    return [
        triton_calls.backward(
            launch, gradient, regions, longest, positions, block_positions, length, dtype
        )
    ]


def launch(
    kernel: Any,
    inputs: list[Any],
    outputs: list[jax.ShapeDtypeStruct],
    grid: int,
    **constants: Any,
) -> list[jax.Array]:
    """Calls a kernel through jax-triton; see `triton_calls.Launch`."""
    if grid == 0:  # CUDA refuses a launch of nothing
        return [jnp.zeros(form.shape, form.dtype) for form in outputs]
    return jax_triton.triton_call(
        *inputs, kernel=kernel, grid=(grid,), num_warps=1, **{OUTPUTS: outputs}, **constants
    )
