"""Crops as people state them: a text, or a JSON file with one for each video."""

import json

import pytest

from afsd_jax.data.decode.crops import crop_text, read_crops
from afsd_jax.errors import UserError


@pytest.mark.parametrize(
    ("text", "crop"),
    [
        ("100,0,640,480", "100,0,640,480"),
        (" 10% 0 ; 80.50%, 1e2% ", "10%,0,80.5%,100%"),
        ("0,0,0.0001%,1", "0,0,0.0001%,1"),
        ("", ""),
    ],
)
def test_crops_have_one_spelling(text, crop):
    assert crop_text(text) == crop
    assert crop_text(crop) == crop


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2,3", "must be x,y,width,height"),
        ("a,2,3,4", "must be x,y,width,height"),
        ("nan,2,3,4", "must be x,y,width,height"),
        ("1,2,inf,4", "must be x,y,width,height"),
        ("1%%,2,3,4", "must be x,y,width,height"),
        ("0,0,0,5", "has no area"),
        ("0,0,5,0.0000001", "has no area"),
        ("0,0,-5,5", "has no area"),
        ("-1,0,5,5", "outside of the picture"),
        ("30%,0,71%,5", "outside of the picture"),
        ("3,50%,7,50.1%", "outside of the picture"),
    ],
)
def test_what_is_no_crop_is_refused_in_one_line_with_its_place(text, reason):
    with pytest.raises(UserError, match=reason) as error:
        crop_text(text, "labels.csv, line 3")
    assert str(error.value).startswith(f"labels.csv, line 3: '{text}'")
    assert "\n" not in str(error.value)


def test_a_file_has_a_crop_for_each_video(tmp_path):
    path = tmp_path / "crops.json"
    path.write_text(json.dumps({"pen_1.mp4": "10%,0,80%,100%", "pen_2": [100, 0, 640, 480.5]}))
    crops = read_crops(str(path))
    assert crops.of("pen_1") == "10%,0,80%,100%"
    assert crops.of("pen_2") == "100,0,640,480.5"
    assert crops.of("pen_3") is None
    with pytest.raises(UserError, match=r"crops\.json: names no video 'pen_2'.*pen_22"):
        crops.check_names(["pen_1", "pen_22"])
    with pytest.raises(UserError, match=r"crops\.json: has a crop for none of the videos: pen_3"):
        crops.check_any(["pen_3"])
    assert read_crops("1,2,3,4").of("any") == "1,2,3,4"
    assert read_crops(None).of("any") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "must be an object"),
        ({}, "names no video"),
        ({"a": 3}, "a: must be a crop such as"),
        ({"a": [1, 2, 3, "4"]}, "a: must be a crop such as"),
        ({"a": [1, 2, True, 4]}, "a: must be a crop such as"),
        ({"a": [1, 2, 0, 4]}, "a: '1,2,0,4' has no area"),
        ({"a": "1,2,3,4", "a.mp4": "1,2,3,4"}, "names a video twice"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "crops.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=reason) as error:
        read_crops(str(path))
    assert "crops.json" in str(error.value)
