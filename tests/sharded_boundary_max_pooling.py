"""Checks on 8 virtual devices that a sharded batch is pooled where it is; a program of its own."""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afsd_jax.kernels import boundary_max_pooling, xla
from afsd_jax.kernels.batch_sharding import over_batch
from afsd_jax.kernels.regions import to_regions


def pool(features, segments, gradient):
    output, pull_back = jax.vjp(lambda x: boundary_max_pooling(x, segments), features)
    return output, pull_back(gradient)[0]


def pool_by_parts(features, segments, gradient):
    """As the Triton implementation does it: the compiler cannot look into what is partitioned."""
    regions = to_regions(segments, features.shape[1])
    forward = over_batch(xla.forward, "b t c, b n f -> b n c", None)
    backward = over_batch(xla.backward, "b t c, b n f, b n c -> b t c", None)
    return forward(features, regions), backward(features, regions, gradient)


def main(case: str) -> None:
    axis_type = AxisType.Explicit if case == "explicit" else AxisType.Auto
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(axis_type,))
    function = pool_by_parts if case == "custom partitioning" else pool
    if case == "shard_map":
        function = jax.shard_map(pool, mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))

    random = np.random.default_rng(0)
    arguments = (
        random.standard_normal((16, 20, 6)).astype(np.float32),
        random.uniform(-2, 22, (16, 9, 4)).astype(np.float32),
        random.standard_normal((16, 9, 6)).astype(np.float32),
    )
    sharded = jax.device_put(arguments, NamedSharding(mesh, P("batch")))
    compiled = jax.jit(function).lower(*sharded).compile()
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text(), collective
    for result, expected in zip(compiled(*sharded), pool(*arguments), strict=True):
        assert result.sharding.shard_shape(result.shape)[0] == 2, result.sharding
        np.testing.assert_array_equal(result, expected)


if __name__ == "__main__":
    main(sys.argv[1])
