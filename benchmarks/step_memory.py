"""Measures memory and time of a training step by dtype, remat policy and batch.

    python benchmarks/step_memory.py --output benchmarks/results/step_memory.json

Each combination runs in its own process, with the published configuration for RGB, clips and
consistency clips of 256 x 96 x 96, and a narrower network, so that all take only minutes. The first
step, which compiles, does not count. Memory is the process's peak during the next two steps;
seconds are those of the faster one, by the clock and of the processor.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ml_collections
from common import peak_mib, provenance
from contestants import Size, network_config, training_batch

from afsd_jax.config import REMAT
from afsd_jax.io import files

ROOT = Path(__file__).parents[1]
NARROW = {"trunk_width": 0.25, "channels": 128, "groups": 16}
STEPS = 2


def network(dtype: str, remat: str, batch: int) -> ml_collections.ConfigDict:
    """Returns the configuration of a step."""
    config = network_config(Size(batch))
    config.model.update(NARROW | {"dtype": dtype, "remat": remat})
    config.train.batch_size = batch
    return config


def take_steps(dtype: str, remat: str, batch: int) -> dict[str, float]:
    """Returns peak memory and seconds of a step."""
    import jax

    from afsd_jax.cli.process import set_up_process
    from afsd_jax.models import parameters
    from afsd_jax.runtime import memory
    from afsd_jax.training.optimizer import make_optimizer
    from afsd_jax.training.state import init_state
    from afsd_jax.training.step import make_train_step

    memory.start_with_huge_pages()
    set_up_process()
    config = network(dtype, remat, batch)
    optimizer = make_optimizer(config.optimizer, 1000)
    built = parameters.build_network(config)
    step = make_train_step(built, optimizer, config)
    state, clips = init_state(built, optimizer), training_batch(config, batch)
    state = jax.block_until_ready(step(state, clips))[0]
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    seconds = []
    for _ in range(STEPS):
        clock, processor = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(step(state, clips))[0]
        seconds.append((time.perf_counter() - clock, time.process_time() - processor))
    wall_s, cpu_s = min(seconds)
    return {
        "peak_gib": round(peak_mib() / 1024, 2),
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
    }


def in_a_process(dtype: str, remat: str, batch: int) -> dict[str, float]:
    """Returns what `take_steps` does, taken in a process of its own."""
    command = [sys.executable, __file__, "--step", dtype, remat, str(batch)]
    # The batch lies among the tests.
    environment = os.environ | {"AFSD_COMPILATION_CACHE": "0", "PYTHONPATH": str(ROOT)}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return json.loads(subprocess.run(command, env=environment, check=True, **pipe).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--batches", default="1,2,4", help="batch sizes (default: %(default)s)")
    parser.add_argument("--step", nargs=3, metavar=("DTYPE", "REMAT", "BATCH"), help="only this")
    args = parser.parse_args()
    if args.step:
        dtype, remat, batch = args.step
        return print(json.dumps(take_steps(dtype, remat, int(batch))))
    results: dict[str, Any] = {
        **provenance("jax", "numpy"),
        "network": NARROW,
        "steps": [],
    }
    print(f"{'dtype':10}{'remat':10}{'batch':>6}{'GiB':>8}{'s':>8}{'CPU s':>8}")
    for dtype in ("float32", "bfloat16"):
        for remat in REMAT:
            for batch in map(int, args.batches.split(",")):
                row = {"dtype": dtype, "remat": remat, "batch": batch}
                row |= in_a_process(dtype, remat, batch)
                results["steps"].append(row)
                cells = f"{row['peak_gib']:8.2f}{row['wall_s']:8.2f}{row['cpu_s']:8.2f}"
                print(f"{dtype:10}{remat or '-':10}{batch:6}{cells}", flush=True)
                if args.output:
                    files.write_json(args.output, results)


if __name__ == "__main__":
    main()
