"""Annotated videos and the files in the source folder."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afsd_jax.data import datasets
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import read_ground_truth
from tests.video_files import numbered_frames, write_video

NAME = "Käfig_é1"
ROWS = "video,label,start,end\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_video(path, numbered_frames(40, 16, 16), 10)


@pytest.fixture
def source(tmp_path, film) -> Path:
    (tmp_path / "source").mkdir()
    os.link(film, tmp_path / "source" / "pen_2.mp4")
    return tmp_path / "source"


def prepare(source: Path, *names: str, **kwargs: Any) -> dict[str, Any]:
    """Prepares videos of these names; returns the report."""
    labels = source / "labels.csv"
    labels.write_text(ROWS + "".join(f"{name},peck,1,2\n" for name in (*names, "pen_2.mp4")))
    chosen = PrepareOptions(source, size=16, workers=1, **kwargs)
    return datasets.read_report(
        datasets.prepare_dataset("videos", source.parent / "data", "rgb", chosen)
    )


def prepared(report: dict[str, Any]) -> list[str]:
    return sorted(video["name"] for video in report["videos"])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_the_same_however_it_is_composed(source, film, form):
    os.link(film, source / f"{unicodedata.normalize('NFD', NAME)}.mp4")
    assert prepared(prepare(source, unicodedata.normalize(form, NAME))) == [NAME, "pen_2"]


def test_videos_of_any_format_are_found_and_other_files_are_named(source):
    for name in ("match.mxf", "talk.vob"):
        write_video(source / name, numbered_frames(50), 25, "mpeg2video")
    (source / "notes.docx").write_text("x")
    report = prepare(source, "talk.vob", "match.mxf")
    assert prepared(report) == ["match", "pen_2", "talk"]
    (note,) = report["notes"]
    assert note == (
        f"{source}: 1 file is passed over, such as notes.docx, which has no suffix of a video"
    )


def test_a_name_with_a_suffix_like_a_number_is_found_as_it_is_or_without(source, film):
    os.link(film, source / "trial.264.mp4")
    os.link(film, source / "raw.265")  # FFmpeg knows it by its content
    assert prepared(prepare(source, "trial.264", "raw.265")) == ["pen_2", "raw.265", "trial.264"]


def test_a_file_of_another_suffix_is_named(source):
    (source / "talk.xyz").write_text("x")
    with pytest.raises(UserError, match=r"no file of video 'talk' .*talk.xyz is there, but its"):
        prepare(source, "talk")


def test_the_nearest_name_is_given(source, film):
    os.link(film, source / "kitchen_1.mp4")
    message = r"no file of video 'kitchen1' .*, the nearest is 'kitchen_1'"
    with pytest.raises(UserError, match=rf"{message}$"):
        prepare(source, "kitchen1.mp4")
    with pytest.raises(UserError, match=rf"{message}; nor of 1 other$"):
        prepare(source, "kitchen1.mp4", "yard")
    with pytest.raises(UserError, match=rf"{message}; nor of 2 others$"):
        prepare(source, "kitchen1.mp4", "yard", "street")
    used = r"'pen2' in \S+, the nearest is 'pen_2', which has annotations already; add it, or allow"
    with pytest.raises(UserError, match=used):
        prepare(source, "pen2")
    with pytest.raises(UserError, match=r"'zebra' in \S+; add it, or allow missing videos$"):
        prepare(source, "zebra")
    assert not (source.parent / "data").exists()


def test_a_missing_video_is_listed_with_what_is_lost_and_the_nearest_name(source, film):
    os.link(film, source / "kitchen_1.mp4")
    missing = prepare(source, "kitchen1", "pen2", "pen2", "zebra", allow_missing=True)["missing"]
    assert missing == {
        "kitchen1": "kitchen1, the nearest is 'kitchen_1'; 1 action of it cannot be used",
        "pen2": "pen2, the nearest is 'pen_2', which has annotations already; 2 actions of it "
        "cannot be used",
        "zebra": "zebra; 1 action of it cannot be used",
    }


@pytest.mark.parametrize("kind", ["link to nothing", "loop of links", "pipe"])
def test_what_cannot_be_opened_is_named_and_costs_no_other_video(source, kind):
    path = source / "not_fetched.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere.mp4" if kind == "link to nothing" else path.name)
    report = prepare(source, "not_fetched")
    assert prepared(report) == ["pen_2"]
    assert re.match(rf"{path}: (is a|cannot be read)", report["unreadable"]["not_fetched"])
    assert prepare(source, "not_fetched") == report
    report = prepare(source)  # not annotated, it is only a note
    assert prepared(report) == ["pen_2"]
    assert report["unreadable"] == {}
    assert any(note.startswith(f"{path}: ") for note in report["notes"])
    (source / "pen_2.mp4").unlink()
    with pytest.raises(UserError, match=rf"2 annotated videos can be read; {path}: (is|cannot)"):
        prepare(source, "not_fetched", allow_missing=True)


ODD_ARRAYS = {
    "cut off": (b"\x93NUMPY\x01\x00", "not a complete .npy array"),
    "empty": (b"", "not a complete .npy array"),
    "floats": (np.zeros((20, 8, 8, 3), np.float32), "holds float32, not uint8"),
    "flow": (np.zeros((20, 8, 8, 2), np.uint8), "has 2 channels, not 3"),
}


@pytest.mark.parametrize("kind", ODD_ARRAYS)
def test_an_odd_array_is_named_and_costs_no_other_video(source, kind):
    content, reason = ODD_ARRAYS[kind]
    path = source / "odd.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    np.save(source / "fine.npy", np.zeros((40, 8, 8, 3), np.uint8))
    report = prepare(source, "odd", "fine")
    assert prepared(report) == ["fine", "pen_2"]
    assert list(report["unreadable"]) == ["odd"]
    assert report["unreadable"]["odd"].startswith(f"{path}: {reason}")
    assert prepare(source, "odd", "fine") == report
    np.save(path, np.zeros((40, 8, 8, 3), np.uint8))
    assert prepared(prepare(source, "odd", "fine")) == ["fine", "odd", "pen_2"]


@pytest.fixture
def takes(source, film) -> Path:
    """The source with take.mp4 in two folders, and an odd file of that name in a third."""
    for camera in ("cam1", "cam2", "cam3"):
        (source / camera).mkdir()
        if camera != "cam3":
            os.link(film, source / camera / "take.mp4")
    (source / "cam3" / "take.mp4").symlink_to("nowhere.mp4")
    return source


def test_videos_of_one_name_in_two_folders_are_prepared_by_their_paths(takes):
    absolute = str(takes / "cam2" / "take.mp4")
    report = prepare(takes, "cam1/take.mp4", absolute)
    assert prepared(report) == ["cam1__take", "cam2__take", "pen_2"]
    assert f"{takes}/cam3/take.mp4: is a link to nothing" in report["notes"]
    truth = takes.parent / "data" / "videos" / "rgb" / "1.0.0" / "ground_truth.json"
    assert sorted(read_ground_truth(truth)) == prepared(report)
    assert datasets.read_report(truth.parent) == report
    again = prepare(takes, "cam1__take", "cam2__take")  # as results name them
    assert prepared(again) == prepared(report)
    assert again["fingerprints"] == report["fingerprints"]


def test_one_of_two_videos_of_one_name_is_told_apart_from_the_other(takes):
    assert prepared(prepare(takes, "films/cam2/take")) == ["cam2__take", "pen_2"]


def test_a_name_of_several_files_is_refused_with_all_of_them(takes):
    message = r"labels.csv, line 2: 'take' may be cam1/take.mp4, cam2/take.mp4, cam3/take.mp4; "
    with pytest.raises(UserError, match=message + "write its folder and suffix too"):
        prepare(takes, "take")
    assert not (takes.parent / "data").exists()


def test_an_unreadable_file_is_not_replaced_by_another_of_its_name(takes):
    report = prepare(takes, "cam3/take.mp4")
    assert prepared(report) == ["pen_2"]
    assert report["unreadable"] == {"take": f"{takes}/cam3/take.mp4: is a link to nothing"}


def test_a_name_that_is_not_utf8_costs_no_other_video(source, film):
    os.link(film, os.fsencode(source) + b"/caf\xe9.mp4")
    report = prepare(source)
    assert prepared(report) == ["pen_2"]
    assert "1 file without annotations: left out" in report["notes"]
