"""Functions of whole batches, run by every device on its own part of the batch."""

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def over_batch(function: Callable, rule: str, devices: int | None) -> Callable:
    """Returns the function such that a batch sharded over devices is not gathered for it.

    The compiler cannot look into a kernel, so on its own it would run it on the whole batch on
    every device.

    Args:
      function: takes and returns arrays whose first axis is the batch, clips being independent.
      rule: the names of all axes as in "b t c, b n f -> b n c"; the batch is b.
      devices: the number that the program is compiled for, None if not known. A program for one
        needs no care, and only so can it be exported.
    """
    if devices == 1:
        return function

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
