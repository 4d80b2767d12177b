"""Boundary max pooling with Triton kernels in JAX programs. Importing this loads Triton."""

import functools
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax_triton

from afsd_jax.kernels import triton_calls
from afsd_jax.kernels.batch_rules import over_batch
from afsd_jax.kernels.block_table import positions_like
from afsd_jax.kernels.regions import longest_regions

# jax-triton 0.4 renamed this argument.
OUTPUTS = "out_type"
if OUTPUTS not in inspect.signature(jax_triton.triton_call).parameters:
    OUTPUTS = "out_shape"


@jax.custom_vjp
def max_over_regions(features: jax.Array, regions: jax.Array) -> jax.Array:
    """Pools features [B, T, C] over regions [B, N, 4]: [B, N, C], differentiable."""
    return over_batch(partial(forward, track=False), "b t c, b n f -> b n c")(features, regions)[0]


def _forward_rule(features: jax.Array, regions: jax.Array):
    positions = ["b n c", "b m c"][: len(positions_like(features, regions.shape[1]))]
    rule = f"b t c, b n f -> {', '.join(['b n c', *positions])}"
    output, *tracked = over_batch(partial(forward, track=True), rule)(features, regions)
    return output, (features, regions, tracked)


def _backward_rule(saved: tuple[jax.Array, jax.Array, list[jax.Array]], gradient: jax.Array):
    features, regions, tracked = saved  # only the length of the features is used
    positions = ["b n c", "b m c"][: len(tracked)]
    rule = f"b n c, b n f, {', '.join(positions)} -> b t c"
    back = over_batch(partial(backward, length=features.shape[1]), rule)
    return back(gradient, regions, *tracked)[0], None


max_over_regions.defvjp(_forward_rule, _backward_rule)


def forward(features: jax.Array, regions: jax.Array, track: bool) -> list[jax.Array]:
    """Returns the output and, if `track`, the positions; see `positions_like`."""
    longest = longest_regions(regions)
    return triton_calls.forward(launch, features, regions, longest, features.dtype, track)


def backward(
    gradient: jax.Array, regions: jax.Array, *positions: jax.Array, length: int
) -> list[jax.Array]:
    """Returns a list with the gradient of the features, [B, length, C]."""
    longest = longest_regions(regions)
    dtype = gradient.dtype
    return [triton_calls.backward(launch, gradient, regions, longest, positions, length, dtype)]


def launch(
    kernel: Any, inputs: list[Any], outputs: list[jax.ShapeDtypeStruct], grid: int, **constants: Any
) -> list[jax.Array]:
    """Calls a kernel through jax-triton; see `triton_calls.Launch`."""
    if grid == 0:  # CUDA refuses an empty launch
        return [jnp.zeros(form.shape, form.dtype) for form in outputs]
    return jax_triton.triton_call(
        *inputs, kernel=kernel, grid=(grid,), num_warps=1, **{OUTPUTS: outputs}, **constants
    )


@functools.cache
def run_obstacle() -> str | None:
    """Returns why the kernels do not run on this process's GPU, or None if they do.

    All kernels run once, on a few cells: only then is Triton's PTX compiled for the GPU. This takes
    seconds, or less if Triton and JAX find the program in their caches.
    """
    with ThreadPoolExecutor(1) as pool:  # the caller may be tracing, perhaps for several devices
        try:
            pool.submit(_run_all).result()
        except Exception as error:  # jax-triton, Triton and XLA raise many types
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return f"its kernels do not run here ({lines[0][:200]})"
    return None


def _run_all() -> None:
    features = jnp.zeros((1, 64, 2))  # enough cells for a block table
    regions = jnp.array([[[0, 63, 0, 63]]])

    def gradient(features: jax.Array) -> jax.Array:
        return jax.grad(lambda x: max_over_regions(x, regions).sum())(features)

    jax.block_until_ready(jax.jit(gradient)(features))
