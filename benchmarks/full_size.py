"""Trains the full-size network from scratch on a larger synthetic data set, on one GPU.

    python benchmarks/full_size.py --work DIR --output benchmarks/results/full_size.json

The network is the published one: clips of 256 frames at 96×96 through all of I3D. `FIELDS` lists
the differences from `thumos14:rgb`; others can be added, such as `--config.train.steps=600`. The
videos are made and prepared first, which is timed separately. SIGTERM stops training after --limit
seconds; detection and evaluation then use the last checkpoint. All takes less than nine minutes.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from common import provenance, score

from afsd_jax.io import files
from afsd_jax.io.run_log import read_records

FIELDS = {
    "data.dataset": "synthetic",
    "data.flip": 0.0,  # mirrored, one class would be another
    "model.batch_norm": "trained",  # the published statistics are of a trained trunk
    "model.dtype": "bfloat16",
    # Rates for a start from nothing, in a hundredth of the published number of updates.
    "optimizer.learning_rate": 1e-3,
    "optimizer.trunk_learning_rate": 1e-3,
    "optimizer.weight_decay": 1e-5,
    "optimizer.warmup_steps": 100,
    "optimizer.schedule": "cosine",
    "optimizer.clip_norm": 10.0,
    "train.batch_size": 16,
    "train.steps": 1000,
    "train.keep_epochs": (),
    "inference.batch_size": 16,
    "inference.clip_to_video": True,
}


def prepare(data: Path, train_videos: int, test_videos: int) -> float:
    """Makes and prepares the videos, unless they are there; returns the seconds."""
    from afsd_jax.data.builders.generator import Settings
    from afsd_jax.data.builders.prepare_options import PrepareOptions
    from afsd_jax.data.datasets import prepare_dataset

    start = time.monotonic()
    options = PrepareOptions(data / "synthetic" / "source", fps=10.0, size=112)
    settings = Settings(train_videos, test_videos)
    prepare_dataset("synthetic", data, options=options, settings=settings)
    return round(time.monotonic() - start, 1)


def train(data: Path, workdir: Path, overrides: list[str], limit_s: float) -> dict[str, object]:
    """Trains for so many seconds at most; returns the command, seconds, steps and clips/s."""
    fields = [f"--config.{name}={value}" for name, value in FIELDS.items()]
    arguments = ["train", "--config=thumos14:rgb", *fields, *overrides]
    paths = [f"--config.data.data_dir={data}", f"--workdir={workdir}"]
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "afsd_jax.cli", *arguments, *paths])
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        status = process.wait()
    if status not in (0, 128 + signal.SIGTERM):
        raise RuntimeError(f"training ended with exit status {status}")
    logged = [record for record in read_records(workdir) if "clips_per_s" in record]
    return {
        "command": " ".join(["afsd", *arguments]),
        "seconds": round(time.monotonic() - start, 1),
        "steps": max(int(saved.name) for saved in (workdir / "checkpoints").glob("[0-9]*")),
        "clips_per_s": [round(record["clips_per_s"], 2) for record in logged],
    }


def main() -> None:
    """Prepares, trains, detects, evaluates, and writes down what each took and gave."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and the run")
    parser.add_argument("--train-videos", type=int, default=768)
    parser.add_argument("--test-videos", type=int, default=64)
    parser.add_argument("--limit", type=float, default=450, help="seconds of training")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args, overrides = parser.parse_known_args()

    data, workdir = args.work / "data", args.work / "run"
    results: dict[str, object] = {
        "command": " ".join(["python", "benchmarks/full_size.py", *sys.argv[1:]]),
        **provenance("jax", "flax", "optax", "numpy"),
        "device": _device(),
        "videos": {"train": args.train_videos, "test": args.test_videos},
        "prepare_s": prepare(data, args.train_videos, args.test_videos),
    }
    start = time.monotonic()
    results["train"] = train(data, workdir, overrides, args.limit)
    results |= score(workdir, data)
    results["seconds"] = round(time.monotonic() - start, 1)
    print(json.dumps(results, indent=1))
    if args.output:
        files.write_json(args.output, results)


def _device() -> str:
    """Returns the name of JAX's first device, asked in a process that leaves it free."""
    code = "import jax; print(jax.devices()[0].device_kind)"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


if __name__ == "__main__":
    main()
