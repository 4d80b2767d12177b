"""What is written for other detectors, read as their data sets and evaluations read it."""

import json
from pathlib import Path

import pytest

from afsd_jax.data.annotations import write_annotations
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import read_predictions
from afsd_jax.types import Action, Detection, MarkedVideo

KNOWN = {"duration_s": 12.5, "fps": 30.0}
LABELLED = [
    MarkedVideo("a", [Action("run", 1.0, 2.5), Action("jump", 2.0, 4.0)], subset="train", **KNOWN),
    MarkedVideo("b", [Action("run", 0.5, 9.0)], subset="test", **KNOWN),
]
FOUND = [MarkedVideo("b", [Detection("run", 0.75, 0.5, 9.0)], detected=True, **KNOWN)]


def written(name: str, videos: list[MarkedVideo], folder: Path) -> dict:
    (path,) = write_annotations(name, videos, folder / "out.json")
    return json.loads(path.read_text())


def test_actionformer_reads_segments_rates_and_class_numbers(tmp_path):
    database = written("actionformer", LABELLED, tmp_path)["database"]
    # The rules of `THUMOS14Dataset._load_json_db`.
    numbers = {
        action["label"]: action["label_id"]
        for video in database.values()
        for action in video["annotations"]
    }
    assert numbers == {"jump": 0, "run": 1}
    chosen = {name: v for name, v in database.items() if v["subset"].lower() in ("train",)}
    assert chosen.keys() == {"a"}
    assert (chosen["a"]["fps"], chosen["a"]["duration"]) == (30.0, 12.5)
    assert [action["segment"] for action in chosen["a"]["annotations"]] == [[1.0, 2.5], [2.0, 4.0]]


def test_actionformers_evaluation_reads_detections_by_class_number(tmp_path):
    videos = [video._replace(classes=["jump", "run"]) for video in FOUND]
    # The rules of `load_pred_seg_from_json`.
    (event,) = written("actionformer", videos, tmp_path)["database"]["b"]
    assert (event["segment"], int(event["label_id"]), float(event["scores"])) == ([0.5, 9], 1, 0.75)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "name all classes in the order of the ground truth"),
        (["jump"], "lacks the class 'run'"),
    ],
)
def test_detections_without_their_classes_are_not_numbered(tmp_path, classes, message):
    videos = [video._replace(classes=classes) for video in FOUND]
    with pytest.raises(UserError, match=message):
        written("actionformer", videos, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_opentad_counts_the_frames_of_a_segment(tmp_path):
    video = written("opentad", LABELLED, tmp_path)["database"]["a"]
    # The rules of `ThumosPaddingDataset.get_gt`.
    frames = [
        [int(time / video["duration"] * video["frame"]) for time in action["segment"]]
        for action in video["annotations"]
    ]
    assert (video["subset"], video["frame"], frames) == ("train", 375, [[30, 75], [60, 120]])


def test_opentads_results_are_predictions(tmp_path):
    (path,) = write_annotations("opentad", FOUND, tmp_path / "result_detection.json")
    assert read_predictions(path) == {"b": FOUND[0].marks}


@pytest.mark.parametrize("name", ["actionformer", "opentad"])
def test_an_unknown_length_asks_for_the_video_file(tmp_path, name):
    with pytest.raises(UserError, match="a: its length and frame rate are unknown; also give"):
        written(name, [MarkedVideo("a", [Action("run", 1.0, 2.0)])], tmp_path)
