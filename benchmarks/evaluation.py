"""Measures the evaluation of a million detections: mAP alone, the whole analysis, a comparison.

    python benchmarks/evaluation.py --ground-truth thumos_gt.json \
        --output benchmarks/results/evaluation.json

Detections are drawn against the test set of a ground truth in ActivityNet's format: a third near
true actions, the rest anywhere. Each part runs in a process of its own, from files to the end. The
processor's seconds do not depend on other programs; `times_reading` is their ratio to reading the
file as JSON, which compares machines.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance

from afsd_jax.io import activitynet_json, files
from afsd_jax.types import AnnotatedVideo

DETECTIONS = 1_000_000
READ = "import json, sys; json.load(open(sys.argv[1]))"
COMPARE = """
import sys
from afsd_jax import evaluation
from afsd_jax.diagnosis.comparison import compare
from afsd_jax.io.activitynet_json import read_ground_truth
from afsd_jax.io.predictions_file import read_detections
truth = read_ground_truth(sys.argv[1], "test")
tables = [evaluation.tabulate(truth, read_detections(path)) for path in sys.argv[2:]]
print(compare(*tables, evaluation.BENCHMARKS["thumos14"].tious, samples=10_000).verdict)
"""


def write_detections(
    path: Path, truth: Mapping[str, AnnotatedVideo], count: int, seed: int
) -> None:
    """Writes detections: 30 % near true actions, most of the right class, and the rest anywhere."""
    rng = np.random.default_rng(seed)
    actions = [(name, a) for name, video in truth.items() for a in video.actions]
    labels, names = sorted({action.label for _, action in actions}), list(truth)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    chosen = rng.integers(0, len(actions), count)
    near, right = rng.random(count) < 0.3, rng.random(count) < 0.8
    shift, stretch = rng.normal(0, 0.3, count), np.exp(rng.normal(0, 0.3, count))
    scores = np.where(near, rng.beta(2, 3, count), rng.beta(1, 6, count))
    others = rng.integers(0, len(names), count), rng.integers(0, len(labels), count)
    for i, index in enumerate(chosen.tolist()):
        name, action = actions[index]
        length = action.end_s - action.start_s
        start = action.start_s + shift[i] * length
        if not near[i]:
            name = names[others[0][i]]
            start = rng.uniform(0, 200)
        label = action.label if near[i] and right[i] else labels[others[1][i]]
        segment = [round(start, 3), round(start + length * stretch[i], 3)]
        results[name].append({"label": label, "score": float(scores[i]), "segment": segment})
    path.write_text(json.dumps({"version": "", "external_data": {}, "results": results}))


def measured(*command: object) -> dict[str, float]:
    """Runs Python; returns its seconds, those of the processor, and its peak memory."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command}: exit status {status}")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ground-truth", type=Path, required=True, help="ActivityNet JSON")
    parser.add_argument("--detections", type=int, default=DETECTIONS, help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    truth = activitynet_json.read_ground_truth(args.ground_truth, "test")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("first.json", "second.json")]
        for seed, path in enumerate(paths):
            # In another process: the peak memory of a child is never below that of its parent.
            given = (path, truth, args.detections, seed)
            context = multiprocessing.get_context("spawn")
            writer = context.Process(target=write_detections, args=given)
            writer.start()
            writer.join()
        evaluate = (
            "-m", "afsd_jax.cli", "evaluate", "--ground-truth", args.ground_truth,
            "--predictions", paths[0], "--benchmark", "thumos14",
        )  # fmt: skip
        page = Path(folder, "page.html")
        parts = {
            "reading the file by Python's json": ("-c", READ, paths[0]),
            "afsd evaluate": evaluate,
            "afsd evaluate --report": (*evaluate, "--report", page),
            "comparison, 10,000 samples": ("-c", COMPARE, args.ground_truth, *paths),
        }
        results: dict[str, Any] = {
            **provenance("numpy", "scipy"),
            "command": "python benchmarks/evaluation.py --ground-truth thumos_gt.json "
            "--output benchmarks/results/evaluation.json",
            "load_before": round(os.getloadavg()[0], 2),
            "videos": len(truth),
            "actions": sum(len(video.actions) for video in truth.values()),
            "detections": args.detections,
            "parts": {},
        }
        for name, command in parts.items():
            part = measured(*command)
            first = next(iter(results["parts"].values()), part)
            ratio = part["processor_seconds"] / first["processor_seconds"]
            results["parts"][name] = {**part, "times_reading": round(ratio, 2)}
            print(name, results["parts"][name], flush=True)
    if args.output:
        files.write_json(args.output, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
