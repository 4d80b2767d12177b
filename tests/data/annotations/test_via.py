"""Projects of VIA 3."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo


def segment(vid: str, start_s: float, end_s: float, value: str) -> dict[str, Any]:
    return {"vid": vid, "flg": 0, "z": [start_s, end_s], "xy": [], "av": {"1": value}}


PROJECT: dict[str, Any] = {
    "project": {
        "pid": "__VIA_PROJECT_ID__",
        "rev": "__VIA_PROJECT_REV_ID__",
        "pname": "Cooking",
        "creator": "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        "data_format_version": "3.1.1",
        "vid_list": ["1", "2", "3"],
    },
    "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
    "attribute": {
        "2": {
            "aname": "object",
            "anchor_id": "FILE1_Z1_XY1",
            "type": 1,
            "options": {},
        },
        "1": {
            "aname": "TEMPORAL-SEGMENTS",
            "anchor_id": "FILE1_Z2_XY0",
            "type": 4,
            "desc": "Temporal segment attribute added by default",
            "options": {"default": "Default", "7": "Pour liquid", "stir": ""},
            "default_option_id": "",
        },
    },
    "file": {
        "1": {"fid": 1, "fname": "kitchen_1.mp4", "type": 4, "loc": 1, "src": ""},
        "2": {"fid": "2", "fname": "https://host/kitchen_2.webm", "type": 4, "loc": 2, "src": ""},
        "3": {"fid": 3, "fname": "unseen.mp4", "type": 4, "loc": 1, "src": ""},
    },
    "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2"]}, "3": {"fid_list": ["3"]}},
    "metadata": {
        "1_ysf4qqfC": segment("1", 1.5, 4.25, "7"),
        "1_yQCRxO4z": segment("1", 5, 6, "stir"),
        "2_psxAWPPc": segment("2", 0, 2.5, "default"),
        "1_mwXvwsJo": {
            "vid": "1",
            "flg": 0,
            "z": [2.0],
            "xy": [2, 10, 10, 20, 20],
            "av": {"2": "pan"},
        },
    },
}


def read(folder: Path, project: dict[str, Any]) -> annotations.Annotations:
    path = folder / "project.json"
    path.write_text(json.dumps(project))
    return annotations.read_annotations(path)


def test_segments_are_read_with_the_texts_of_their_options(tmp_path):
    first = (Action("Pour liquid", 1.5, 4.25), Action("stir", 5, 6))
    assert read(tmp_path, PROJECT) == {
        "kitchen_1": AnnotatedVideo("", None, first),
        "kitchen_2": AnnotatedVideo("", None, (Action("Default", 0, 2.5),)),
    }


def test_every_ticked_box_is_a_label(tmp_path):
    project = copy.deepcopy(PROJECT)
    project["attribute"]["1"]["type"] = 2
    project["metadata"] = {"a": segment("1", 1, 2, "7,stir")}
    labels = [action.label for action in read(tmp_path, project)["kitchen_1"].actions]
    assert labels == ["Pour liquid", "stir"]


def test_of_several_attributes_the_first_with_a_value_is_the_label(tmp_path):
    project = copy.deepcopy(PROJECT)
    note = {"aname": "note", "anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}}
    project["attribute"] = {"8": note, **project["attribute"], "9": note}
    project["metadata"]["1_ysf4qqfC"]["av"] = {"9": "blurred", "1": "7", "8": ""}
    assert read(tmp_path, project)["kitchen_1"].actions[0].label == "Pour liquid"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": [1, "x"]}, r"\.z\[1\] must be a finite number, not 'x'"),
        ({"z": 3}, r"\.z must be a list, not 3"),
        ({"vid": "9"}, r": view '9' is not in the project"),
        ({"av": {}}, r"\.av: has no label; give the segment a value"),
        ({"av": {"2": "pan"}}, r"\.av: has no label"),
        ({"av": None}, r"\.av must be an object"),
    ],
)
def test_a_malformed_segment_is_refused_by_place(tmp_path, change, message):
    project = copy.deepcopy(PROJECT)
    project["metadata"]["1_ysf4qqfC"].update(change)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, project)
    assert str(error.value).startswith(f"{tmp_path / 'project.json'}: metadata['1_ysf4qqfC']")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("view", "1", {"fid_list": [1, 2]}, r"its view must show one video, not \[1, 2\]"),
        ("view", "1", {}, r"fid_list is missing"),
        ("view", "1", {"fid_list": [8]}, r"file '8' is not in the project"),
        ("file", "1", {"fname": ""}, r"file\['1'\]\.fname must be a non-empty text"),
        ("attribute", "1", 3, r"attribute\['1'\] must be an object"),
        ("metadata", "a", 3, r"metadata\['a'\] must be an object"),
    ],
)
def test_a_malformed_project_is_refused_by_place(tmp_path, part, key, value, message):
    project = copy.deepcopy(PROJECT)
    project[part][key] = value
    with pytest.raises(UserError, match=message):
        read(tmp_path, project)
