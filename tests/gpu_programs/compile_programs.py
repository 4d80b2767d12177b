"""Compiles a small network's programs for described GPUs: compile_programs GPU:DTYPE...

Prints a line of JSON for each pair, the facts of each program; then a line for max pools, and one
for a training step on eight GPUs.
"""

import json
import sys
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from afsd_jax.models import parameters
from afsd_jax.models.i3d import POOLS
from afsd_jax.models.max_pool import max_pool3d
from afsd_jax.runtime.sharding import replicated
from tests.gpu_programs import described_gpus as described
from tests.gpu_programs.hlo import Program
from tests.small_run import small_config
from tests.training_clips import training_clip

CLIPS, LENGTH, SIZE = 4, 32, 64
GPUS = 8


def facts(compiled: Any) -> dict[str, Any]:
    """Returns what the compiler has made of a program."""
    text = compiled.as_text()
    program = Program(text)
    calls = list(program.instructions("custom-call"))
    kernels = program.kernels()
    pooling = [x for x in calls if x.target.startswith("triton_kernel_call")]
    return {
        "targets": Counter(x.target for x in calls),
        "pooled": sum("transpose(" not in x.attributes for x in pooling),
        "pooled_backward": sum("transpose(" in x.attributes for x in pooling),
        "convolved_forward": sum(k.runs for k in kernels if "Forward" in k.instruction.target),
        "layouts": sorted({x.labels for x in calls if x.labels}),
        "own_convolutions": sum(1 for _ in program.instructions("convolution")),
        "transposed": max(
            (x.results[0].size for x in program.instructions("transpose")), default=0
        ),
        "float64": "f64[" in text,
        "donated": compiled.memory_analysis().alias_size_in_bytes,
    }


def pool_traffic(kernel: tuple[int, int, int], strides: tuple[int, int, int], place: Any) -> float:
    """Returns the bytes that a max pool and its gradient move, divided by their sizes.

    That is, by those of input and output and of both gradients.
    """

    def both(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull_back = jax.vjp(lambda x: max_pool3d(x, kernel, strides), x)
        return y, pull_back(cotangent)[0]

    x = jax.ShapeDtypeStruct((4, 32, 24, 24, 64), jnp.bfloat16)
    y = jax.eval_shape(lambda x: max_pool3d(x, kernel, strides), x)
    compiled = jax.jit(both).lower(*described.placed((x, y), place)).compile()
    moved = sum(k.runs * k.nbytes for k in Program(compiled.as_text()).kernels())
    return moved / (2 * 2 * (x.size + y.size))


def configured(dtype: str) -> Any:
    """Returns the configuration of the small network."""
    model = {"pyramid_inputs": ("Mixed_3b",), "levels": 2, "loc_multipliers": (4.0, 8.0)}
    config = small_config(dtype=dtype, channels=32, consistency_stride=2, **model)
    config.data.clip_length, config.data.crop_size = LENGTH, SIZE
    config.loss.consistency_weight = 0.1
    return config


def clips(count: int) -> dict[str, np.ndarray]:
    """Returns a batch of equal clips."""
    clip = training_clip(LENGTH, SIZE, [(2.0, 20.0)])
    return {name: np.repeat(value, count, 0) for name, value in clip.items()}


def pair_facts(gpu: str, dtype: str) -> dict[str, Any]:
    """Returns the facts of all programs for one GPU."""
    mesh, config, batch = described.describe(gpu), configured(dtype), clips(CLIPS)
    forward = described.compile_forward(config, batch["frames"], mesh)
    gradients, update, state_bytes = described.compile_step(config, batch, mesh)
    programs = {"forward": forward, "gradients": gradients, "update": update}
    found = {name: facts(compiled) for name, compiled in programs.items()}
    largest = max(x.size for x in described.weight_shapes(config))
    return {**found, "state_bytes": state_bytes, "largest_weight": largest}


def exchanges(shard_state: bool) -> dict[str, Any]:
    """Returns what eight GPUs exchange in a step, with the sizes of what is trained."""
    config = configured("float32")
    config.train.shard_state = shard_state
    mesh = described.describe("H100", GPUS)
    *programs, state_bytes = described.compile_step(config, clips(GPUS), mesh)
    moved = Counter()
    for compiled in programs:
        for exchange in Program(compiled.as_text()).collectives():
            moved[exchange.kind] += exchange.runs * exchange.nbytes
    pooling = facts(programs[0])["pooled"]
    learned = sum(4 * x.size for x in parameters.learned_shapes(config).values())
    return {"moved": moved, "learned": learned, "pooled": pooling, "state_bytes": state_bytes}


def main() -> None:
    for pair in sys.argv[1:]:
        print(json.dumps({"pair": pair, **pair_facts(*pair.split(":"))}), flush=True)
    place = replicated(described.describe("H100"))
    pools = sorted({((3, 3, 3), (1, 1, 1)), *POOLS.values()})
    print(json.dumps({"pair": "max pools", "traffic": [pool_traffic(*x, place) for x in pools]}))
    shared = {name: exchanges(name == "shared") for name in ("replicated", "shared")}
    print(json.dumps({"pair": "eight GPUs", **shared}))


if __name__ == "__main__":
    main()
