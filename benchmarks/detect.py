"""Measures `afsd detect` with a full-size network: speed, peak memory and start of a process.

    python benchmarks/detect.py --output benchmarks/results/detect.json

The network is that of THUMOS14 RGB, untrained. The videos are a generated minute of 1280x720,
repeated, and many short ones. Each run is a new process, and its start counts; compiled programs
are already in the cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import measured, provenance, repeat_video
from prepare import write_video

from afsd_jax import cli
from afsd_jax.config import resolve
from afsd_jax.configs import thumos14
from afsd_jax.detection.batching import BatchRunner, DecodedWindow
from afsd_jax.io import files
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint

MINUTE_S = 60
SHORT_S = 10


def write_checkpoint(folder: Path) -> Path:
    """Writes an untrained network of THUMOS14's size."""
    config = resolve(thumos14.get_config("rgb"), len(thumos14.CLASSES))
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder, weights, config, thumos14.CLASSES)
    return folder


def detect_here(arguments: list[str], report: Path) -> int:
    """Runs `afsd detect` in this process, and writes the seconds spent in the network."""
    spent = 0.0
    compute = BatchRunner.compute

    def timed(*args: Any) -> list[DecodedWindow]:
        nonlocal spent
        start = time.perf_counter()
        decoded = list(compute(*args))
        spent += time.perf_counter() - start
        return decoded

    BatchRunner.compute = timed  # type: ignore[method-assign,assignment]
    code = cli.main(["detect", *arguments])
    files.write_json(report, {"network_s": spent})
    return code


def detect(videos: list[Path], folder: Path, network: Path) -> dict[str, Any]:
    """Detects in a process of its own; returns seconds and MiB."""
    report, load = folder / "report.json", os.getloadavg()[0]
    command = [sys.executable, __file__, "--inside", str(report), "--", *map(str, videos)]
    with tempfile.TemporaryDirectory(dir=folder) as output:
        command += [f"--checkpoint={network}", f"--output={output}", "--format=json"]
        quiet, start = subprocess.DEVNULL, time.time()
        wall, usage = measured(command, stdout=quiet, stderr=quiet)
        written = [path.stat().st_mtime for path in Path(output).rglob("*.json")]
    network_s = json.loads(report.read_text())["network_s"]
    return {
        "wall_s": round(wall, 1),
        "first_result_s": round(min(written) - start, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "network_s": round(network_s, 1),
        "network_share": round(network_s / wall, 3),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "load_before": round(load, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--minutes", type=int, default=120, help="of the long video")
    parser.add_argument("--videos", type=int, default=200, help="short ones in one run")
    parser.add_argument("--runs", type=int, default=5, help="of one short video each")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    if args.inside:
        return detect_here([argument for argument in rest if argument != "--"], args.inside)
    results: dict[str, Any] = {
        **provenance("av", "jax", "numpy"),
    }
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        network = write_checkpoint(root / "checkpoint")
        minute, short = root / "minute.mp4", root / "short.mp4"
        write_video(minute, 0, MINUTE_S, 1280, 720)
        write_video(short, 1, SHORT_S, 1280, 720)
        long = repeat_video(minute, root / "long.mp4", args.minutes)
        many = [root / f"{number:03}.mp4" for number in range(args.videos)]
        for path in many:
            path.hardlink_to(short)
        detect([short], root, network)  # fills the cache

        def add(label: str, video_s: float, result: dict[str, Any]) -> None:
            result |= {"video_s": video_s}
            result |= {"times_real_time": round(video_s / result["wall_s"], 2)}
            results[label] = result
            print(label, json.dumps(result), flush=True)
            if args.output:
                files.write_json(args.output, results)

        add(f"{args.minutes} minutes", MINUTE_S * args.minutes, detect([long], root, network))
        for number in range(args.runs):
            add(f"one of {SHORT_S} s, run {number + 1}", SHORT_S, detect([short], root, network))
        label = f"{args.videos} of {SHORT_S} s in one run"
        add(label, SHORT_S * args.videos, detect(many, root, network))
    return 0


if __name__ == "__main__":
    sys.exit(main())
