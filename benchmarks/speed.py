"""Measures the network's speed, compared with PyTorch, in one run on one device.

    make bench

Measures forward passes and training steps of afsd_jax, and of the PyTorch twin as published and
with its best settings, each in its own process. Those with the same work take turns, so that other
load affects all of them. In each turn an implementation runs twice and the second run counts, as in
a longer run; results are medians. Products of large matrices give the peak speed. It also measures
how cost grows with batch and clip length. Writes benchmarks/results/speed_<device>.json and the
table of README.md.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common import commit, machine
from tqdm import tqdm

from afsd_jax.io import files

GFLOP_FORWARD = 149.0  # of one clip of 256 frames; a step's are three times as many, for two clips
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


class Contestant:
    """A process that works whenever it is asked to."""

    def __init__(self, work: str, name: str, batch: int, length: int = 256, cache: str = "0"):
        command = [sys.executable, str(ROOT / "benchmarks" / "contestants.py")]
        self._process = subprocess.Popen(
            [*command, work, name, str(batch), str(length)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"AFSD_COMPILATION_CACHE": cache},
            text=True,
        )
        first, built = map(float, self._answer().split())
        self.first_s, self.built_s = first, built
        self.seconds: list[float] = []

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def work(self) -> None:
        """Works twice and notes the seconds of the second time.

        Before the first time the process waited for others, who took its place in the caches, and
        a virtual machine gave memory that it had freed to its host.
        """
        assert self._process.stdin
        self._process.stdin.write("\n\n")
        self._process.stdin.flush()
        self._answer()
        self.seconds.append(float(self._answer()))

    def peak_mib(self) -> float:
        """Ends the process; returns its peak memory."""
        assert self._process.stdin
        self._process.stdin.close()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args}: exit status {self._process.wait()}")
        return line


def compare(work: str, names: Sequence[str], batch: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Lets contestants take turns at the same work; returns each one's figures by its name."""
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        found = {
            name: stack.enter_context(Contestant(work, name, batch, cache=cache))
            for name in tqdm(names)
        }
        for _ in tqdm(range(rounds), desc=work):
            for contestant in found.values():
                contestant.work()
        figures = {
            name: {
                "seconds": round(statistics.median(contestant.seconds), 4),
                "fastest_s": round(min(contestant.seconds), 4),
                "first_call_s": round(contestant.first_s, 2),
                "peak_mib": round(contestant.peak_mib()),
            }
            for name, contestant in found.items()
        }
        for name in names:
            if name.startswith("afsd_jax"):
                with Contestant(work, name, batch, cache=cache) as again:
                    figures[name]["cached_call_s"] = round(again.first_s, 2)
        return figures


def growth(work: str, name: str, rounds: int) -> dict[str, float]:
    """Returns by how much twice the batch, or clips of twice the length, cost more."""
    sizes = {"": (1, 256), "batch": (2, 256), "length": (1, 512)}
    with ExitStack() as stack:
        found = {
            grown: stack.enter_context(Contestant(work, name, *size))
            for grown, size in sizes.items()
        }
        for _ in tqdm(range(rounds), desc=f"{work} grows"):
            for contestant in found.values():
                contestant.work()
        one = statistics.median(found[""].seconds)
        return {
            f"twice the {grown}": round(statistics.median(contestant.seconds) / one, 3)
            for grown, contestant in found.items()
            if grown
        }


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
    """Returns the results as a Markdown table."""
    peak = results["product"]["JAX float32"]["gflop_per_s"]
    batch = results["batch"]
    lines = [
        f"{results['device']}, batch {batch}, a float32 product of matrices reaches "
        f"{peak:.0f} GFLOP/s there; commit {results['commit']}.",
        "",
        "| | seconds | × PyTorch as published | of that peak | GiB | first (cached) call, s |",
        "|---|---|---|---|---|---|",
    ]
    for work, title in (("forward", "detection, a clip"), ("step", "training step, a clip")):
        published = results[work]["PyTorch as published"]["seconds"]
        for name, one in results[work].items():
            seconds = one["seconds"] / batch
            cached = f" ({one['cached_call_s']:.0f})" if "cached_call_s" in one else ""
            lines.append(
                f"| {title}: {name} | {seconds:.2f} | {one['seconds'] / published:.2f} | "
                f"{one['gflop_per_s'] / peak:.0%} | {one['peak_mib'] / 1024:.1f} | "
                f"{one['first_call_s']:.0f}{cached} |"
            )
    return "\n".join(lines) + "\n"


def write_into(document: Path, text: str) -> None:
    """Puts a text between the marks of a document."""
    whole = document.read_text()
    before, _, rest = whole.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    document.write_text(f"{before}{MARKS[0]}{text}{MARKS[1]}{after}")


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
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
        results[work] = compare(work, names, batch, args.rounds)
        for one in results[work].values():
            one["gflop_per_s"] = round(gflop[work] / one["seconds"], 1)
    results["growth"] = {
        work: growth(work, "afsd_jax", args.rounds) for work in ("forward", "step")
    }
    output = args.output or ROOT / "benchmarks" / "results" / f"speed_{_slug(name)}.json"
    files.write_json(output, results)
    text = table(results)
    if on_cpu:
        write_into(ROOT / "README.md", text)
    print(text)


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    main()
