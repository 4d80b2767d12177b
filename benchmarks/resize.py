"""Measures the compiled resizing of frames, compared with Pillow's, which gives equal bytes.

    python benchmarks/resize.py --output benchmarks/results/resize.json

Both alternately resize the same random frames on one core; the results are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import provenance

from afsd_jax.data.decode import bicubic
from afsd_jax.data.decode.resize import FRAME_SIZE, by_pillow
from afsd_jax.io import files

SIZES = ("320x180", "640x360", "1280x720", "1920x1080", "3840x2160", "7680x4320")


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(size: str, repeats: int) -> dict[str, float | bool]:
    """Returns milliseconds of both, and the seconds of the first call, which compiles."""
    width, height = map(int, size.split("x"))
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ways = {"pillow_ms": by_pillow, "program_ms": bicubic.resize}
    first_s = seconds(lambda: bicubic.resize(frame, FRAME_SIZE))
    times = [
        {name: seconds(lambda way=way: way(frame, FRAME_SIZE)) for name, way in ways.items()}  # type: ignore[misc]
        for _ in range(repeats)
    ]
    result = {name: round(1e3 * statistics.median(row[name] for row in times), 2) for name in ways}
    equal = bool((by_pillow(frame, FRAME_SIZE) == bicubic.resize(frame, FRAME_SIZE)).all())
    return {**result, "first_call_s": round(first_s, 2), "equal": equal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    results: dict[str, object] = provenance("jax", "numpy", "pillow")
    for size in SIZES:
        results[size] = compare(size, args.repeats)
        print(size, results[size], flush=True)
    if args.output:
        files.write_json(args.output, results)


if __name__ == "__main__":
    main()
