"""The whole system, from generated videos to the mAP of a detector trained on them.

The output folder receives checkpoint/, detections.json, ground_truth.json, metrics.json,
report.html and timeline.png.
"""

import shutil
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from afsd_jax import evaluation
from afsd_jax.cli.process import run_command
from afsd_jax.configs import synthetic
from afsd_jax.data import datasets
from afsd_jax.data.builders.generator import synthesize
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode.video_reader import read_video
from afsd_jax.detection.detector import Detector
from afsd_jax.io import files
from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
from afsd_jax.models import parameters
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import Track
from afsd_jax.types import Detection
from afsd_jax.weights import checkpoint

# mAP@0.5. Rounding alone moves the trained one: what is learnt last is learnt in time, or not.
LEAST_TRAINED, MOST_UNTRAINED = 0.70, 0.05
MOST_CONTROL = 0.5  # of the trained detector's


def demo(output: Path) -> int:
    """Makes the data set if it is missing, trains from scratch, detects and evaluates.

    Returns:
      The exit code: 1 if the detector has not learnt motion, which one line on stderr says.
    """
    data, work, seconds = output / "data", output / "run", {}
    config = synthetic.get_config()
    clock = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = round(time.monotonic() - clock, 1), time.monotonic()

    source = data / "synthetic" / "source"
    synthesize(source)  # refuses videos that an earlier version made
    options = PrepareOptions(source, fps=config.data.fps, size=config.data.frame_size)
    datasets.prepare_dataset("synthetic", data, options=options)
    truth = read_ground_truth(source / "ground_truth.json")
    files.write_json(output / "ground_truth.json", files.read_json(source / "ground_truth.json"))
    videos = sorted((source / "videos" / "test").glob("*.mp4"))
    lap("data")

    # A finished run would only be resumed; the demo trains from scratch every time.
    shutil.rmtree(work, ignore_errors=True)
    arguments = ["--config=synthetic", f"--config.data.data_dir={data}", f"--workdir={work}"]
    run_command("train", *arguments)
    trained = checkpoint.read(work / "checkpoints")
    checkpoint.write(
        output / "checkpoint", trained.weights, trained.config, trained.class_names, trained.step
    )
    lap("train")

    results = output / "detections.json"
    arguments = [f"--checkpoint={output / 'checkpoint'}", f"--report={output / 'report.html'}"]
    arguments += [f"--ground-truth={output / 'ground_truth.json'}"]
    run_command("detect", *map(str, videos), f"--output={results}", *arguments)
    lap("detect")

    random = parameters.flatten(parameters.build_network(trained.config, config.seed))
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
    found = read_predictions(results)
    tious = evaluation.BENCHMARKS["videos"].tious
    metrics = evaluation.evaluate(truth, found, tious)
    print(metrics.as_table())
    name, true = next(iter(truth.items()))
    track = Track(name, true.duration_s or 0.0, found[name], true.actions)
    draw_timeline(output / "timeline.png", [track], labels=trained.class_names)
    lap("evaluate")
    summary = metrics.as_dict()
    for kind, predictions in (("untrained", baselines), ("shuffled", controls)):
        other = evaluation.evaluate(truth, predictions, tious)
        summary[f"{kind}_mAP@0.5"] = other.as_dict()["mAP@0.5"]
        summary[f"{kind}_average_mAP"] = other.average_map
    files.write_json(output / "metrics.json", {**summary, "seconds": seconds})
    for written in ("metrics.json", "timeline.png", "report.html"):
        print(output / written)
    failed = broken_bound(*(summary[f"{kind}mAP@0.5"] for kind in ("", "shuffled_", "untrained_")))
    if failed:
        print(f"error: the demo failed: {failed}", file=sys.stderr)
    return 1 if failed else 0


def broken_bound(trained: float, shuffled: float, untrained: float) -> str:
    """Returns the first bound that mAP@0.5 does not keep, in words; empty if it keeps all."""
    most = MOST_CONTROL * trained
    if not trained >= LEAST_TRAINED:
        return f"mAP@0.5 after training is {trained:.3f}, below {LEAST_TRAINED}"
    if not shuffled <= most:
        return f"mAP@0.5 on shuffled frames is {shuffled:.3f}, above {most:.3f}, half the trained"
    if not untrained <= MOST_UNTRAINED:
        return f"mAP@0.5 without training is {untrained:.3f}, above {MOST_UNTRAINED}"
    return ""


def shuffle_within_seconds(frames: np.ndarray, second: int) -> np.ndarray:
    """Shuffles the frames of each second of a video, given as that many frames.

    Every frame is there and near its time, but motion is destroyed: a detector that reads motion
    fails on it.
    """
    rng = np.random.default_rng(0)
    starts = range(0, len(frames), second)
    order = [start + rng.permutation(min(second, len(frames) - start)) for start in starts]
    return frames[np.concatenate(order)]
