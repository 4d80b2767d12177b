"""Label Studio's exports."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo
from tests.annotation_files import LABEL_STUDIO_TASK, label_studio_result

CASES = Path(__file__).parent / "cases"
MIN: dict[str, Any] = {
    "video": "/data/upload/1/3d3ad63e-kitchen_1.mp4",
    "fps": "25",
    "id": 12,
    "timelineLabels": [
        {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["Movement"]},
        {"ranges": [{"start": 51, "end": 51}], "timelinelabels": ["Nothing"]},
    ],
    "sentiment": "Positive",
    "annotator": 1,
    "annotation_id": 31,
    "created_at": "2024-05-02T10:11:12.000000Z",
    "lead_time": 23.9,
}
# Frame 1 is shown from 0 s on, frame 25 until 1 s; a single frame is 1/25 s long.
ACTIONS = (Action("Movement", 0, 1), Action("Nothing", 2, 2.04))


def read(folder: Path, tasks: Any) -> annotations.Annotations:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return annotations.read_annotations(path)


@pytest.mark.parametrize("task", [LABEL_STUDIO_TASK, MIN], ids=["JSON", "JSON_MIN"])
def test_timelines_count_in_frames_from_1_on_both_ends_included(tmp_path, task):
    assert read(tmp_path, [task]) == {"kitchen_1": AnnotatedVideo("", None, ACTIONS)}


@pytest.mark.parametrize("name", ["box", "unlabelled"])
def test_copies_of_boxes_are_left_out_with_a_note(name):
    (path,) = CASES.glob(f"label_studio_{name}*.json")
    videos = annotations.read_annotations(path)
    assert videos == {
        "pen_1": AnnotatedVideo("", None, (Action("peck", 1.0, 2.5),)),
        "pen_2": AnnotatedVideo("", None, (Action("rest", 0.5, 3.0),)),
    }
    (note,) = videos["pen_1"].notes
    assert note.endswith("result[2].value: a copy of a box, without times: left out")
    assert not videos["pen_2"].notes


def changed(task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(task), **fields}


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("/data/upload/1/3d3ad63e-kitchen_1.mp4", "kitchen_1"),
        ("/data/upload/3d3ad63e-0a1b2c3d-x.mp4", "0a1b2c3d-x"),
        ("/data/local-files/?d=raw/0a1b2c3d-x.mp4", "0a1b2c3d-x"),
        ("/data/local-files/?d=raw%5Cmy%20video.webm", "my video"),
        ("s3://bucket/day 1/pen.mov", "pen"),
        ("https://host:8080/pen.mp4?X-Amz-Signature=abc", "pen"),
    ],
)
def test_the_prefix_of_an_upload_is_removed_from_the_name(tmp_path, video, name):
    task = changed(LABEL_STUDIO_TASK, data={"title": "a film", "video": video, "fps": 25})
    assert list(read(tmp_path, [task])) == [name]
    task["data"]["clip"] = task["data"].pop("video")
    assert list(read(tmp_path, [task])) == [name]


def test_an_unknown_rate_is_refused_with_the_command_that_states_it(tmp_path):
    for task, command in ((LABEL_STUDIO_TASK, "map(.data.fps = 24)"), (MIN, "map(.fps = 24)")):
        unknown = copy.deepcopy(task)
        unknown.get("data", unknown).pop("fps")
        with pytest.raises(UserError) as error:
            read(tmp_path, [unknown])
        assert str(error.value).startswith(f"{tmp_path / 'export.json'}: [0]")
        assert f"jq '{command}'" in str(error.value)
        assert "\n" not in str(error.value)


def test_the_rate_is_read_from_boxes_beside_the_timeline(tmp_path):
    task = changed(LABEL_STUDIO_TASK, data={"video": "kitchen_1.mp4"})
    box = {"framesCount": 250, "duration": 10.0, "sequence": [], "labels": ["hand"]}
    task["annotations"][0]["result"].append({"type": "videorectangle", "value": box})
    assert read(tmp_path, [task])["kitchen_1"].actions == ACTIONS


def test_labels_of_a_media_player_are_in_seconds(tmp_path):
    value = {"start": 1.25, "end": 3.5, "channel": 0, "labels": ["Speech", "Loud"]}
    results = [{"type": "labels", "value": value}, {"type": "choices", "value": {"choices": ["a"]}}]
    task = changed(LABEL_STUDIO_TASK, data={"video": "a.mp4"}, annotations=[{"result": results}])
    expected = (Action("Speech", 1.25, 3.5), Action("Loud", 1.25, 3.5))
    assert read(tmp_path, [task])["a"].actions == expected
    short = {"video": "a.mp4", "annotation_id": 1, "audio": [value]}
    assert read(tmp_path, [short])["a"].actions == expected


def test_tasks_without_annotation_are_left_out_but_empty_annotations_kept(tmp_path):
    waiting = changed(LABEL_STUDIO_TASK, annotations=[], data={"video": "b.mp4"})
    skipped = changed(LABEL_STUDIO_TASK, annotations=[{"was_cancelled": True, "result": []}])
    empty = changed(LABEL_STUDIO_TASK, annotations=[{"result": []}], data={"video": "c.mp4"})
    assert read(tmp_path, [waiting, skipped, empty]) == {"c": AnnotatedVideo("", None, ())}


def test_the_ground_truth_is_used_if_a_task_has_several_annotations(tmp_path):
    other = {"result": [label_studio_result("Movement", 3, 4)]}
    both = changed(LABEL_STUDIO_TASK, annotations=[other, LABEL_STUDIO_TASK["annotations"][0]])
    with pytest.raises(UserError, match=r"\[0\]: has 2 annotations; keep one, or mark one"):
        read(tmp_path, [both])
    both["annotations"][1] = changed(both["annotations"][1], ground_truth=True)
    assert read(tmp_path, [both])["kitchen_1"].actions == ACTIONS
    with pytest.raises(UserError, match=r"\[1\]: video 'kitchen_1' is also in .*: \[0\]; keep one"):
        read(tmp_path, [MIN, MIN])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"timelinelabels": ["a"]}, r"value\.ranges is missing"),
        ({"timelinelabels": "a", "ranges": []}, r"value\.timelinelabels must be a list, not 'a'"),
        ({"timelinelabels": [3], "ranges": []}, r"timelinelabels\[0\] must be a label, not 3"),
        ({"timelinelabels": ["a"], "ranges": [{"start": 1}]}, r"ranges\[0\]\.end is missing"),
        ({"timelinelabels": ["a"], "ranges": [3]}, r"ranges\[0\] must be an object"),
        ({"labels": ["a"], "start": "x", "end": 2}, r"value\.start must be a finite number"),
        ([], r"value must be an object"),
    ],
)
def test_a_malformed_result_is_refused_by_place(tmp_path, value, message):
    task = changed(LABEL_STUDIO_TASK, annotations=[{"result": [{"value": value}]}])
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, [task])
    assert ": [0].annotations[0].result[0].value" in str(error.value)


@pytest.mark.parametrize("data", [{}, {"video": 3}, {"text": "a film"}, {"video": "http://[a.mp4"}])
def test_a_task_without_a_video_is_refused(tmp_path, data):
    with pytest.raises(UserError, match=r"\[0\]: names no video file; the task's data must name"):
        read(tmp_path, [changed(LABEL_STUDIO_TASK, data=data)])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
PATHS = [
    ("data",),
    ("annotations",),
    ("annotations", 0),
    ("annotations", 0, "result"),
    ("annotations", 0, "result", 0),
    ("annotations", 0, "result", 0, "value"),
    ("annotations", 0, "result", 0, "value", "ranges"),
    ("annotations", 0, "result", 0, "value", "timelinelabels"),
    ("data", "video"),
    ("data", "fps"),
]


@settings(deadline=None)
@given(st.sampled_from(PATHS), JSON_VALUES)
def test_whatever_stands_anywhere_is_read_or_refused_in_one_line(tmp_path_factory, way, value):
    task = copy.deepcopy(LABEL_STUDIO_TASK)
    inner: Any = task
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    message = "export.json"
    try:
        read(tmp_path_factory.getbasetemp(), [task])
    except UserError as error:
        message = str(error)
    assert "export.json" in message
