"""Compiles a small network's programs for described GPUs: compile_programs GPU:DTYPE...

Prints a line of JSON for each pair, the facts of each program; then a line for max pools.
"""

import json
import sys
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from afsd_jax.models.i3d import POOLS
from afsd_jax.models.max_pool import max_pool3d
from tests.gpu_programs import described_gpus as described
from tests.gpu_programs.hlo import Program
from tests.small_run import small_config
from tests.training_clips import training_clip

CLIPS, LENGTH, SIZE = 4, 32, 64


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


def main() -> None:
    for pair in sys.argv[1:]:
        gpu, dtype = pair.split(":")
        sharding = described.describe(gpu)
        model = {"pyramid_inputs": ("Mixed_3b",), "levels": 2, "loc_multipliers": (4.0, 8.0)}
        config = small_config(dtype=dtype, channels=32, consistency_stride=2, **model)
        config.data.clip_length, config.data.crop_size = LENGTH, SIZE
        config.loss.consistency_weight = 0.1
        clip = training_clip(LENGTH, SIZE, [(2.0, 20.0)])
        batch = {name: np.repeat(value, CLIPS, 0) for name, value in clip.items()}
        forward = described.compile_forward(config, batch["frames"], sharding)
        gradients, update, state_bytes = described.compile_step(config, batch, sharding)
        programs = {"forward": forward, "gradients": gradients, "update": update}
        found = {name: facts(compiled) for name, compiled in programs.items()}
        largest = max(x.size for x in described.weight_shapes(config))
        sizes = {"state_bytes": state_bytes, "largest_weight": largest}
        print(json.dumps({"pair": pair, **found, **sizes}), flush=True)
    pools = sorted({((3, 3, 3), (1, 1, 1)), *POOLS.values()})
    traffic = [pool_traffic(*pool, sharding) for pool in pools]
    print(json.dumps({"pair": "max pools", "traffic": traffic}))


if __name__ == "__main__":
    main()
