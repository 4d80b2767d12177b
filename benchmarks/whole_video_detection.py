"""Compares detection with the trunk on the whole video and on each window: time.

    cd benchmarks; python whole_video_detection.py --output results/whole_video_detection.json

Networks with the Kinetics trunk and random heads detect in ten minutes of noise at 96×96 pixels and
10 frames per second, in both contexts and precisions, in turn. Ratios of processor time are those
that other programs on the machine change least.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance
from whole_videos import CROP, network_of

from afsd_jax.detection.detector import Detector
from afsd_jax.io import files
from afsd_jax.weights.checkpoint import Checkpoint

FPS = 10.0
BACKENDS = ("openvino", "openvino-bfloat16")


def detectors(name: str) -> dict[str, Detector]:
    """Returns a detector for each context and backend."""
    config, weights = network_of(name)
    config.data.fps = FPS
    found = {}
    for backend in BACKENDS:
        for context in ("video", "clip"):
            of_context = config.copy_and_resolve_references()
            of_context.model.trunk_context = context
            names = [f"class {number}" for number in range(20)]
            checkpoint = Checkpoint(0, of_context, names, dict(weights))
            found[f"{context} {backend}"] = Detector([checkpoint], backend)
    return found


def compare(name: str, frames: np.ndarray, repeats: int) -> dict[str, Any]:
    """Times detection with each detector in turn."""
    chosen = detectors(name)
    wall: dict[str, list[float]] = {key: [] for key in chosen}
    processor: dict[str, list[float]] = {key: [] for key in chosen}
    for detector in chosen.values():  # compiles
        detector.detect_frames([frames[:300]], FPS, 30.0)
    for _ in range(repeats):
        for key, detector in chosen.items():
            start, processor_start = time.perf_counter(), time.process_time()
            detector.detect_frames([frames], FPS, len(frames) / FPS)
            wall[key].append(round(time.perf_counter() - start, 2))
            processor[key].append(round(time.process_time() - processor_start, 2))
            print(name, key, wall[key][-1], processor[key][-1], flush=True)

    def ratio(one: str, other: str, times: dict[str, list[float]]) -> float:
        pairs = zip(times[one], times[other], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)

    config = next(iter(chosen.values())).config
    return {
        "seconds_of_film": len(frames) / FPS,
        "window": config.data.clip_length,
        "window_stride": config.inference.window_stride,
        "endpoints": list(config.model.pyramid_inputs),
        "wall_s": wall,
        "processor_s": processor,
        "video_over_clip": {
            backend: {
                "wall": ratio(f"video {backend}", f"clip {backend}", wall),
                "processor": ratio(f"video {backend}", f"clip {backend}", processor),
            }
            for backend in BACKENDS
        },
        "bfloat16_over_float32_processor": {
            context: ratio(f"{context} {BACKENDS[1]}", f"{context} {BACKENDS[0]}", processor)
            for context in ("video", "clip")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="length of the video")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = int(args.seconds * FPS), CROP // 8, CROP // 8, 3
    frames = rng.integers(0, 256, shape, dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    results: dict[str, Any] = provenance("jax", "openvino", "numpy")
    for name in ("videos", "thumos14"):
        results[name] = compare(name, frames, args.repeats)
        if args.output:
            files.write_json(args.output, results)
    print(results)


if __name__ == "__main__":
    main()
