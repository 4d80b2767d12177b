"""Measures how long `afsd detect` takes for one short video, from the start of its process.

    python benchmarks/start.py --demo DEMO/checkpoint --output benchmarks/results/start.json

The networks are that of THUMOS14 RGB, untrained, and the demo's if it is given. The video is one
window of the larger network. Programs are in the cache: the first run of each is not counted. With
--other, the command of another checkout takes turns with this one's.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import measured, provenance
from detect import write_checkpoint
from prepare import write_video

from afsd_jax.io import files

ROOT = Path(__file__).parents[1]
VIDEO_S = 10


def run(tree: Path, checkpoint: Path, video: Path, folder: Path) -> tuple[float, float]:
    """Detects with a checkout; returns the seconds and the processor's seconds of the process."""
    cache = folder / "-".join(("cache", *tree.parts[1:]))
    command = [str(tree / ".venv/bin/python"), "-m", "afsd_jax.detect", str(video)]
    command += ["--checkpoint", str(checkpoint), "--output", str(folder / "detections.json")]
    with (folder / "log").open("w") as log:
        environment = os.environ | {"AFSD_COMPILATION_CACHE": str(cache)}
        wall, usage = measured(command, stdout=log, stderr=log, env=environment)
    return wall, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="checkpoint of the demo")
    parser.add_argument("--other", type=Path, help="another checkout with its own .venv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    trees = {"this": ROOT} | ({"other": args.other.absolute()} if args.other else {})
    results: dict[str, Any] = provenance("jax", "flax", "openvino", "tensorstore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video = folder / "video.mp4"
        write_video(video, 0, VIDEO_S, 320, 240)
        checkpoints = {"full size": write_checkpoint(folder / "checkpoint")}
        checkpoints |= {"demo": args.demo} if args.demo else {}
        spent: dict[str, list[tuple[float, float]]] = {}
        for number in range(args.rounds + 1):
            for name, checkpoint in checkpoints.items():
                for tree, path in trees.items():
                    found = run(path, checkpoint, video, folder)
                    if number:
                        spent.setdefault(f"{name}, {tree}", []).append(found)
    for name, pairs in spent.items():
        walls, processor = zip(*pairs, strict=True)
        results[name] = {
            "wall_s": round(statistics.median(walls), 2),
            "fastest_s": round(min(walls), 2),
            "processor_s": round(statistics.median(processor), 2),
        }
    results["load"] = os.getloadavg()[0]
    files.write_json(args.output, results)


if __name__ == "__main__":
    main()
