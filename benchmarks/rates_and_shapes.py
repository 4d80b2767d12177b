"""How rate, size and shape of frames change what a detector of own videos learns.

    python benchmarks/rates_and_shapes.py VIDEOS ANNOTATIONS WORK --output FILE \
        --trial f10 --trial f3 --fps 3

Each trial is a name and flags of `afsd prepare`. It prepares the videos, trains `--config videos`
without mirroring, and evaluates on the test split. The result holds, for each trial, mAP and each
class's AP at tIoU 0.5, and the median frames of its actions. What lies in WORK is not computed
again.
"""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from common import afsd, provenance

from afsd_jax.data.datasets import read_report
from afsd_jax.io.activitynet_json import read_ground_truth


def trial(work: Path, videos: Path, annotations: Path, name: str, flags: list[str]) -> Any:
    """Prepares, trains and evaluates where that was not done; returns the result."""
    data, run, result = work / f"data_{name}", work / f"run_{name}", work / f"eval_{name}.json"
    folder = data / "videos" / "rgb" / "1.0.0"
    if not folder.exists():
        sources = "--source", videos, "--annotations", annotations
        afsd("prepare", "videos", *sources, "--output", data, *flags)
    if not result.exists():
        fields = f"--data-dir={data}", f"--workdir={run}", "--config.data.flip=0"
        afsd("train", "--config=videos", *fields)
        afsd("evaluate", "--checkpoint", run, "--data-dir", data, "--output", result)
    report, lengths = read_report(folder), defaultdict(list)
    for video in read_ground_truth(folder / "ground_truth.json").values():
        for action in video.actions:
            lengths[action.label].append(action.end_s - action.start_s)
    metrics = json.loads(result.read_text())
    at = list(metrics["tious"]).index(0.5) if "tious" in metrics else 2
    return {
        "flags": flags,
        "fps": report["fps"],
        "size": report["size"],
        "mAP@0.5": metrics["mAP@0.5"],
        "mAP@0.7": metrics["mAP@0.7"],
        "average_mAP": metrics["average_mAP"],
        "classes": {
            label: {
                "AP@0.5": metrics["ap"][label][at],
                "median_frames": round(report["fps"] * statistics.median(seconds), 1),
            }
            for label, seconds in sorted(lengths.items())
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    args, rest = parser.parse_known_args()
    trials: dict[str, list[str]] = {}
    while rest:
        word = rest.pop(0)
        if word == "--trial":
            trials[name := rest.pop(0)] = []
        else:
            trials[name].append(word)
    results = {
        name: trial(args.work, args.videos, args.annotations, name, flags)
        for name, flags in trials.items()
    }
    content = {**provenance("jax", "openvino"), "trials": results}
    args.output.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
