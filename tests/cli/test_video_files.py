"""Videos named on a command line."""

import os
import threading
from pathlib import Path

import pytest

from afsd_jax import cli
from afsd_jax.cli.video_files import video_files
from afsd_jax.errors import UserError


def test_pipes_and_devices_are_refused_by_their_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a pipe, socket or device, not a file"):
            video_files([path])
    assert threading.active_count() < 50  # no thread waits for the pipe


def test_what_a_folder_holds_besides_videos_costs_nothing_and_is_named(tmp_path, capsys):
    for name in ("a.mp4", "b.vob", "notes.docx"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "not_fetched.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    videos, unreadable = video_files([tmp_path])
    assert [path.name for path in videos.values()] == ["a.mp4", "b.vob"]
    assert unreadable == [
        f"{tmp_path}/not_fetched.mp4: is a link to nothing",
        f"{tmp_path}/pipe.mp4: is a pipe, socket or device, not a file",
    ]
    assert f"note: {tmp_path}: 1 file is passed over, such as notes.docx" in capsys.readouterr().err


def test_a_link_to_nothing_among_named_videos_costs_none_of_them(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    given = [tmp_path / "a.mp4", tmp_path / "gone.mp4"]
    assert video_files(given) == ({"a": given[0]}, [f"{given[1]}: is a link to nothing"])
    with pytest.raises(UserError, match=r"gone.mp4: is a link to nothing"):
        video_files(given[1:])
    given[0].unlink()
    with pytest.raises(UserError, match="contains no video that can be read"):
        video_files([tmp_path])
    with pytest.raises(UserError, match=r"typo.mp4: no such file"):
        video_files([tmp_path / "typo.mp4"])


def test_the_nearest_name_in_the_place_of_a_missing_one_is_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "talk.mp4").write_bytes(b"x")
    missing = {
        "vidoes": "'videos'",
        "vidoes/talk.mp4": "'videos'",
        "videos/tlak.mp4": "'videos/talk.mp4'",
    }
    for given, near in missing.items():
        with pytest.raises(UserError, match=rf"^{given}: no .* or folder, the nearest is {near}$"):
            video_files([Path(given)])
    with pytest.raises(UserError, match=r"^zebra: no such file or folder$"):
        video_files([Path("zebra")])
    prepare = ["prepare", "videos", "--source=video", "--output=data"]
    said = {
        "video: no such folder, the nearest is 'videos'": prepare,
        "vidoes: no such file or folder, the nearest is 'videos'": [
            *("label", "vidoes", "--labels=labels.csv", "--no-browser")
        ],
    }
    for message, command in said.items():
        assert cli.main(command) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_two_files_with_one_name_are_told_apart(tmp_path):
    folders = tmp_path / "1", tmp_path / "2"
    for folder, name in zip(folders, ("ä.mp4", "a\u0308.mp4"), strict=True):
        folder.mkdir()
        (folder / name).write_bytes(b"x")
    expected = {"1__ä": tmp_path / "1" / "ä.mp4", "2__ä": folder / name}
    assert video_files(folders).paths == expected
    assert video_files([tmp_path]).paths == expected
    (folder / name).rename(folder / "b.mp4")
    assert len(video_files([*folders, folder / "b.mp4"]).paths) == 2  # one file, named twice
