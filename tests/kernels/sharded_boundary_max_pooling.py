"""Checks on 8 virtual devices that a sharded batch is pooled where it is; a program of its own."""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import sys
from functools import partial
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afsd_jax import kernels
from afsd_jax.kernels import boundary_max_pooling, pooling
from afsd_jax.kernels.block_table import positions_like


def pool(features, segments, gradient):
    output, pull_back = jax.vjp(lambda x: boundary_max_pooling(x, segments), features)
    return output, pull_back(gradient)[0]


def dense_forward(features, regions, track):
    """What the GPU kernels compute, from a mask [B, N, T, C] of the cells of every region."""
    features = features + over_all_clips(features)
    cells = jnp.arange(features.shape[1])[:, None]
    ends = jnp.repeat(regions.reshape(*regions.shape[:2], 2, 2), features.shape[2] // 2, axis=2)
    inside = (cells >= ends[:, :, None, :, 0]) & (cells <= ends[:, :, None, :, 1])
    values = jnp.where(inside, features[:, None], -jnp.inf)
    output, table = positions_like(features, regions.shape[1])
    positions = jnp.argmax(values, axis=2).astype(output.dtype)
    kept = [positions, jnp.zeros(table.shape, table.dtype)] if track else []
    return [values.max(axis=2), *kept]


def dense_backward(gradient, positions, length):
    winners = jax.nn.one_hot(positions, length, axis=2, dtype=gradient.dtype)
    return [jnp.sum(winners * gradient[:, :, None], axis=1) + over_all_clips(gradient[:, :1])]


def over_all_clips(array):
    """Zeros for which a compiler that shards the batch on its own must bring all clips together."""
    return 0 * jnp.sum(array, axis=0)


# As jax-triton's calls do, it tells JAX of its results no more than their shapes and dtypes.
kernel_call = Primitive("kernel_call")
kernel_call.multiple_results = True


@kernel_call.def_abstract_eval
def kernel_results(*arrays, function):
    forms = jax.eval_shape(function, *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays))
    return [ShapedArray(form.shape, form.dtype) for form in forms]


mlir.register_lowering(
    kernel_call,
    lambda ctx, *arrays, function: mlir.lower_fun(function)(ctx, *arrays),
)


def stand_in_for_kernels():
    """Makes code for this machine use the path of GPU kernels, which XLA cannot transform."""

    def forward(launch, features, regions, longest, dtype, track):
        return kernel_call.bind(features, regions, function=partial(dense_forward, track=track))

    def backward(launch, gradient, regions, longest, positions, length, dtype):
        function = partial(dense_backward, length=length)
        return kernel_call.bind(gradient, positions[0], function=function)[0]

    jax_triton, calls = ModuleType("jax_triton"), ModuleType("afsd_jax.kernels.triton_calls")
    jax_triton.triton_call = lambda *, out_shape: None
    calls.forward, calls.backward = forward, backward
    kernels.triton_calls = calls
    sys.modules.update({module.__name__: module for module in (jax_triton, calls)})
    pooling.choose_implementation = lambda implementation, on_cuda: "triton"


def main(way: str, axis_type: str, transform: str) -> None:
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType[axis_type],))
    random = np.random.default_rng(0)
    arguments = (
        random.integers(-3, 4, (16, 40, 6)).astype(np.float32),
        random.uniform(-2, 42, (16, 9, 4)).astype(np.float32),
        random.integers(-3, 4, (16, 9, 6)).astype(np.float32),
    )
    expected = pool(*arguments)
    if way == "kernels":
        jax.clear_caches()
        stand_in_for_kernels()

    function = pool
    if transform == "shard_map":
        function = jax.shard_map(pool, mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))
    if transform == "vmap":
        function = jax.vmap(pool, in_axes=1, out_axes=1)
        arguments, expected = (
            [np.stack([x, x], axis=1) for x in arrays] for arrays in (arguments, expected)
        )
    sharded = jax.device_put(arguments, NamedSharding(mesh, P("batch")))
    if axis_type == "Explicit":
        for form in jax.eval_shape(function, *sharded):
            assert form.sharding.spec[0] == "batch", form
    compiled = jax.jit(function).lower(*sharded).compile()
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text(), collective
    for result, wanted in zip(compiled(*sharded), expected, strict=True):
        assert result.sharding.shard_shape(result.shape)[0] == 2, result.sharding
        np.testing.assert_array_equal(result, wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
