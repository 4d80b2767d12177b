"""Measures the network's speed, compared with PyTorch, in one run on one device.

    make bench

Measures forward passes and training steps of afsd_jax, and of the PyTorch twin as published and
with its best settings, each in its own process. Those with the same work take turns, so that other
load affects all of them. In each turn an implementation runs twice and the second run counts, as in
a longer run; results are medians. Products of large matrices give the peak speed. It also measures
how cost grows with batch and clip length. Writes benchmarks/results/speed_<device>.json and the
table of README.md. What the processor has no units for is left out, and what takes longer than its
limit is ended; the table then gives the reason.
"""

import argparse
import os
import statistics
import sys
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common import commit, machine, processor_flags, write_into
from tqdm import tqdm
from turns import REASON, Contestant, GaveUp, compare, left_out

from afsd_jax.io import files

GFLOP_FORWARD = 149.0  # of one clip of 256 frames; a step's are three times as many, for two clips
LIMIT_S = 600.0  # of one contestant; seven pairs of steps take 140 s on two cores without AVX-512
PRODUCT_SIZE = {"cpu": 4096, "gpu": 8192}
ROOT = Path(__file__).parents[1]
PACKAGES = ("jax", "jaxlib", "flax", "torch", "openvino", "triton")
MARKS = "<!-- speed -->\n", "<!-- /speed -->\n"

# What is compared where: `PyTorch compiled` needs minutes and a C++ compiler on CPUs.
ON_CPU = {
    "product": ("JAX float32", "JAX bfloat16", "PyTorch float32", "PyTorch bfloat16"),
    "forward": (
        "afsd_jax",
        "afsd_jax + OpenVINO",
        "afsd_jax + OpenVINO bfloat16",
        "PyTorch as published",
        "PyTorch channels last, folded",
        "PyTorch channels last, folded, bfloat16",
    ),
    "step": ("afsd_jax", "PyTorch as published", "PyTorch channels last"),
}
ON_GPU = {
    "product": ON_CPU["product"],
    "forward": (
        "afsd_jax",
        "afsd_jax bfloat16",
        "PyTorch as published",
        "PyTorch channels last, folded",
        "PyTorch channels last, folded, bfloat16",
        "PyTorch compiled",
    ),
    "step": (
        "afsd_jax",
        "afsd_jax bfloat16",
        "PyTorch as published",
        "PyTorch channels last, bfloat16",
        "PyTorch compiled",
    ),
}


def start(
    limit_s: float, work: str, batch: int, name: str, cache: str = "0", length: int = 256
) -> Contestant:
    """Starts one of `contestants.py`; `cache` is the folder of its compiled programs, "0" none."""
    program = str(ROOT / "benchmarks" / "contestants.py")
    command = [sys.executable, program, work, name, str(batch), str(length)]
    return Contestant(command, limit_s, os.environ | {"AFSD_COMPILATION_CACHE": cache})


def growth(work: str, name: str, rounds: int, limit_s: float) -> dict[str, Any]:
    """Returns by how much twice the batch, or clips of twice the length, cost more."""
    sizes = {"": (1, 256), "batch": (2, 256), "length": (1, 512)}
    try:
        with ExitStack() as stack:
            found = {}
            for grown, (batch, length) in sizes.items():
                contestant = start(limit_s, work, batch, name, length=length)
                found[grown] = stack.enter_context(contestant)
                contestant.begin()
            for _ in tqdm(range(rounds), desc=f"{work} grows"):
                for contestant in found.values():
                    contestant.work()
            one = statistics.median(found[""].seconds)
            return {
                f"twice the {grown}": round(statistics.median(contestant.seconds) / one, 3)
                for grown, contestant in found.items()
                if grown
            }
    except GaveUp as gave_up:
        return {REASON: str(gave_up)}


def installed() -> dict[str, str]:
    """Returns the versions of what was measured."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def table(results: dict[str, Any]) -> str:
    """Returns the results as a Markdown table; a contestant without figures has its reason."""
    peak = results["product"]["JAX float32"].get("gflop_per_s")
    reached = f"reaches {peak:.0f} GFLOP/s there" if peak else "was not measured there"
    lines = [
        f"{results['device']}, batch {results['batch']}, a float32 product of matrices {reached}; "
        f"commit {results['commit']}.",
        "",
        "| | seconds | × PyTorch as published | of that peak | GiB | first (cached) call, s |",
        "|---|---|---|---|---|---|",
    ]
    for work, title in (("forward", "detection, a clip"), ("step", "training step, a clip")):
        published = results[work]["PyTorch as published"].get("seconds")
        for name, one in results[work].items():
            cells = [one.get(REASON), "", "", "", ""]
            if REASON not in one:
                cached = f" ({one['cached_call_s']:.0f})" if "cached_call_s" in one else ""
                cells = [
                    f"{one['seconds'] / results['batch']:.2f}",
                    f"{one['seconds'] / published:.2f}" if published else "",
                    f"{one['gflop_per_s'] / peak:.0%}" if peak else "",
                    f"{one['peak_mib'] / 1024:.1f}",
                    f"{one['first_call_s']:.0f}{cached}",
                ]
            lines.append(f"| {title}: {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    limit = "seconds that each contestant may be waited for; one that takes longer is ended"
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="S", help=limit)
    parser.add_argument("--output", type=Path, help="JSON; default: by the device")
    args = parser.parse_args()

    import jax

    device = jax.devices()[0]
    on_cpu = device.platform == "cpu"
    host = machine()
    name = f"{host['cpu']} with {host['extension']}" if on_cpu else device.device_kind
    results: dict[str, Any] = {
        "device": f"{name}, {host['cores']} cores" if on_cpu else name,
        "machine": host,
        "versions": installed(),
        "commit": commit(),
        "batch": args.batch,
    }
    contestants = ON_CPU if on_cpu else ON_GPU
    size = PRODUCT_SIZE["cpu" if on_cpu else "gpu"]
    gflop = {
        "product": 2 * size**3 / 1e9,
        "forward": GFLOP_FORWARD * args.batch,
        "step": 6 * GFLOP_FORWARD * args.batch,
    }
    for work, names in contestants.items():
        batch = size if work == "product" else args.batch
        without = {one: left_out(one, processor_flags()) if on_cpu else "" for one in names}
        begin = partial(start, args.limit, work, batch)
        results[work] = compare(names, begin, args.rounds, without)
        for contestant, one in results[work].items():
            if REASON in one:
                print(f"{work}, {contestant}: {one[REASON]}")
            else:
                one["gflop_per_s"] = round(gflop[work] / one["seconds"], 1)
    results["growth"] = {
        work: growth(work, "afsd_jax", args.rounds, args.limit) for work in ("forward", "step")
    }
    output = args.output or ROOT / "benchmarks" / "results" / f"speed_{_slug(name)}.json"
    files.write_json(output, results)
    text = table(results)
    if on_cpu:
        write_into(ROOT / "README.md", MARKS, text)
    print(text)


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    main()
