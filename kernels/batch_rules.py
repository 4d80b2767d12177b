"""Functions of whole batches into which neither `vmap` nor the compiler can look."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def over_batch(function: Callable[..., list[jax.Array]], rule: str) -> Callable:
    """Returns the function for batches that `vmap` maps or that are sharded over devices.

    The axis of `vmap` joins the batch as its fast axis, so that a sharded batch stays so. Of a
    sharded batch every device takes its own part; the compiler alone would gather all of it.

    Args:
      function: takes and returns lists of arrays [B, ...], clips being independent.
      rule: the names of all axes as in "b t c, b n f -> b n c"; the batch is b.
    """
    sharded = _by_devices(function, rule)

    @custom_vmap
    def run(first: jax.Array, *others: jax.Array) -> list[jax.Array]:
        # Inside `shard_map` and on explicit meshes an array's type says how it varies over devices.
        # Kernels leave that out of their results; joined to no rows of an input, they have it.
        nothing = first[:, :0]
        results = sharded(first, *others)
        return [jnp.concatenate([x, nothing.astype(x.dtype)], axis=1) for x in results]

    @run.def_vmap
    def fold(size: int, mapped: list[bool], *arrays: jax.Array):
        pairs = [
            jnp.moveaxis(x, 0, 1) if is_mapped else jnp.repeat(x[:, None], size, axis=1)
            for x, is_mapped in zip(arrays, mapped, strict=True)
        ]
        clips = pairs[0].shape[0]
        results = run(*(x.reshape(clips * size, *x.shape[2:]) for x in pairs))
        unfolded = [jnp.moveaxis(x.reshape(clips, size, *x.shape[1:]), 1, 0) for x in results]
        return unfolded, [True] * len(unfolded)

    return run


def _by_devices(function: Callable, rule: str) -> Callable:
    """The function, run by every device on its own part of a sharded batch."""

    def partition(mesh: Mesh, arguments: tuple[Any, ...], results: Any):
        spec = arguments[0].sharding.spec
        sharding = NamedSharding(mesh, PartitionSpec(spec[0] if spec else None))
        return (
            mesh,
            function,
            jax.tree.map(lambda _: sharding, results),
            tuple(sharding for _ in arguments),
        )

    axes = dict.fromkeys(rule.replace(",", " ").replace("->", " ").split())  # in their order
    others = tuple(axis for axis in axes if axis != "b")
    sharded = custom_partitioning(lambda *arrays: function(*arrays))  # of positions only
    sharded.def_partition(partition, sharding_rule=rule, need_replication_factors=others)
    return sharded
