"""FiftyOne's labels of temporal detections."""

import json

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action


def test_labels_may_be_names_or_numbers_of_classes(tmp_path):
    path = tmp_path / "labels.json"
    for classes, label in ((None, "run"), (["jump", "run"], 1)):
        entry = {"label": label, "timestamps": [1, 2.5], "confidence": 0.5}
        path.write_text(json.dumps({"classes": classes, "labels": {"a.mp4": [entry], "b": None}}))
        videos = annotations.read_annotations(path)
        assert {name: v.actions for name, v in videos.items()} == {
            "a": (Action("run", 1, 2.5),),
            "b": (),
        }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"a": [{"label": "run", "support": [1, 9]}]}}, "export it with use_timestamps"),
        ({"labels": {"a": [{"label": 3, "timestamps": [1, 2]}]}}, "label must be a class, not 3"),
        ({"labels": {"a": [{"label": "run", "timestamps": [1]}]}}, r"must be \[start, end\]"),
        ({"labels": {"a": [3]}}, r"labels\['a'\]\[0\] must be an object"),
        ({"labels": [], "classes": None}, "labels must be an object"),
        ({"labels": {}, "classes": [1]}, "classes must be a list of names"),
    ],
)
def test_errors_name_the_place(tmp_path, content, message):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(str(path))
