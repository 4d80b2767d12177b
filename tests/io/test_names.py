"""Names in the one form in which they are compared."""

import unicodedata

import pytest

from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
from afsd_jax.io.names import nearest, split_name, video_name, with_composed_names
from afsd_jax.io.predictions_file import read_detections
from afsd_jax.io.video_scores import find_label, read_video_scores

NAME = "Käfig_é1"
APART = unicodedata.normalize("NFD", NAME)


def test_a_video_has_one_name_however_its_characters_are_composed():
    assert APART != NAME
    assert video_name(f"pens/{APART}.mp4") == video_name(f"{NAME}.MOV") == NAME


def test_two_names_that_are_one_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"labels.json: 'Käfig_é1' appears twice"):
        with_composed_names({APART: 1, NAME: 2}, "labels.json")
    path = tmp_path / "truth.json"
    path.write_text(
        f'{{"database": {{"{APART}": {{"annotations": []}}, "{NAME}": {{"annotations": []}}}}}}'
    )
    with pytest.raises(UserError, match=r"truth.json: 'Käfig_é1' appears twice"):
        read_ground_truth(path)


def test_files_are_read_by_composed_names(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(f'{{"database": {{"{APART}": {{"annotations": []}}}}}}')
    assert list(read_ground_truth(path)) == [NAME]
    path.write_text(f'{{"results": {{"{APART}": []}}}}')
    assert read_predictions(path) == {NAME: []}
    assert read_detections(path).videos == (NAME,)
    path.write_text(f'{{"class": ["run"], "results": {{"{APART}": [1]}}}}')
    assert find_label(f"v_{APART}", read_video_scores(path)).label == "run"


@pytest.mark.parametrize(
    ("subset", "split"),
    [("Training", "train"), ("VAL", "validation"), (" Testing ", "test"), ("Test", "test")],
)
def test_a_subset_has_several_usual_names(subset, split):
    assert split_name(subset) == split


def test_the_nearest_name_is_given_if_one_is_similar():
    assert nearest("kitchen1", ["kitchen_1", "pen"]) == ", the nearest is 'kitchen_1'"
    assert nearest("kitchen1", ["pen", "hall"]) == ""
