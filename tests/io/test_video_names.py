"""Names that tell videos apart: different, safe as file names, and the same in any order."""

import os
import unicodedata
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.annotations.checks import check_name
from afsd_jax.io.names import video_name
from afsd_jax.io.video_names import possible_names, video_names


def named(*paths: str) -> dict[str, str]:
    return {str(path): name for name, path in video_names(map(Path, paths)).items()}


def test_a_name_that_no_other_file_has_is_that_of_the_file():
    assert named("/v/cam1/walk.mp4", "/v/cam2/take.2.avi") == {
        "/v/cam1/walk.mp4": "walk",
        "/v/cam2/take.2.avi": "take.2",
    }


def test_files_of_one_name_get_the_folders_that_tell_them_apart():
    assert named("/v/1/cam1/take.mp4", "/v/2/cam1/take.mp4", "/v/1/cam2/take.mp4") == {
        "/v/1/cam1/take.mp4": "1__cam1__take",
        "/v/2/cam1/take.mp4": "2__cam1__take",
        "/v/1/cam2/take.mp4": "cam2__take",
    }
    assert named("/v/take.mp4", "/v/cam1/take.mp4") == {
        "/v/take.mp4": "v__take",
        "/v/cam1/take.mp4": "cam1__take",
    }


def test_files_of_one_name_in_one_folder_keep_their_suffixes():
    assert named("/v/take.mp4", "/v/take.avi") == {
        "/v/take.mp4": "take.mp4",
        "/v/take.avi": "take.avi",
    }
    assert named("/v/a/take.mp4", "/v/a/take.avi", "/v/b/take.mp4") == {
        "/v/a/take.mp4": "a__take.mp4",
        "/v/a/take.avi": "a__take.avi",
        "/v/b/take.mp4": "b__take",
    }


def test_a_file_that_is_called_like_a_longer_name_keeps_its_own():
    assert named("/v/cam1/take.mp4", "/v/cam2/take.mp4", "/v/cam1__take.mp4") == {
        "/v/cam1/take.mp4": "cam1__take (1)",
        "/v/cam2/take.mp4": "cam2__take",
        "/v/cam1__take.mp4": "cam1__take",
    }


def test_a_video_that_is_added_changes_no_other_names():
    before = named("/v/cam1/take.mp4", "/v/cam2/take.mp4", "/v/walk.mp4")
    after = named(*before, "/v/cam3/take.mp4", "/v/run.mp4", "/v/2/cam2/jump.mp4")
    assert {path: after[path] for path in before} == before


def test_names_do_not_depend_on_how_a_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cam1").mkdir()
    paths = [Path("cam1/take.mp4"), Path("cam1/../cam2/take.mp4"), tmp_path / "cam2" / "take.mp4"]
    assert list(video_names(paths)) == ["cam1__take", "cam2__take"]
    monkeypatch.chdir("cam1")
    assert list(video_names([Path("take.mp4"), Path("../cam2/take.mp4")])) == [
        "cam1__take",
        "cam2__take",
    ]


PARTS = st.sampled_from(
    ["a", "b", "a__b", "ä", "a\u0308", "b\udce9", "b\udcea", "a\nb", "a:b", "a\\b", "x" * 200, "__"]
) | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6
).filter(lambda text: text not in (".", ".."))
PATHS = st.lists(
    st.builds(
        lambda folders, stem, suffix: Path("/v", *folders, stem + suffix),
        st.lists(PARTS, max_size=3),
        PARTS,
        st.sampled_from([".mp4", ".MP4", ".avi", ".mp4.mov", ""]),
    ),
    max_size=8,
    unique=True,
)


@given(PATHS, st.randoms())
def test_names_differ_and_are_safe_whatever_the_paths_and_their_order(paths, random):
    names = video_names(paths)
    assert sorted(names.values()) == sorted(paths)
    shuffled = list(paths)
    random.shuffle(shuffled)
    assert video_names(shuffled) == names
    stems = [video_name(path) for path in paths]
    for name, path in names.items():
        if stems.count(video_name(path)) == 1:
            assert name == video_name(path)
        else:
            assert name == unicodedata.normalize("NFC", name)
            assert len(os.fsencode(f"{name}.json")) <= 200
            check_name(name, "video name", "")


@given(PATHS)
def test_a_file_may_have_its_name_beside_others(paths):
    for name, path in video_names(paths).items():
        if " (" not in name and len(name) < 190:
            assert name in possible_names(path, video_name(path))
