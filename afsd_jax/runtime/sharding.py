"""Placement of arrays: batches are split over the devices, all else is replicated.

To save memory, the training state can be split over the devices as well (ZeRO: Rajbhandari et al.,
SC 2020); its arrays are then gathered where they are used.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh of devices, by default all devices of all hosts, along one axis, `data`."""
    # Only inputs and outputs have explicit shardings; the compiler finds those in between.
    count = jax.device_count() if devices is None else len(devices)
    return jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds completely."""
    return NamedSharding(mesh, PartitionSpec())


def data_sharded(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch, which is split along its first axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def fully_sharded(tree: Any, mesh: Mesh) -> Any:
    """Returns shardings that split every array of a tree over the devices.

    An array is split along its last axis that is a multiple of the number of devices; an array
    without such an axis is replicated.
    """
    return jax.tree.map(lambda x: _split(x.shape, mesh), tree)


def _split(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    axes = [axis for axis, size in enumerate(shape) if size and size % mesh.size == 0]
    if not axes:
        return replicated(mesh)
    # A kernel's gradient is summed as a matrix [taps * inputs, outputs]. XLA sums no more than each
    # device's part only if that is a part of the outputs, the last axis.
    return NamedSharding(mesh, PartitionSpec(*[None] * max(axes), "data"))


def place(tree: Any, mesh: Mesh, sharded: bool = False) -> Any:
    """Puts the arrays of a tree on the devices: replicated, or fully sharded."""
    return jax.device_put(tree, fully_sharded(tree, mesh) if sharded else replicated(mesh))


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Splits this host's part of a batch over its devices, along the first axis."""
    sharding = data_sharded(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in batch.items()
    }
