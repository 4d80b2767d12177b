"""Compares a detector's detections with other contexts and precisions of the trunk.

    python benchmarks/trunk_variants.py cut --data-dir DATA --clips CLIPS
    afsd train --config videos --config.data.data_dir=CLIPS … --workdir RUN
    python benchmarks/trunk_variants.py compare --data-dir DATA --checkpoint RUN --output RESULT
    python benchmarks/trunk_variants.py golden --output RESULT

`cut` makes each clip of a prepared train split a video of its own. A detector that is trained on
them sees clips padded at their own ends, as with `model.trunk_context = "clip"`, but its trunk's
features are cached. `compare` detects in the test split with each variant in turn, video by video.
`golden` does so in the videos of the golden tests, with their weights, which are not trained.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance

from afsd_jax import load_detector
from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import resolve
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.clips.geometry import window_offsets
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.splits import open_data_set
from afsd_jax.data.storage.prepared_video import PreparedVideo, read_frames, read_videos
from afsd_jax.detection.detector import Detector
from afsd_jax.evaluation.metrics import tious_of
from afsd_jax.evaluation.overlaps import tiou
from afsd_jax.evaluation.rules import evaluate
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.inputs.video import VideoSource
from afsd_jax.io import files
from afsd_jax.types import AnnotatedVideo, Detection
from afsd_jax.weights.checkpoint import Checkpoint

CONTEXTS = ("clip", "video")
BACKENDS = ("openvino", "openvino-bfloat16")
SCORES = (0.5, 0.1)  # least scores of the detections that are looked for
BEST = 100  # detections of a golden video that are looked for
TIOU, SCORE_RATIO = 0.9, 0.5  # of a detection that counts as found again
Found = Mapping[str, Sequence[Detection]]  # by video


def cut(data_dir: Path, target: Path, length: int, stride: int) -> None:
    """Prepares the train split's clips as a data set of videos."""
    config = load_config("videos")
    config.data.data_dir = str(data_dir)
    opened = open_data_set(config.data)
    videos = read_videos(opened, "train")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        database = {}
        for video in videos:
            frames = np.stack(list(read_frames(video, range(video.num_frames))))
            for offset in window_offsets(video.num_frames, length, stride):
                clip = f"{video.name}_{offset}"
                actions = list(_actions(video, opened.class_names, offset, length))
                if actions:
                    np.save(source / f"{clip}.npy", frames[offset : offset + length])
                    seconds = min(length, len(frames) - offset) / video.fps
                    fields = {"subset": "train", "duration": seconds, "annotations": actions}
                    database[clip] = fields
        files.write_json(source / "truth.json", {"database": database})
        size, fps = videos[0].shape[0], videos[0].fps
        options = PrepareOptions(source, encoding="jpeg", size=size, fps=fps, workers=1)
        prepare_dataset("videos", target, "rgb", options)


def _actions(
    video: PreparedVideo, class_names: Sequence[str], offset: int, length: int
) -> Iterator[dict[str, Any]]:
    """Yields the actions of which at least half lies in a clip, as annotations of it."""
    for (start, end), label in zip(video.segments, video.labels, strict=True):
        inside = np.clip((start - offset, end - offset), 0, length)
        if inside[1] - inside[0] >= (end - start) / 2:
            segment = (inside / video.fps).tolist()
            yield {"label": class_names[label - 1], "segment": segment}


def share_found(found: Found, again: Found, least: float) -> dict[str, Any]:
    """Returns which share of the detections with at least this score is found again.

    A detection is found again if one of its class has a tIoU of 0.9 with it, and half of its score.
    """
    hits = []
    for name, detections in found.items():
        for detection in detections:
            if detection.score < least:
                continue
            same = [d for d in again[name] if d.label == detection.label]
            same = [d for d in same if d.score >= SCORE_RATIO * detection.score]
            starts, ends = np.array([(d.start_s, d.end_s) for d in same]).reshape(-1, 2).T
            overlap = tiou(starts, ends, np.array(detection.start_s), np.array(detection.end_s))
            hits.append(overlap.max(initial=0) >= TIOU)
    return {"detections": len(hits), "found_again": round(float(np.mean(hits or [1])), 4)}


def summary(found: Mapping[str, Found], seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Compares each variant with the first one and with the same context in float32."""
    result: dict[str, Any] = {}
    for name, detections in found.items():
        context = name.partition(" ")[0]
        result[name] = {"processor_s": round(sum(seconds[name]), 1)}
        for other in dict.fromkeys((next(iter(found)), f"{context} openvino")):
            if other in found and other != name:
                ratios = [a / b for a, b in zip(seconds[name], seconds[other], strict=True)]
                result[name][f"beside {other}"] = {
                    "processor_time": round(statistics.median(ratios), 3),
                    **{f"score {s}": share_found(found[other], detections, s) for s in SCORES},
                }
    return result


def detect_in_turns(
    detectors: Mapping[str, Detector], split: PreparedSplit
) -> tuple[dict[str, dict[str, Sequence[Detection]]], dict[str, list[float]]]:
    """Returns what each detector finds in each video, and its processor seconds."""
    found: dict[str, dict[str, Sequence[Detection]]] = {name: {} for name in detectors}
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    for number, source in enumerate(split.sources()):
        video = source.open()
        frames = list(video.frames)
        for name, detector in detectors.items():
            again = VideoSource(
                source.name, lambda video=video, frames=frames: video._replace(frames=iter(frames))
            )
            if not number:
                list(detector.detect_sources([again]))
            start = time.process_time()
            (result,) = detector.detect_sources([again])
            seconds[name].append(time.process_time() - start)
            found[name][source.name] = result.detections
        print(source.name, {name: round(s[-1], 2) for name, s in seconds.items()}, flush=True)
    return found, seconds


def compare(data_dir: Path, checkpoint: Path, backends: Sequence[str]) -> dict[str, Any]:
    """Detects in the test split in both contexts with each backend; evaluates and compares."""
    detectors = {
        f"{context} {backend}": load_detector(checkpoint, None, backend, context)
        for backend in backends
        for context in CONTEXTS
    }
    config = next(iter(detectors.values())).config
    split = PreparedSplit([config], data_dir=data_dir)
    found, seconds = detect_in_turns(detectors, split)
    truth = {
        name: AnnotatedVideo("test", split.durations_s[name], tuple(actions))
        for name, actions in split.actions.items()
    }
    result = summary(found, seconds)
    for name, detections in found.items():
        metrics = evaluate(truth, detections, tious_of("videos"))
        result[name] |= {
            f"mAP@{metrics.tious[0]:g}": round(float(metrics.mean_ap[0]), 4),
            "average_mAP": round(float(metrics.average_map), 4),
        }
    window = {"clip_length": config.data.clip_length, "stride": config.inference.window_stride}
    return {"window": window, "videos": len(split.names), "variants": result}


def golden() -> dict[str, Any]:
    """Detects in the golden videos with the golden weights, in both contexts."""
    import sys

    sys.path.append(str(Path(__file__).parents[1]))
    from tests.golden.weights import video
    from tests.goldens import golden_parameters

    result = {}
    for benchmark, lengths, rates in (
        ("thumos14", (300, 149), (10.0, 10.0)),
        ("anet", (768, 500), (768 / 60, 5.0)),
    ):
        config = resolve(load_config(benchmark), 20)
        weights, found = golden_parameters(config), {}
        for context in CONTEXTS:
            of_context = config.copy_and_resolve_references()
            of_context.model.trunk_context = context
            names = [f"class {number}" for number in range(config.model.num_classes - 1)]
            detector = Detector([Checkpoint(0, of_context, names, dict(weights))], BACKENDS[0])
            found[context] = {}
            for number, (length, rate) in enumerate(zip(lengths, rates, strict=True)):
                frames = video(number, length, 3, 0)
                detections = detector.detect_frames([frames], rate, length / rate)
                found[context][str(number)] = list(detections)
        result[benchmark] = {"frames": lengths, "window": config.data.clip_length}
        for number in map(str, range(len(lengths))):
            best = sorted((d.score for d in found["clip"][number]), reverse=True)[:BEST]
            one, other = ({number: of_context[number]} for of_context in found.values())
            result[benchmark][f"video {number}"] = share_found(one, other, best[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("cut", "compare", "golden"))
    parser.add_argument("--data-dir", type=Path, help="folder of a prepared data set `videos`")
    parser.add_argument("--clips", type=Path, help="folder to prepare the clips in")
    parser.add_argument("--length", type=int, default=128, help="frames of a clip")
    parser.add_argument("--checkpoint", type=Path, help="training run or checkpoint")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument(
        "--backends", nargs="+", default=BACKENDS, help="the first is the reference"
    )
    parser.add_argument("--name", default="result", help="name of this result in the file")
    args = parser.parse_args()
    if args.what == "cut":
        cut(args.data_dir, args.clips, args.length, args.length // 2)
        return
    result = (
        golden()
        if args.what == "golden"
        else compare(args.data_dir, args.checkpoint, args.backends)
    )
    result = {**provenance("jax", "openvino", "numpy"), **result}
    print(result)
    if args.output:
        earlier = files.read_json(args.output) if args.output.exists() else {}
        files.write_json(args.output, {**earlier, args.name: result})


if __name__ == "__main__":
    main()
