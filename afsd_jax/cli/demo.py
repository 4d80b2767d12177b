"""The command `afsd demo`: the whole system, from generated videos to the mAP of its detections.

The output folder receives checkpoint/, detections.json, ground_truth.json, metrics.json,
report.html and timeline.png.
"""

import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afsd_jax.cli.process import run_command
from afsd_jax.io import files

if TYPE_CHECKING:
    import numpy as np

    from afsd_jax.types import Detection
    from afsd_jax.weights.checkpoint import Checkpoint

SUMMARY = "Run the whole system, from making videos to measuring detections."
DETAILS = """This command makes the synthetic data set if it is missing, trains from scratch,
detects in held-out mp4 files and evaluates. Exit code 1: the detector has not learnt motion."""

# Bounds of mAP@0.5. Rounding alone changes the trained detector's: some motions are learnt so late
# that not every run learns them in time.
LEAST_TRAINED, MOST_UNTRAINED = 0.70, 0.05
MOST_SHUFFLED = 0.5  # fraction of the trained detector's mAP

Found = dict[str, "list[Detection]"]


def add_flags(parser: ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")


def run(args: Namespace) -> int:
    files.check_output_folder(args.output)
    return demo(args.output)


def demo(output: Path) -> int:
    """Makes the data set if it is missing, trains from scratch, detects and evaluates.

    Returns:
      The exit code: 1 if the detector has not learnt motion; one line on stderr then says so.
    """
    seconds: dict[str, float] = {}
    clock = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = round(time.monotonic() - clock, 1), time.monotonic()

    videos = prepare(output)
    lap("data")
    trained = train(output)
    lap("train")
    detect(output, videos)
    lap("detect")
    untrained, shuffled = detect_baselines(trained, videos)
    lap("baseline and control")
    summary = evaluate(output, trained.class_names, untrained, shuffled)
    lap("evaluate")
    files.write_json(output / "metrics.json", {**summary, "seconds": seconds})
    for written in ("metrics.json", "timeline.png", "report.html"):
        print(output / written)
    failed = broken_bound(*(summary[f"{kind}mAP@0.5"] for kind in ("", "shuffled_", "untrained_")))
    if failed:
        print(f"error: the demo failed: {failed}", file=sys.stderr)
    return 1 if failed else 0


def prepare(output: Path) -> list[Path]:
    """Makes and prepares the data set where it is missing; returns the videos to test on."""
    from afsd_jax.configs import synthetic
    from afsd_jax.data import datasets
    from afsd_jax.data.builders.generator import synthesize
    from afsd_jax.data.builders.prepare_options import PrepareOptions

    config, data = synthetic.get_config(), output / "data"
    source = data / "synthetic" / "source"
    synthesize(source)  # refuses videos that an earlier version made
    options = PrepareOptions(source, fps=config.data.fps, size=config.data.frame_size)
    datasets.prepare_dataset("synthetic", data, options=options)
    files.write_json(output / "ground_truth.json", files.read_json(source / "ground_truth.json"))
    return sorted((source / "videos" / "test").glob("*.mp4"))


def train(output: Path) -> "Checkpoint":
    """Trains from scratch; returns the checkpoint, which it writes to the folder, too."""
    from afsd_jax.weights import checkpoint

    run_folder = output / "run"
    shutil.rmtree(run_folder, ignore_errors=True)  # a finished run would only be resumed
    flags = [f"--config.data.data_dir={output / 'data'}", f"--workdir={run_folder}"]
    run_command("train", "--config=synthetic", *flags)
    trained = checkpoint.read(run_folder / "checkpoints")
    checkpoint.write(
        output / "checkpoint", trained.weights, trained.config, trained.class_names, trained.step
    )
    return trained


def detect(output: Path, videos: Sequence[Path]) -> None:
    """Detects with the checkpoint in the folder, and writes detections and a page."""
    flags = [f"--checkpoint={output / 'checkpoint'}", f"--report={output / 'report.html'}"]
    flags += [f"--ground-truth={output / 'ground_truth.json'}"]
    run_command("detect", *map(str, videos), f"--output={output / 'detections.json'}", *flags)


def detect_baselines(trained: "Checkpoint", videos: Sequence[Path]) -> tuple[Found, Found]:
    """Returns detections of an untrained network, and of the trained one in shuffled frames."""
    from tqdm import tqdm

    from afsd_jax.data.decode.video_reader import read_video
    from afsd_jax.detection.detector import Detector
    from afsd_jax.models import parameters

    data = trained.config.data
    random = parameters.flatten(parameters.build_network(trained.config, trained.config.seed))
    untrained, detector = Detector([trained._replace(weights=random)]), Detector([trained])
    baselines: Found = {}
    controls: Found = {}
    for path in tqdm(videos, "baseline and control", unit="video"):
        video = read_video(path, data.fps, (data.frame_size,) * 2)
        baselines[path.stem] = untrained.detect_frames([video.frames], video.fps, video.duration_s)
        shuffled = shuffle_within_seconds(video.frames, round(video.fps))
        controls[path.stem] = detector.detect_frames([shuffled], video.fps, video.duration_s)
    return baselines, controls


def evaluate(
    output: Path, class_names: Sequence[str], untrained: Found, shuffled: Found
) -> dict[str, Any]:
    """Prints the metrics, draws the first video's timeline, and returns the metrics of all."""
    from afsd_jax import evaluation
    from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
    from afsd_jax.report.timeline import draw_timeline
    from afsd_jax.report.tracks import Track

    annotated = read_ground_truth(output / "ground_truth.json")
    truth = {name: video for name, video in annotated.items() if video.subset == "test"}
    detections = read_predictions(output / "detections.json")
    tious = evaluation.BENCHMARKS["videos"].tious
    metrics = evaluation.evaluate(truth, detections, tious)
    print(metrics.as_table())
    name, first = next(iter(truth.items()))
    track = Track(name, first.duration_s or 0.0, detections[name], first.actions)
    draw_timeline(output / "timeline.png", [track], labels=class_names)
    summary = metrics.as_dict()
    for kind, predictions in (("untrained", untrained), ("shuffled", shuffled)):
        other = evaluation.evaluate(truth, predictions, tious)
        summary[f"{kind}_mAP@0.5"] = other.as_dict()["mAP@0.5"]
        summary[f"{kind}_average_mAP"] = other.average_map
    return summary


def broken_bound(trained: float, shuffled: float, untrained: float) -> str:
    """Returns a text about the first bound of mAP@0.5 that is broken, or ""."""
    most = MOST_SHUFFLED * trained
    if not trained >= LEAST_TRAINED:
        return f"mAP@0.5 after training is {100 * trained:.1f} %, below {100 * LEAST_TRAINED:g} %"
    if not shuffled <= most:
        return (
            f"mAP@0.5 on shuffled frames is {100 * shuffled:.1f} %, above {100 * most:.1f} %, half "
            "of that after training"
        )
    if not untrained <= MOST_UNTRAINED:
        bound = 100 * MOST_UNTRAINED
        return f"mAP@0.5 without training is {100 * untrained:.1f} %, above {bound:g} %"
    return ""


def shuffle_within_seconds(frames: "np.ndarray", second: int) -> "np.ndarray":
    """Shuffles the frames within each second of a video; `second` is its number of frames.

    Every frame stays and keeps its time to within a second, but motion is destroyed: a detector
    that uses motion fails on it.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    starts = range(0, len(frames), second)
    order = [start + rng.permutation(min(second, len(frames) - start)) for start in starts]
    return frames[np.concatenate(order)]
