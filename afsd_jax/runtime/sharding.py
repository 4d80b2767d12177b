"""Which device holds what: batches are spread over all devices, everything else is on each.

Or, to save memory, the state of training lies in shares on the devices (ZeRO: Rajbhandari et al.,
SC 2020), and is gathered where it is used.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh of devices, by default every one of every host, along one axis, `data`."""
    # The compiler finds how values inside a program are spread; only inputs and outputs say so.
    count = jax.device_count() if devices is None else len(devices)
    return jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def whole(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch, along its first axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def shares(tree: Any, mesh: Mesh) -> Any:
    """Returns the shardings by which each device holds a share of every array of a tree.

    An array is cut along its largest axis that the number of devices divides; one without such an
    axis is whole on every device.
    """
    return jax.tree.map(lambda x: _share(x.shape, mesh), tree)


def _share(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    axes = [axis for axis, size in enumerate(shape) if size and size % mesh.size == 0]
    if not axes:
        return whole(mesh)
    longest = max(axes, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, "data"))


def place(tree: Any, mesh: Mesh, in_shares: bool = False) -> Any:
    """Puts the arrays of a tree on every device: whole, or a share of each."""
    return jax.device_put(tree, shares(tree, mesh) if in_shares else whole(mesh))


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Spreads this host's part of a batch over its devices, along the first axis."""
    sharding = spread(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in batch.items()
    }
