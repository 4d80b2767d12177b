"""Compiles the full-size programs for a GPU that is only described; writes their lower bounds.

    make gpu-plugin
    JAX_PLATFORMS=cpu PYTHONPATH=.gpu-plugin:. python benchmarks/gpu_programs.py \\
        --output benchmarks/results/gpu_programs.json --before FILE.json

    JAX_PLATFORMS=cpu PYTHONPATH=.gpu-plugin:. python benchmarks/gpu_programs.py --exchanges shared

No GPU or driver is needed, and nothing is run. A program takes between 10 s and 5 minutes of two
cores. Its floor is the sum over its kernels of the longer of FLOP / peak and bytes / bandwidth.
That leaves out what only a GPU can tell: launches of kernels, the libraries' conversions of layouts
and their workspace. With --before, the results of an earlier commit, a table of both is written
into docs/performance.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import provenance, write_into
from contestants import Size, network_config, training_batch

from afsd_jax.io import files
from afsd_jax.models import parameters

GPU = "H100"
NODE = 8  # GPUs of a host
ROOT = Path(__file__).parents[1]
MARKS = "<!-- gpu programs -->\n", "<!-- /gpu programs -->\n"
# Program, clips and dtype; the gradients' rows also have the update, which depends on neither.
ROWS = (
    ("gradients", 16, "bfloat16"),
    ("gradients", 16, "float32"),
    ("gradients", 1, "bfloat16"),
    ("forward", 16, "bfloat16"),
    ("forward", 16, "float32"),
    ("forward", 1, "bfloat16"),
)


def measure(program: str, batch: int, dtype: str) -> dict[str, Any]:
    """Returns the figures of a program, or of both programs of a training step."""
    from tests.gpu_programs import described_gpus as described

    mesh = described.describe(GPU)
    config = network_config(Size(batch))
    config.model.dtype = dtype
    clips = training_batch(config, batch)
    if program == "forward":
        return {program: figures(described.compile_forward(config, clips["frames"], mesh))}
    gradients, update, _ = described.compile_step(config, clips, mesh)
    return {"gradients": figures(gradients), "update": figures(update)}


def figures(compiled: Any) -> dict[str, float]:
    """Returns a program's kernels, GB moved, GFLOP, floor in ms, and temporary GB."""
    from tests.gpu_programs.described_gpus import GPUS
    from tests.gpu_programs.hlo import Program, floor_s

    kernels = Program(compiled.as_text()).kernels()
    return {
        "kernels": sum(k.runs for k in kernels),
        "gb_moved": round(sum(k.runs * k.nbytes for k in kernels) / 1e9, 2),
        "gflop": round(sum(k.runs * k.flops for k in kernels) / 1e9, 1),
        "floor_ms": round(1e3 * floor_s(kernels, GPUS[GPU].peaks), 2),
        "temporary_gb": round(compiled.memory_analysis().temp_size_in_bytes / 1e9, 2),
    }


def exchanges(shard_state: bool) -> dict[str, Any]:
    """Returns what each of eight GPUs exchanges in a step of one clip each, bfloat16: MB by kind.

    `overlapped_mb` are those of exchanges that the schedule starts before other convolutions and
    awaits after them.
    """
    from tests.gpu_programs import described_gpus as described
    from tests.gpu_programs.hlo import Program

    config = network_config(Size(NODE))
    config.model.dtype, config.train.shard_state = "bfloat16", shard_state
    mesh = described.describe(GPU, NODE)
    *programs, _ = described.compile_step(config, training_batch(config, NODE), mesh)
    found = [x for p in programs for x in Program(p.as_text()).collectives()]
    moved: dict[str, float] = {}
    for x in found:
        moved[x.kind] = moved.get(x.kind, 0.0) + x.runs * x.nbytes / 1e6
    overlapped = sum(x.runs * x.nbytes for x in found if x.hidden) / 1e6
    learned = sum(x.size for x in parameters.learned_shapes(config).values())
    return {
        "clips": NODE,
        "learned_values": learned,
        "mb": {kind: round(size, 2) for kind, size in moved.items()},
        "overlapped_mb": round(overlapped, 2),
        "exchanges": len(found),
    }


def measure_apart(row: tuple[str, int, str]) -> dict[str, Any]:
    """Returns the figures of a row, computed in a process of its own."""
    command = [sys.executable, __file__, "--row", *map(str, row)]
    return json.loads(subprocess.check_output(command, text=True))


def table(now: dict[str, Any], before: dict[str, Any]) -> str:
    """Returns the results of two commits as a Markdown table."""
    lines = [
        f"{GPU}, JAX {now['versions']['jax']}; before: commit {before['commit']}.",
        "",
        "| program | kernels, before | now | GB moved, before | now | floor, ms, before | now "
        "| temporary GB, before | now |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures_now in now["programs"].items():
        if name in before["programs"]:
            fields = ("kernels", "gb_moved", "floor_ms", "temporary_gb")
            pairs = [(before["programs"][name][field], figures_now[field]) for field in fields]
            cells = [f"{value:g}" for pair in pairs for value in pair]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compiles, and writes what was found after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs=3, help="program, clips and dtype: prints one row's figures")
    exchanged = "prints what eight GPUs exchange, whose state is replicated or shared"
    parser.add_argument("--exchanges", choices=("replicated", "shared"), help=exchanged)
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--before", type=Path, help="results of an earlier commit")
    args = parser.parse_args()
    if args.row:
        program, batch, dtype = args.row
        print(json.dumps(measure(program, int(batch), dtype)))
        return
    if args.exchanges:
        found = {"gpus": f"{NODE} x {GPU}", "state": args.exchanges, **provenance("jax", "jaxlib")}
        print(json.dumps(found | exchanges(args.exchanges == "shared"), indent=1))
        return
    results = {"gpu": GPU, **provenance("jax", "jaxlib", "jax-triton", "triton"), "programs": {}}
    for program, batch, dtype in ROWS:
        for name, found in measure_apart((program, batch, dtype)).items():
            of = "" if name == "update" else f", batch {batch}, {dtype}"
            results["programs"][name + of] = found
        if args.output:
            files.write_json(args.output, results)
    if args.before:
        text = table(results, files.read_json(args.before))
        write_into(ROOT / "docs" / "performance.md", MARKS, text)
        print(text)


if __name__ == "__main__":
    main()
