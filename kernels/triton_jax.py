"""Boundary max pooling by Triton kernels in JAX programs. Importing this module loads Triton."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import jax_triton

from afsd_jax.kernels import triton_calls
from afsd_jax.kernels.batch_sharding import over_batch
from afsd_jax.kernels.levels import positions_like
from afsd_jax.kernels.regions import longest_regions

# jax-triton 0.4 renamed it.
OUTPUTS = "out_type"
if OUTPUTS not in inspect.signature(jax_triton.triton_call).parameters:
    OUTPUTS = "out_shape"


def forward(
    features: jax.Array, regions: jax.Array, *, track: bool, devices: int | None
) -> list[jax.Array]:
    """Returns the output [B, N, C] and, if `track`, the arrays of `positions_like`."""

    def local(features: jax.Array, regions: jax.Array) -> list[jax.Array]:
        longest = longest_regions(regions)
        pooled = triton_calls.forward(launch, features, regions, longest, features.dtype, track)
        if track and len(pooled) == 2:  # there is no table
            table = positions_like(features, regions.shape[1])[1]
            pooled.append(jnp.zeros(table.shape, table.dtype))
        return pooled

    results = "b n c, b n c, b m c" if track else "b n c"
    rule = f"b t c, b n f -> {results}"
    return list(over_batch(local, rule, devices)(features, regions))


def backward(
    features: jax.Array,
    regions: jax.Array,
    positions: jax.Array,
    block_positions: jax.Array,
    gradient: jax.Array,
    *,
    devices: int | None,
) -> jax.Array:
    """Returns the gradient [B, T, C]; of the features only the shape and dtype are used."""
    length, dtype = features.shape[1], features.dtype

    def local(
        regions: jax.Array, positions: jax.Array, block_positions: jax.Array, gradient: jax.Array
    ) -> jax.Array:
        longest = longest_regions(regions)
        return triton_calls.backward(
            launch, gradient, regions, longest, positions, block_positions, length, dtype
        )

    rule = "b n f, b n c, b m c, b n c -> b t c"
    return over_batch(local, rule, devices)(regions, positions, block_positions, gradient)


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
