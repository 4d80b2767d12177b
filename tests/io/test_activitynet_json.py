"""ActivityNet's JSON formats: which files are read, which are refused, and the error messages."""

import json

import pytest

from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json
from afsd_jax.types import Action, AnnotatedVideo, Detection

ACTION = {"segment": [1.5, 4.0], "label": "Jump"}
VIDEO = {"subset": "test", "duration": 12.5, "annotations": [ACTION]}
PREDICTION = {"label": "Jump", "score": 0.5, "segment": [1.5, 4.0]}


@pytest.fixture
def written(tmp_path):
    """Writes a value (or raw text) to a JSON file and returns its path."""

    def write(value):
        path = tmp_path / "file.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    return write


def test_ground_truth_is_read_in_seconds_by_video(written):
    path = written({"version": "x", "database": {"a": VIDEO, "b": {"annotations": []}}})
    assert activitynet_json.read_ground_truth(path) == {
        "a": AnnotatedVideo("test", 12.5, (Action("Jump", 1.5, 4.0),)),
        "b": AnnotatedVideo("", None, ()),
    }


def test_numbers_may_be_strings(written):
    action = {"segment": ["18.6", " 24"], "label": "Jump"}
    path = written({"database": {"a": {"duration": "30.5", "annotations": [action]}}})
    video = activitynet_json.read_ground_truth(path)["a"]
    assert video.duration_s == 30.5
    assert video.actions == (Action("Jump", 18.6, 24.0),)


def test_only_the_videos_of_the_subset_are_returned(written):
    path = written({"database": {"a": VIDEO, "b": VIDEO | {"subset": "train"}}})
    assert list(activitynet_json.read_ground_truth(path, "train")) == ["b"]


def test_an_empty_subset_is_refused_and_the_present_ones_are_named(written):
    path = written({"database": {"a": VIDEO, "b": VIDEO | {"subset": "train"}}})
    with pytest.raises(UserError, match=r"'validation'; the file's subsets: test, train"):
        activitynet_json.read_ground_truth(path, "validation")


def test_a_subset_can_only_be_chosen_where_every_video_has_one(written):
    path = written({"database": {"a": VIDEO, "b": {"annotations": []}}})
    with pytest.raises(UserError, match=r"database\['b'\]\.subset is missing"):
        activitynet_json.read_ground_truth(path, "test")


def test_predictions_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "new folder" / "detections.json"
    results = {
        "a": [Detection("Jump", 0.1 + 0.2, 1 / 3, 2.5), Detection("ÉlanSauté", 1e-30, 0.0, 1e6)],
        "b": [],
    }
    activitynet_json.write_predictions(path, results, version="THUMOS14")
    assert activitynet_json.read_predictions(path) == results
    content = json.loads(path.read_text())
    assert content["version"] == "THUMOS14"
    assert content["external_data"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, r"results\['v'\]\[1\]\.label must be a non-empty text, not None"),
        ({"label": ""}, r"\[1\]\.label must be a non-empty text"),
        ({"label": "a\ud800"}, r"\[1\]\.label must be a non-empty text, not 'a\\ud800'"),
        ({"score": "high"}, r"\[1\]\.score must be a finite number, not 'high'"),
        ({"score": float("nan")}, r"\[1\]\.score must be a finite number, not nan"),
        ({"score": "inf"}, r"\[1\]\.score must be a finite number, not 'inf'"),
        ({"score": True}, r"\[1\]\.score must be a finite number, not True"),
        ({"score": None}, r"\[1\]\.score must be a finite number, not None"),
        ({"score": 10**400}, r"\[1\]\.score must be a finite number, not 1000"),
        ({"segment": [1]}, r"\[1\]\.segment must be \[start, end\] in seconds, not \[1\]"),
        ({"segment": {"0": 1}}, r"\[1\]\.segment must be \[start, end\] in seconds"),
        ({"segment": "12"}, r"\[1\]\.segment must be \[start, end\] in seconds"),
        ({"segment": [1, [2]]}, r"\[1\]\.segment\[1\] must be a finite number, not \[2\]"),
        ({"segment": [float("-inf"), 2]}, r"\[1\]\.segment\[0\] must be a finite number"),
    ],
)
def test_a_malformed_prediction_is_refused_by_place(written, change, message):
    path = written({"results": {"v": [PREDICTION, PREDICTION | change]}})
    with pytest.raises(UserError, match=message) as raised:
        activitynet_json.read_predictions(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("field", ["label", "score", "segment"])
def test_a_missing_field_of_a_prediction_is_named(written, field):
    entry = {key: value for key, value in PREDICTION.items() if key != field}
    with pytest.raises(UserError, match=rf"results\['v'\]\[0\]\.{field} is missing"):
        activitynet_json.read_predictions(written({"results": {"v": [entry]}}))


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ([], r"database\['v'\] must be an object"),
        ({}, r"database\['v'\]\.annotations is missing"),
        ({"annotations": {}}, r"database\['v'\]\.annotations must be a list, not {}"),
        ({"annotations": [3]}, r"database\['v'\]\.annotations\[0\] must be an object"),
        ({"annotations": [ACTION, {"label": "a"}]}, r"annotations\[1\]\.segment is missing"),
        ({"annotations": [{"segment": [1, 2]}]}, r"annotations\[0\]\.label is missing"),
        ({"annotations": [ACTION | {"segment": [1, "x"]}]}, r"annotations\[0\]\.segment\[1\] must"),
        ({"annotations": [], "subset": 3}, r"database\['v'\]\.subset must be a non-empty text"),
        ({"annotations": [], "duration": "?"}, r"database\['v'\]\.duration must be a finite"),
        ({"annotations": [], "duration": -1}, r"\.duration must not be negative, is -1"),
    ],
)
def test_a_malformed_video_is_refused_by_place(written, video, message):
    with pytest.raises(UserError, match=message):
        activitynet_json.read_ground_truth(written({"database": {"v": video}}))


@pytest.mark.parametrize("content", ["[]", "{}", "null", '"database"'])
def test_a_file_of_another_kind_is_refused_with_what_it_must_be(written, content):
    with pytest.raises(UserError, match='"database" is missing'):
        activitynet_json.read_ground_truth(written(content))
    with pytest.raises(UserError, match='"results" is missing'):
        activitynet_json.read_predictions(written(content))


def test_results_must_map_videos_to_lists(written):
    with pytest.raises(UserError, match='"results" must map video names to entries'):
        activitynet_json.read_predictions(written({"results": [PREDICTION]}))
    with pytest.raises(UserError, match=r"results\['v'\] must be a list"):
        activitynet_json.read_predictions(written({"results": {"v": PREDICTION}}))


def test_a_missing_file_and_a_broken_one_are_user_errors(tmp_path, written):
    with pytest.raises(UserError, match="no such file"):
        activitynet_json.read_predictions(tmp_path / "none.json")
    with pytest.raises(UserError, match="not valid JSON"):
        activitynet_json.read_predictions(written('{"results": '))
