"""Compiles a StableHLO network for a described H100: compile_exported FOLDER.

Prints a line of JSON: how often the program calls each library function or kernel.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import jax

from tests.gpu_programs import described_gpus as described
from tests.gpu_programs.hlo import Program


def main(folder: Path) -> None:
    from jax import export

    from afsd_jax.runtime.sharding import replicated

    program = export.deserialize(bytearray((folder / "network.stablehlo").read_bytes()))
    weights, inputs = jax.tree.unflatten(program.in_tree, program.in_avals)[0]
    inputs = {name: jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype) for name, x in inputs.items()}
    place = replicated(described.describe("H100"))
    compiled = jax.jit(program.call).lower(*described.placed((weights, inputs), place)).compile()
    calls = Program(compiled.as_text()).instructions("custom-call")
    print(json.dumps(Counter(call.target for call in calls)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
