"""Batching and sharding rules for functions that JAX and XLA cannot transform, such as kernels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def over_batch(function: Callable[..., list[jax.Array]], rule: str) -> Callable:
    """Returns the function with rules for `vmap` and for batches sharded over devices.

    `vmap` adds its axis to the batch as the fastest axis, so a sharded batch stays sharded. Every
    device computes its own part of a sharded batch; without a rule XLA would gather all of it.

    Args:
      function: takes and returns lists of arrays [B, ...]; clips are independent of each other.
      rule: names of all axes, as in "b t c, b n f -> b n c"; b is the batch.
    """
    sharded = _shard_by_batch(function, rule)

    @custom_vmap
    def run(first: jax.Array, *others: jax.Array) -> list[jax.Array]:
        # Inside `shard_map` and on explicit meshes, the type of an array says how it varies over
        # devices. Kernel results lose this; joining zero rows of an input restores it.
        no_rows = first[:, :0]
        results = sharded(first, *others)
        return [jnp.concatenate([x, no_rows.astype(x.dtype)], axis=1) for x in results]

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


def _shard_by_batch(function: Callable, rule: str) -> Callable:
    """Returns the function such that every device runs it on its own part of a sharded batch."""

    def partition(mesh: Mesh, arguments: tuple[Any, ...], results: Any):
        spec = arguments[0].sharding.spec
        sharding = NamedSharding(mesh, PartitionSpec(spec[0] if spec else None))
        shardings = jax.tree.map(lambda _: sharding, results)
        return mesh, function, shardings, (sharding,) * len(arguments)

    axes = dict.fromkeys(rule.replace(",", " ").replace("->", " ").split())  # ordered, unique
    others = tuple(axis for axis in axes if axis != "b")
    sharded = custom_partitioning(lambda *arrays: function(*arrays))  # positional arguments only
    sharded.def_partition(partition, sharding_rule=rule, need_replication_factors=others)
    return sharded
