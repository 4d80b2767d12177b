"""Projects of VIA 3."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo
from tests.annotation_files import VIA_PROJECT, via_segment


def read(folder: Path, project: dict[str, Any]) -> annotations.Annotations:
    path = folder / "project.json"
    path.write_text(json.dumps(project))
    return annotations.read_annotations(path)


def test_segments_are_read_with_the_texts_of_their_options(tmp_path):
    first = (Action("Pour liquid", 1.5, 4.25), Action("stir", 5, 6))
    assert read(tmp_path, VIA_PROJECT) == {
        "kitchen_1": AnnotatedVideo("", None, first),
        "kitchen_2": AnnotatedVideo("", None, (Action("Default", 0, 2.5),)),
    }


def test_every_ticked_box_is_a_label(tmp_path):
    project = copy.deepcopy(VIA_PROJECT)
    project["attribute"]["1"]["type"] = 2
    project["metadata"] = {"a": via_segment("1", 1, 2, "7,stir")}
    labels = [action.label for action in read(tmp_path, project)["kitchen_1"].actions]
    assert labels == ["Pour liquid", "stir"]


def test_the_label_is_the_first_attribute_with_a_value(tmp_path):
    project = copy.deepcopy(VIA_PROJECT)
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
    project = copy.deepcopy(VIA_PROJECT)
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
    project = copy.deepcopy(VIA_PROJECT)
    project[part][key] = value
    with pytest.raises(UserError, match=message):
        read(tmp_path, project)
