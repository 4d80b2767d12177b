"""Speed of boundary max pooling: memory bandwidth on a GPU, independence of lengths on a CPU.

    python benchmarks/boundary_max_pooling.py --tests    one GPU, under 9 minutes with the GPU tests
    python benchmarks/boundary_max_pooling.py --cpu      the XLA implementation on a CPU

Results are written to benchmarks/results/boundary_max_pooling_{gpu,cpu}.json, on a GPU with a plot.
The benchmark needs the package and JAX; on a GPU also jax-triton, matplotlib and, to compare with
the PyTorch port, torch.

On a GPU, bytes are those that any implementation must move. Forward: features, segments and output
once each. Backward: the gradients of output and features, and the segments. Bandwidth is compared
with a device copy of the same number of bytes in the same run. `share_strict` of forward+backward
counts only features, segments and output.
"""

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.kernels.regions import to_regions

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


class Problem(NamedTuple):
    """Features [clips, cells, channels] and regions of 1 to `longest` cells (uniform)."""

    clips: int
    cells: int
    segments: int
    channels: int
    dtype: str
    longest: int
    order: str = "priors"  # regions along the clip as the network's are, or "shuffled"

    def arrays(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns features, segments and a gradient of the output."""
        random = np.random.default_rng(0)
        shape = (self.clips, self.segments, 2)
        lengths = random.integers(1, self.longest + 1, shape)
        centers = np.linspace(0, self.cells, self.segments)[None, :, None]
        centers = centers + random.normal(0, 4, shape)
        if self.order == "shuffled":
            centers = random.permuted(centers, axis=1)
        first = np.clip(np.round(centers - lengths / 2), 0, self.cells - lengths)
        segments = np.stack([first, first + lengths - 1], axis=-1).reshape(*shape[:2], 4)
        keys = jax.random.split(jax.random.key(0))
        features = jax.random.normal(keys[0], (self.clips, self.cells, self.channels))
        gradient = jax.random.normal(keys[1], (self.clips, self.segments, self.channels))
        return (
            features.astype(self.dtype),
            jnp.asarray(segments, jnp.float32),
            gradient.astype(self.dtype),
        )

    @property
    def forward_bytes(self) -> int:
        item = jnp.dtype(self.dtype).itemsize
        values = self.clips * (self.cells + self.segments) * self.channels
        return values * item + self.clips * self.segments * 4 * 4


def masked_maximum(features: jax.Array, segments: jax.Array) -> jax.Array:
    """In plain JAX: the maximum of what a mask [B, N, T] leaves."""
    regions = to_regions(segments, features.shape[1])
    cells = jnp.arange(features.shape[1])
    half = features.shape[2] // 2

    def pool(x: jax.Array, region: jax.Array) -> jax.Array:
        inside = (cells >= region[..., :1]) & (cells <= region[..., 1:])
        return jnp.max(jnp.where(inside[..., None], x[:, None], -jnp.inf), axis=2)

    pooled = (
        pool(features[..., :half], regions[..., :2]),
        pool(features[..., half:], regions[..., 2:]),
    )
    return jnp.concatenate(pooled, axis=-1)


def position_loop(features: jax.Array, segments: jax.Array) -> jax.Array:
    """In plain JAX: one after the other, the positions of all regions, as long as the longest."""
    regions = to_regions(segments, features.shape[1])
    half = features.shape[2] // 2

    def pool(x: jax.Array, region: jax.Array) -> jax.Array:
        first, last = region[:, 0], region[:, 1]

        def step(offset: jax.Array, best: jax.Array) -> jax.Array:
            return jnp.maximum(best, x[jnp.minimum(first + offset, last)])

        return jax.lax.fori_loop(1, jnp.max(last - first) + 1, step, x[first])

    both = jax.vmap(pool)
    pooled = (
        both(features[..., :half], regions[..., :2]),
        both(features[..., half:], regions[..., 2:]),
    )
    return jnp.concatenate(pooled, axis=-1)


def torch_port() -> Callable:
    """The same loop in PyTorch, with its automatic gradient."""
    import torch

    def pool(features: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        cells, half = features.shape[1], features.shape[2] // 2
        bounds = segments.trunc().clamp(0, cells - 1).long()
        pooled = []
        for x, region in zip(features.split(half, dim=2), bounds.split(2, dim=2), strict=True):
            first = region[..., :1]
            last = torch.maximum(region[..., 1:], first)
            best = x.gather(1, first.expand(-1, -1, half))
            for offset in range(1, int((last - first).max()) + 1):
                cell = torch.minimum(first + offset, last).expand(-1, -1, half)
                best = torch.maximum(best, x.gather(1, cell))
            pooled.append(best)
        return torch.cat(pooled, dim=2)

    return pool


def with_gradient(function: Callable) -> Callable:
    """Forward and backward: the output and the gradient of the features."""

    def both(features: jax.Array, segments: jax.Array, gradient: jax.Array) -> Any:
        output, pull_back = jax.vjp(lambda x: function(x, segments), features)
        return output, pull_back(gradient)[0]

    return both


def gpu_seconds(function: Callable, arguments: tuple, budget: float = 0.4) -> float:
    """Seconds of one call among many in one program, so that no launch from Python counts."""

    def repeat(count: int) -> Callable:
        def step(_: jax.Array, carry: tuple) -> tuple:
            inputs, _ = carry
            # So that the compiler neither moves the call out of the loop nor drops it.
            return jax.lax.optimization_barrier((inputs, function(*inputs)))

        @jax.jit
        def run(*inputs: jax.Array) -> Any:
            return jax.lax.fori_loop(0, count, step, (inputs, function(*inputs)))[1]

        return run

    def measure(count: int) -> float:
        run = repeat(count)
        jax.block_until_ready(run(*arguments))
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds))

    few = measure(3)
    count = int(np.clip(budget / 5 / max(few / 4, 1e-7), 10, 1000))
    # The difference of two counts: what happens once, the launch among it, cancels.
    return (measure(3 + count) - few) / count


def copy_seconds(num_bytes: int) -> float:
    """Seconds to read half of the bytes and to write as many."""
    values = jnp.arange(max(num_bytes // 8, 1), dtype=jnp.int32)
    return gpu_seconds(lambda x: x + 1, (values,))


def torch_seconds(function: Callable, problem: Problem, backward: bool) -> float:
    """Median seconds of the PyTorch port between CUDA events."""
    import torch

    dtype = getattr(torch, problem.dtype)
    arrays = [np.asarray(a, np.float32) for a in problem.arrays()]
    features = torch.tensor(arrays[0], dtype=dtype, device="cuda", requires_grad=backward)
    segments = torch.tensor(arrays[1], device="cuda")
    gradient = torch.tensor(arrays[2], dtype=dtype, device="cuda")

    def run() -> None:
        output = function(features, segments)
        if backward:
            torch.autograd.grad(output, features, gradient)

    run()
    seconds = []
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return float(np.median(seconds))


def gpu_problems() -> Iterator[tuple[Problem, set[str]]]:
    """The problems, most telling first, and who but Triton and XLA is measured on them."""
    head = Problem(32, 1024, 1024, 1024, "bfloat16", 16)
    yield head, set()
    for longest in (64, 1024, 1, 256):
        yield head._replace(longest=longest), set()
    for network in (
        Problem(8, 256, 126, 512, "bfloat16", 64),
        Problem(8, 126, 126, 1024, "bfloat16", 32),
    ):
        yield network, {"masked", "torch"}
        yield network._replace(dtype="float32"), set()
        yield network._replace(clips=1), set()
    yield head._replace(order="shuffled"), set()
    yield head._replace(dtype="float32"), set()
    yield head._replace(dtype="float16"), set()
    yield head._replace(clips=4), {"masked", "torch"}
    yield Problem(8, 4096, 4096, 512, "bfloat16", 16), set()
    yield Problem(8, 4096, 4096, 512, "bfloat16", 4096), set()


def measure_gpu(budget: float) -> list[dict[str, Any]]:
    """Measures until the budget, seconds, is spent; a failure is recorded and the rest goes on."""
    functions = {
        name: lambda x, s, name=name: boundary_max_pooling(x, s, name) for name in ("triton", "xla")
    }
    stop = time.monotonic() + budget
    rows = []
    for problem, others in gpu_problems():
        if time.monotonic() > stop:
            print("out of time: the rest is left out", flush=True)
            break
        forward_bytes = problem.forward_bytes
        both_bytes = 2 * forward_bytes
        copies = {n: n / copy_seconds(n) for n in {forward_bytes, both_bytes}}
        features, segments, gradient = problem.arrays()
        for name in ("triton", "xla", *sorted(others)):
            row: dict[str, Any] = {**problem._asdict(), "implementation": name}
            try:
                if name == "torch":
                    port = torch_port()
                    forward = torch_seconds(port, problem, False)
                    both = torch_seconds(port, problem, True)
                else:
                    function = {**functions, "masked": masked_maximum}[name]
                    forward = gpu_seconds(function, (features, segments))
                    both = gpu_seconds(with_gradient(function), (features, segments, gradient))
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
            else:
                row |= {
                    "forward_us": forward * 1e6,
                    "both_us": both * 1e6,
                    "forward_GBps": forward_bytes / forward / 1e9,
                    "both_GBps": both_bytes / both / 1e9,
                    "copy_GBps": copies[forward_bytes] / 1e9,
                    "copy_both_GBps": copies[both_bytes] / 1e9,
                    "forward_share": forward_bytes / forward / copies[forward_bytes],
                    "both_share": both_bytes / both / copies[both_bytes],
                    "both_share_strict": forward_bytes / both / copies[forward_bytes],
                }
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def measure_cpu(cells: int, segments: int, channels: int) -> list[dict[str, Any]]:
    """Forward seconds of the XLA implementation and of the loop over positions, by length."""
    pool = jax.jit(lambda x, s: boundary_max_pooling(x, s, "xla"))
    loop = jax.jit(position_loop)
    problems = [
        Problem(1, cells, segments, channels, "float32", longest)
        for longest in sorted({min(n, cells) for n in (1, 4, 16, 64, 256, 1024, 4096)})
    ]
    arrays = [problem.arrays()[:2] for problem in problems]
    seconds: list[list[float]] = [[] for _ in problems]
    jax.block_until_ready(pool(*arrays[0]))
    # In turns, so that whatever else the machine does falls on all lengths alike.
    for _ in range(41):
        for times, (features, regions) in zip(seconds, arrays, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(pool(features, regions))
            times.append(time.perf_counter() - start)
    rows = []
    for problem, times, (features, regions) in zip(problems, seconds, arrays, strict=True):
        np.testing.assert_array_equal(loop(features, regions), pool(features, regions))
        start = time.perf_counter()
        jax.block_until_ready(loop(features, regions))
        looped = time.perf_counter() - start
        pooled = float(np.median(times))
        row = {**problem._asdict(), "xla_s": pooled, "loop_s": looped, "ratio": looped / pooled}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draws the share of the copy bandwidth by region length and the times at all problems."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in rows if "error" not in row]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    first = rows[0]
    fixed = ("clips", "cells", "segments", "channels", "dtype", "order")
    lengths = [row for row in rows if all(row[key] == first[key] for key in fixed)]
    for name in ("triton", "xla"):
        line = sorted(
            (r["longest"], r["forward_share"], r["both_share"])
            for r in lengths
            if r["implementation"] == name
        )
        if line:
            longest, forward, both = zip(*line, strict=True)
            (drawn,) = left.plot(longest, forward, "o-", label=f"{name}, forward")
            left.plot(longest, both, "s--", color=drawn.get_color(), label=f"{name}, with backward")
    left.set(
        xscale="log", xlabel="longest region, cells", ylabel="share of the copy bandwidth", ylim=0
    )
    left.set_title(f"B={first['clips']} T={first['cells']} C={first['channels']} {first['dtype']}")
    left.legend()
    names = list(dict.fromkeys(row["implementation"] for row in rows))
    labels = list(dict.fromkeys(_label(row) for row in rows))
    for name in names:
        mine = [row for row in rows if row["implementation"] == name]
        places = [labels.index(_label(row)) for row in mine]
        right.plot([row["forward_us"] for row in mine], places, "o", label=name)
    right.set(xscale="log", xlabel="forward, µs", yticks=range(len(labels)), yticklabels=labels)
    right.invert_yaxis()
    right.tick_params(axis="y", labelsize=7)
    right.legend()
    figure.savefig(path)


def _label(row: dict[str, Any]) -> str:
    size = "×".join(str(row[key]) for key in ("clips", "cells", "segments", "channels"))
    return f"{size} {row['dtype']} ≤{row['longest']} {row['order']}"


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    versions: dict[str, str | None] = {}
    for package in ("jax", "jaxlib", "jax-triton", "triton", "torch", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "device": jax.devices()[0].device_kind,
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.processor(),
        "cores": len(cpu),
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--cpu", action="store_true", help="measure the XLA implementation on a CPU"
    )
    parser.add_argument("--tests", action="store_true", help="run the GPU tests first")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--budget", type=float, default=240, help="seconds of GPU measurement")
    parser.add_argument(
        "--size", type=int, nargs=3, metavar=("T", "N", "C"), default=(4096, 4096, 512),
        help="of the CPU measurement",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.cpu:
        jax.config.update("jax_platforms", "cpu")
        rows = measure_cpu(*arguments.size)
        name = "boundary_max_pooling_cpu"
    else:
        if arguments.tests:
            # Before this process looks for the GPU and takes most of its memory.
            command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
            tests = ROOT / "tests" / "kernels" / "test_boundary_max_pooling_gpu.py"
            print(subprocess.run([*command, tests], cwd=ROOT).returncode, "= GPU tests", flush=True)
        if jax.default_backend() != "gpu":
            sys.exit("error: JAX sees no CUDA GPU; --cpu measures what can be measured without one")
        rows = measure_gpu(arguments.budget)
        name = "boundary_max_pooling_gpu"
    arguments.output.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "rows": rows}
    (arguments.output / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    if not arguments.cpu:
        draw(rows, arguments.output / f"{name}.png")


if __name__ == "__main__":
    main()
