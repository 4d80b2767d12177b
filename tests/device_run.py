"""Trains one small network on different numbers of devices: python -m tests.device_run JSON.

The argument holds the fields of `Request`; each result is printed as a line of JSON.
"""

import json
import sys
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from afsd_jax.models import parameters
from afsd_jax.runtime.sharding import data_mesh, place, shard_batch
from afsd_jax.training.optimizer import make_optimizer
from afsd_jax.training.state import init_state
from afsd_jax.training.step import make_train_step
from tests.small_run import small_config
from tests.training_clips import training_clip

CLIPS, LENGTH = 8, 32  # frames


class Request(NamedTuple):
    """The runs to make.

    dtype: dtype of weights and computation; float64 needs JAX_ENABLE_X64.
    ways: pairs of the number of devices and whether the state is sharded over them.
    coordinator, num_processes, process_id: with several processes, all their devices are used.
    remat: field of the configuration.
    steps: number of training steps.
    """

    dtype: str = "float32"
    ways: tuple[tuple[int, bool], ...] = ()
    coordinator: str = ""
    num_processes: int = 1
    process_id: int = 0
    remat: str = ""
    steps: int = 10


def clips(dtype: str) -> dict[str, np.ndarray]:
    """Returns a batch of clips that differ in frames, action and class."""
    batch = {
        name: np.repeat(x, CLIPS, axis=0)
        for name, x in training_clip(LENGTH, 32, [(2.0, 20.0)]).items()
    }
    rng = np.random.default_rng(1)
    batch["frames"] = rng.integers(0, 200, batch["frames"].shape, np.uint8)
    for number in range(CLIPS):
        start = 2 + 2 * number
        batch["frames"][number, start : start + 12] += 50
        batch["segments"][number] = [[start, start + 12]]
        batch["labels"][number] = 1 + number % 4
    return cast(batch, dtype)


def cast(tree: Any, dtype: str) -> Any:
    """Returns the tree with its float32 arrays in this dtype."""
    return jax.tree.map(lambda x: x.astype(dtype) if x.dtype == np.float32 else x, tree)


def configuration(request: Request) -> ml_collections.ConfigDict:
    """Returns a network that compiles fast: a short trunk and few levels, but all losses."""
    small = {"pyramid_inputs": ("Mixed_3b",), "levels": 2, "loc_multipliers": (4.0, 8.0)}
    config = small_config(**small, consistency_stride=2, batch_norm="trained")
    config.data.clip_length = LENGTH
    config.model.remat = request.remat
    config.model.dtype = request.dtype
    config.loss.consistency_weight = 0.1
    return config


def run(request: Request, devices: int, shared: bool) -> dict[str, Any]:
    """Trains; returns the loss terms of each step, and the state's bytes on the fullest device."""
    config = configuration(request)
    config.train.shard_state = shared
    mesh = data_mesh(None if request.coordinator else jax.devices()[:devices])
    network, optimizer = (
        parameters.build_network(config),
        make_optimizer(config.optimizer, request.steps),
    )
    state = place(cast(init_state(network, optimizer), request.dtype), mesh, shared)
    share = CLIPS // request.num_processes
    first = request.process_id * share
    mine = {name: x[first : first + share] for name, x in clips(request.dtype).items()}
    batch = shard_batch(mine, mesh)
    step = make_train_step(network, optimizer, config, mesh)
    history = []
    for _ in range(request.steps):
        state, terms, health = step(state, batch)
        assert health["finite"]
        history.append({name: float(value) for name, value in terms.items()})
    held = dict.fromkeys(jax.local_devices(), 0)
    for array in jax.tree.leaves(state):
        for shard in array.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return {"losses": history, "bytes": max(held.values()), "dtype": str(terms["total"].dtype)}


def main() -> None:
    request = Request(**json.loads(sys.argv[1]))
    if request.coordinator:
        processes = request.num_processes, request.process_id
        jax.distributed.initialize(request.coordinator, *processes)
    for devices, shared in request.ways:
        print(json.dumps(run(request, devices, shared)), flush=True)


if __name__ == "__main__":
    main()
