"""The whole system in one command: python scripts/demo.py --output demo

Makes the synthetic data set if it is missing, trains from scratch, detects on the held-out mp4
files, evaluates, and leaves checkpoint/, detections.json, ground_truth.json, metrics.json,
report.html and timeline.png in the output folder.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from afsd_jax import errors, evaluation, files
from afsd_jax.activitynet_json import read_ground_truth, read_predictions
from afsd_jax.configs import synthetic
from afsd_jax.data import datasets
from afsd_jax.data.builders.base import Options
from afsd_jax.data.builders.generator import synthesize
from afsd_jax.data.decode.video import read_video
from afsd_jax.detector import Detector
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import Track
from afsd_jax.types import Detection
from afsd_jax.weights import checkpoint, parameters

CONFIG = Path(synthetic.__file__)
BENCHMARK = evaluation.BENCHMARKS["thumos14"]


def main(arguments: list[str]) -> None:
    args = _parser().parse_args(arguments)
    output: Path = args.output
    data, work, seconds = output / "data", output / "run", {}
    config = synthetic.get_config()
    config.data.data_dir = str(data)

    clock = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = round(time.monotonic() - clock, 1), time.monotonic()

    source = data / "synthetic" / "source"
    synthesize(source)  # refuses videos that an earlier version made
    options = Options(source, fps=config.data.fps, size=config.data.frame_size)
    datasets.prepare_dataset("synthetic", data, options=options)
    truth = read_ground_truth(source / "ground_truth.json")
    files.write_json(output / "ground_truth.json", files.read_json(source / "ground_truth.json"))
    videos = sorted((source / "videos" / "test").glob("*.mp4"))
    lap("data")

    # A finished run would only be resumed; the demo trains from scratch every time.
    shutil.rmtree(work, ignore_errors=True)
    _run(
        "afsd_jax.train",
        f"--config={CONFIG}",
        f"--config.data.data_dir={data}",
        f"--workdir={work}",
        # Convolutions of so few channels use one core a device: make every core a device.
        devices=math.gcd(config.train.batch_size, os.cpu_count() or 1),
    )
    trained = checkpoint.read(work / "checkpoints")
    checkpoint.write(
        output / "checkpoint", trained.weights, trained.config, trained.class_names, trained.step
    )
    lap("train")

    _run(
        "afsd_jax.detect",
        *map(str, videos),
        f"--checkpoint={output / 'checkpoint'}",
        f"--output={output / 'detections.json'}",
        f"--report={output / 'report.html'}",
    )
    lap("detect")

    random = parameters.flatten(parameters.build_network(config, config.seed))
    untrained, detector = Detector([trained._replace(weights=random)]), Detector([trained])
    baselines: dict[str, list[Detection]] = {}
    controls: dict[str, list[Detection]] = {}
    for path in tqdm(videos, "baseline and control", unit="video"):
        video = read_video(path, config.data.fps, (config.data.frame_size,) * 2)
        baselines[path.stem] = untrained.detect_frames([video.frames], video.fps, video.duration_s)
        shuffled = shuffle_within_seconds(video.frames, round(video.fps))
        controls[path.stem] = detector.detect_frames([shuffled], video.fps, video.duration_s)
    lap("baseline and control")

    truth = {name: video for name, video in truth.items() if video.subset == "test"}
    results = read_predictions(output / "detections.json")
    metrics, baseline, control = (
        evaluation.evaluate(truth, predictions, BENCHMARK.tious)
        for predictions in (results, baselines, controls)
    )
    print(metrics.as_table())
    tracks = [
        Track(name, video.duration_s, results[name], video.actions)
        for name, video in list(truth.items())[:1]
    ]
    draw_timeline(output / "timeline.png", tracks)
    lap("evaluate")
    files.write_json(
        output / "metrics.json",
        {
            **metrics.as_dict(),
            "untrained_mAP@0.5": baseline.as_dict()["mAP@0.5"],
            "untrained_average_mAP": baseline.average_map,
            "shuffled_mAP@0.5": control.as_dict()["mAP@0.5"],
            "shuffled_average_mAP": control.average_map,
            "seconds": seconds,
        },
    )
    for name in ("metrics.json", "timeline.png", "report.html"):
        print(output / name)


def shuffle_within_seconds(frames: np.ndarray, second: int) -> np.ndarray:
    """Shuffles the frames of each second of a video, given as that many frames.

    Every frame is there and near its time, but motion is destroyed: a detector that reads motion
    fails on it.
    """
    rng = np.random.default_rng(0)
    order = [
        start + rng.permutation(min(second, len(frames) - start))
        for start in range(0, len(frames), second)
    ]
    return frames[np.concatenate(order)]


def _run(module: str, *arguments: str, devices: int = 1) -> None:
    """Runs one of the package's mains as a user would; its failure is the demo's."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    code = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=False,
        env=os.environ | {"XLA_FLAGS": flags},
    ).returncode
    if code:
        raise errors.UserError(f"python -m {module} failed with exit code {code}; see above")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write to")
    return parser


if __name__ == "__main__":
    sys.exit(errors.run(main, sys.argv[1:]))
