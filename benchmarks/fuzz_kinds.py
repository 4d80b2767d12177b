"""Kinds of folders that commands read: an honest one of each, and how each is read."""

import functools
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ["jump", "run"]
ANNOTATIONS = {
    "truth.json": {
        "database": {
            name: {
                "subset": "train",
                "duration": 20.0,
                "annotations": [{"label": "jump", "segment": [1.0, 4.0]}],
            }
            for name in "ab"
        }
    },
    "label_studio.json": [
        {
            "data": {"video": "a.mp4", "fps": 25},
            "annotations": [
                {
                    "result": [
                        {"value": {"timelinelabels": ["jump"], "ranges": [{"start": 3, "end": 9}]}},
                        {"value": {"labels": ["run"], "start": 1.5, "end": 3.0}},
                    ]
                }
            ],
        }
    ],
    "via.json": {
        "attribute": {"1": {"anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}}},
        "file": {"1": {"fname": "a.mp4"}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"x": {"vid": "1", "z": [1.0, 2.0], "xy": [], "av": {"1": "run"}}},
    },
    "table.csv": "video,label,start,end,subset\na,jump,1,2,train\nb,run,0.5,3,test\n",
    "boris.csv": "Observation id,Media file name,Behavior,Behavior type,Start (s),Stop (s)\n"
    "1,a.mp4,run,STATE,1.0,2.5\n",
    "elan.eaf": '<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="a.mp4"/></HEADER>'
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="2" '
    'TIME_VALUE="2000"/></TIME_ORDER><TIER TIER_ID="t"><ANNOTATION><ALIGNABLE_ANNOTATION '
    'TIME_SLOT_REF1="1" TIME_SLOT_REF2="2"><ANNOTATION_VALUE>run</ANNOTATION_VALUE>'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
}


def small_config() -> Any:
    """Returns the configuration of a network that is read in milliseconds."""
    from afsd_jax.config import resolve
    from afsd_jax.configs import synthetic

    config = synthetic.get_config()
    config.data.clip_length, config.data.crop_size = 64, 32
    config.model.update({"trunk_width": 0.05, "channels": 16, "groups": 4, "levels": 3})
    config.model.update({"pyramid_inputs": ("Mixed_3c",), "loc_multipliers": (4.0, 4.0, 8.0)})
    return resolve(config, len(CLASSES))


def write_checkpoint(folder: Path) -> None:
    from afsd_jax.models import parameters
    from afsd_jax.weights import checkpoint

    config = small_config()
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder, weights, config, CLASSES)


def write_annotations(folder: Path) -> None:
    folder.mkdir()
    for name, content in ANNOTATIONS.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def prepare_noise(folder: Path, encoding: str) -> None:
    """Prepares the videos a and b."""
    from afsd_jax.data.builders.prepare_options import PrepareOptions
    from afsd_jax.data.datasets import prepare_dataset
    from afsd_jax.io import files

    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        for seed, video in enumerate("ab"):
            frames = np.random.default_rng(seed).integers(0, 256, (60, 20, 20, 3), np.uint8)
            np.save(source / f"{video}.npy", frames)
        files.write_json(source / "truth.json", ANNOTATIONS["truth.json"])
        options = PrepareOptions(source, encoding=encoding, size=20, fps=3.0, workers=1)
        prepare_dataset("videos", folder, options=options)


def write_prepared(folder: Path) -> None:
    for encoding in ("jpeg", "png"):
        prepare_noise(folder / "made", encoding)
        shutil.move(folder / "made" / "videos" / "rgb", folder / encoding)
        shutil.rmtree(folder / "made")


def write_run(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(small_config().to_json())
    records = [{"step": s, "total": 1 / s, "clips_per_s": 2.0, "input_wait": 0.1} for s in (1, 2)]
    evaluated = {"average_mAP": 0.5, "mAP@0.5": 0.6, "ap": {"jump": [0.5], "run": [0.7]}}
    lines = [*records, {"step": 2, "validation": evaluated | {"loss/total": 0.4}}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_results(folder: Path) -> None:
    from afsd_jax.cli.detect.results_folder import ResultsFolder
    from afsd_jax.report.page import VideoReport
    from afsd_jax.report.tracks import Track
    from afsd_jax.results.writers import Selection
    from afsd_jax.types import Detection

    results = ResultsFolder(folder, ["csv", "srt", "vtt", "html"], Selection())
    for name in "ab":
        found = [Detection("jump", 0.9, 1.0, 4.5), Detection("run", 0.3, 5.0, 7.0)]
        results.write(VideoReport(Track(name, 20.0, found), damaged=name == "a"), "digest")
    results.finish(["a", "b"])


def write_features(folder: Path) -> None:
    prepare_noise(folder.parents[1] / "data", "png")
    read_features(folder, folder)


def read_checkpoint(folder: Path, out: Path) -> Any:
    from afsd_jax.weights import loading

    read = loading.load_checkpoint(folder)
    weights = {name: np.asarray(value).tobytes() for name, value in read.weights.items()}
    digest = hashlib.sha256(repr(sorted(weights.items())).encode()).hexdigest()
    return [read.step, read.config.to_json(), read.class_names, read.metrics, digest]


def read_prepared(folder: Path, out: Path) -> Any:
    from afsd_jax.data import summary
    from afsd_jax.report import data_page

    texts = []
    for stream in ("jpeg", "png"):
        data = data_page.open_data_set(folder / stream)
        texts += summary.describe(data.title, data.class_names, data_page.summarize(data))
        data_page.write_page(out / f"{stream}.html", data)
        texts.append((out / f"{stream}.html").read_text())
        for videos in data.videos.values():
            for video in videos:
                (out / f"{video.name}.json").write_text("{}")  # as results are named
    return texts


def read_annotations(folder: Path, out: Path) -> Any:
    from afsd_jax import evaluation
    from afsd_jax.data import annotations
    from afsd_jax.errors import UserError
    from afsd_jax.types import Detection

    found: list[Any] = []
    for path in sorted(folder.iterdir()):
        try:
            videos = annotations.read_annotations(path)
            annotations.check_names(videos)
            annotations.check_order(videos)
            annotations.assign_splits(videos)
            found.append(annotations.class_names(videos))
            detections = {name: [Detection("run", 0.5, 1.0, 2.0)] for name in videos}
            found.append(evaluation.evaluate(videos, detections, (0.5,)).as_table())
            found.append([list(map(str, video.actions)) for video in videos.values()])
        except UserError as error:
            if "\n" in str(error):
                raise
            found.append(re.sub(r"/\S*/", "", str(error)))
    return found


def read_run(folder: Path, out: Path) -> Any:
    from afsd_jax.report import run_page

    run = run_page.read_run(folder)
    run_page.write_page(folder)
    run_page.write_comparison(out / "runs.html", [run, run])
    return [run_page.as_text(run_page.compare([run])), (folder / run_page.PAGE).read_text()]


def read_results(folder: Path, out: Path) -> Any:
    from afsd_jax.cli.detect.results_folder import ResultsFolder
    from afsd_jax.io.activitynet_json import read_predictions
    from afsd_jax.results.writers import Selection

    formats = ("csv", "srt", "vtt", "html")
    results = ResultsFolder(folder, formats, Selection())
    found: dict[str, Any] = {}
    for name in "ab":
        if results.complete(name, "digest"):
            texts = [(folder / f"{name}.{suffix}").read_text() for suffix in formats]
            found[name] = [texts, read_predictions(folder / f"{name}.json")]
    results.finish(list(found))
    results = ResultsFolder(folder, formats[:3], Selection(min_score=0.5))
    for name in found:
        found[name].append(results.complete(name, "digest"))
    return found


@functools.cache
def network_weights() -> Any:
    from afsd_jax.models import parameters

    return parameters.flatten(parameters.build_network(small_config()))


def read_features(folder: Path, out: Path) -> Any:
    """Reads all clips of the videos in `data` from a cache, which computes what it lacks."""
    from afsd_jax.data.clips.clip_reader import ClipView
    from afsd_jax.data.training_data import TrainingData
    from afsd_jax.training import feature_cache

    config = small_config()
    config.data.update({"dataset": "videos", "data_dir": str(folder.parents[1] / "data")})
    config.data.update({"feature_cache": str(folder), "frame_size": 20, "crop_size": 16})
    config.data.update({"fps": 3.0, "clip_length": 32, "crops": 2, "max_actions": 4})
    config.model.trunk_context, config.train.batch_size = "video", 2
    data = TrainingData(config)
    features = feature_cache.cached(config, network_weights(), data.videos, data.views)
    return [
        features(ClipView(number, start, start + 32, *view), 4).tobytes()
        for number in range(len(data.videos))
        for start in (0, 24)
        for view in data.views
    ]


Writer, Reader = Callable[[Path], None], Callable[[Path, Path], Any]
# What writes an honest folder of a kind, and what reads it and writes to another one.
KINDS: dict[str, tuple[Writer, Reader]] = {
    "checkpoint": (write_checkpoint, read_checkpoint),
    "prepared": (write_prepared, read_prepared),
    "annotations": (write_annotations, read_annotations),
    "run": (write_run, read_run),
    "results": (write_results, read_results),
    "features": (write_features, read_features),
}
