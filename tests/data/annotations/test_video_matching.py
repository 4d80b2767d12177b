"""Which of several videos an annotation means."""

from pathlib import Path

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.io.video_names import video_names
from afsd_jax.types import AnnotatedVideo

HEADER = "video,label,start,end\n"
FILES = video_names(
    map(Path, ["/v/cam1/take.mp4", "/v/cam2/take.mp4", "/v/cam2/take.avi", "/v/walk.mp4"])
)


def table(tmp_path: Path, *videos: str) -> annotations.Annotations:
    path = tmp_path / "labels.csv"
    path.write_text(HEADER + "".join(f"{name},run,{i},{i + 1}\n" for i, name in enumerate(videos)))
    return annotations.read_annotations(path)


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("cam1/take.mp4", "cam1__take"),
        ("cam1/take", "cam1__take"),
        ("cam1\\take.mp4", "cam1__take"),
        ("D:\\films\\cam1\\take.mp4", "cam1__take"),
        ("/v/cam2/take.avi", "cam2__take.avi"),
        ("./cam2/take.mp4", "cam2__take.mp4"),
        ("take.avi", "cam2__take.avi"),
        ("cam1__take", "cam1__take"),
        ("cam2__take.avi", "cam2__take.avi"),
        ("cam1__take.mp4", "cam1__take"),
        ("walk", "walk"),
        ("elsewhere/walk.mov", "walk"),
    ],
)
def test_a_video_is_found_by_any_part_of_its_path_that_tells_it_apart(tmp_path, stated, meant):
    assert list(annotations.match_paths(table(tmp_path, stated), FILES).values()) == [meant]


@pytest.mark.parametrize(
    ("stated", "candidates"),
    [
        ("take", "cam1/take.mp4, cam2/take.mp4, cam2/take.avi"),
        ("take.mp4", "cam1/take.mp4, cam2/take.mp4"),
        ("cam2/take", "cam2/take.mp4, cam2/take.avi"),
    ],
)
def test_a_name_of_several_videos_is_refused_with_all_of_them(tmp_path, stated, candidates):
    message = f"labels.csv, line 2: '{stated}' may be {candidates}; write its folder and suffix too"
    with pytest.raises(UserError, match=message):
        annotations.match_paths(table(tmp_path, stated), FILES)


def test_annotations_are_told_apart_like_files(tmp_path):
    assert list(table(tmp_path, "cam1/take.mp4", "cam2/take.mp4", "walk.mp4")) == [
        "cam1__take",
        "cam2__take",
        "walk",
    ]
    assert list(table(tmp_path, "cam1/take.mp4", "take", "v/cam1/take.mp4")) == ["take"]
    with pytest.raises(UserError, match=r"line 4: 'take' may be cam1/take, cam2/take; write its"):
        table(tmp_path, "cam1/take", "cam2/take", "take")


def test_two_stated_videos_are_not_taken_for_the_only_file(tmp_path):
    one = video_names([Path("/v/take.mp4")])
    with pytest.raises(UserError, match=r"'cam2/take' and 'cam1/take' of .* may both be .*'take'"):
        annotations.match_paths(table(tmp_path, "cam1/take", "cam2/take"), one)
    better = video_names([Path("/v/cam2/take.mp4")])
    found = annotations.match_paths(table(tmp_path, "cam1/take", "cam2/take"), better)
    assert found == {"cam2__take": "take"}


def test_a_video_that_is_stated_with_two_suffixes_is_one(tmp_path):
    stated = table(tmp_path, "take.mp4", "take.mov")
    found = annotations.match_paths(stated, video_names([Path("/v/take.mp4")]))
    (video,) = annotations.renamed(stated, found).values()
    assert [action.start_s for action in video.actions] == [0, 1]


def test_two_observers_may_state_one_video_by_their_own_paths():
    stated = {
        f"{name}__take": AnnotatedVideo("", None, (), f"{name}.csv", (), f"{name}/take", True)
        for name in ("ana", "ben")
    }
    found = annotations.match_paths(stated, video_names([Path("/v/take.mp4")]))
    (video,) = annotations.renamed(stated, found).values()
    assert video.notes == ("ben.csv: 'ben/take' and 'ana/take' are taken for one video",)


def test_videos_are_found_among_names_alone(tmp_path):
    names = ["cam1__take", "cam2__take", "walk"]
    for stated, meant in [("v/cam1/take.mp4", "cam1__take"), ("cam1__take", "cam1__take")]:
        assert list(annotations.match_names(table(tmp_path, stated), names).values()) == [meant]
    assert list(annotations.match_names(table(tmp_path, "cam1/walk.avi"), names)) == ["walk"]
    assert annotations.match_names(table(tmp_path, "jump"), names) == {}
    with pytest.raises(UserError, match=r"'take.mp4' may be cam1__take, cam2__take; write its"):
        annotations.match_names(table(tmp_path, "take.mp4"), names)
    with pytest.raises(UserError, match="may both be the video 'take'"):
        annotations.match_names(table(tmp_path, "cam1/take", "cam2/take"), ["take"])


def test_names_in_json_are_used_as_they_are():
    video = AnnotatedVideo("", None, ())
    assert annotations.match_paths({"cam1__take": video}, FILES) == {"cam1__take": "cam1__take"}
    files = {"v_9": Path("v_9.mp4"), "8": Path("8.mp4")}
    found = annotations.match_paths({"9": video, "8": video, "7": video}, files, ("v_", ""))
    assert found == {"9": "v_9", "8": "8"}
