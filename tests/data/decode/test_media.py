"""Finding videos in folders by their names."""

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.cli.video_files import video_files
from afsd_jax.data.decode import container, media
from afsd_jax.errors import UserError
from afsd_jax.io.names import video_name
from afsd_jax.report.playback import playback

# Of the formats that FFmpeg may open: sounds, pictures, subtitles, and lists of other files.
NO_VIDEOS = {
    *(".avif", ".heic", ".heif", ".ism", ".isma", ".m4a", ".m4b", ".mka", ".mks", ".ogg"),
    *(".ra", ".wav", ".wma"),
}


def test_every_suffix_of_the_formats_that_are_opened_is_a_video_or_known_to_be_none():
    names = re.split(",", container._OPTIONS["format_whitelist"])
    formats = [name for name in av.formats_available if set(name.split(",")) & set(names)]
    assert len(formats) >= len(names)
    known = {
        f".{suffix}"
        for name in formats
        for kind in [av.ContainerFormat(name)]
        if kind.is_input
        for suffix in kind.input.extensions
    }
    assert known - set(media.VIDEO_SUFFIXES) == NO_VIDEOS & known
    assert not NO_VIDEOS & set(media.VIDEO_SUFFIXES)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_videos_of_every_format_are_found_and_the_rest_is_named(tmp_path):
    names = "talk.vob", "match.MXF", "a.dv", "b.f4v", "c.y4m", "d.gif", "e.h264", "f.hevc", "g.m2v"
    files(tmp_path, *names, "deep/h.mod", "i.tod", "k.265")
    files(tmp_path, "notes.docx", "sound.wav", ".hidden.mp4", ".trash/l.mp4", "Thumbs.db")
    found = media.find_sources(tmp_path, "rgb")
    assert {path.name for path in found.paths.values()} == {*names, "h.mod", "i.tod", "k.265"}
    assert [path.name for path in found.passed_over] == ["Thumbs.db", "notes.docx", "sound.wav"]
    line = media.describe_passed_over(tmp_path, found.passed_over)
    assert line == (
        f"{tmp_path}: 3 files are passed over, such as Thumbs.db, which has no suffix of a video"
    )


def test_a_gif_beside_its_video_is_a_preview(tmp_path):
    files(tmp_path, "a.gif", "a.mp4", "b.avi", "b.gif", "c.gif")
    found = media.find_sources(tmp_path, "rgb")
    assert {name: path.suffix for name, path in found.paths.items()} == {
        "a": ".mp4",
        "b": ".avi",
        "c": ".gif",
    }
    assert [path.name for path in found.passed_over] == ["a.gif", "b.gif"]
    line = media.describe_passed_over(tmp_path, found.passed_over)
    assert line.endswith("2 files are passed over, such as a.gif, which is a preview of a video")


def test_a_copy_for_browsers_beside_its_video_is_no_video_of_its_own(tmp_path):
    files(tmp_path, "a.avi", "gone.avi.browser.mp4")
    copy = Path(playback(tmp_path / "a.avi", tmp_path / "page.html").copy)
    files(tmp_path, "deep/a.avi", "deep/a.avi.browser.mp4", copy.name)
    found = media.find_sources(tmp_path, "rgb")
    assert sorted(path.name for path in found.paths.values()) == [
        "a.avi",
        "a.avi",
        "gone.avi.browser.mp4",
    ]
    line = media.describe_passed_over(tmp_path, found.passed_over)
    assert line == (
        f"{tmp_path}: 2 files are passed over, such as a.avi.browser.mp4, which is a copy of a "
        "video, for browsers"
    )


def test_files_that_have_one_name_are_told_apart(tmp_path):
    files(tmp_path, "Käfig.mp4", unicodedata.normalize("NFD", "Käfig") + ".mov")
    assert sorted(media.find_sources(tmp_path, "rgb").paths) == ["Käfig.mov", "Käfig.mp4"]
    files(tmp_path, "deep/a.mp4", "er/a.mp4", "deep/a.gif", "a/flow_x_0.jpg")
    names = media.find_sources(tmp_path, "flow").paths
    assert {name for name in names if "__" in name} == {"deep__a", "er__a", f"{tmp_path.name}__a"}


def test_links_and_pipes_that_cannot_be_opened_are_named(tmp_path):
    files(tmp_path, "good.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "up").symlink_to(".")
    (tmp_path / "linked.mp4").symlink_to("good.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = media.find_sources(tmp_path, "rgb")
    assert sorted(found.paths) == ["good", "linked"]
    assert {path.name: reason for path, reason in found.unreadable.items()} == {
        "gone.mp4": "is a link to nothing",
        "loop.mp4": "cannot be read (Too many levels of symbolic links)",
        "pipe.mp4": "is a pipe, socket or device, not a file",
    }
    assert [path.name for path in found.passed_over] == ["up"]
    assert "which is a link to a folder" in media.describe_passed_over(tmp_path, found.passed_over)


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["", "deep/", "deep/er/", ".hidden/", "caf\udce9/"]),
        st.sampled_from(["a", "ä", "a\u0308", "b.1", "b\udce9", ".c", "鶏", "a\nb"]),
        st.sampled_from([".mp4", ".VOB", ".gif", ".npy", ".docx", ".265", ""]),
        st.sampled_from(["file", "folder", "pipe", "nothing", "loop", "up"]),
    ),
    max_size=8,
)


def make(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        return
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.write_bytes(b"x")
    else:
        path.symlink_to({"nothing": "nowhere", "loop": path.name, "up": ".."}[kind])


@settings(deadline=None, max_examples=150)
@given(ENTRIES)
def test_every_visible_file_is_found_or_unreadable_or_passed_over(entries):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for parent, stem, suffix, kind in entries:
            make(folder / f"{parent}{stem}{suffix}", kind)
        found = media.find_sources(folder, "rgb")
        places = [*found.paths.values(), *found.unreadable, *found.passed_over]
        expected = [
            path
            for path in folder.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.is_symlink() or not path.is_dir()
        ]
        assert sorted(places) == sorted(expected)
        stems = [video_name(path) for path in found.paths.values()]
        for video, path in found.paths.items():
            assert video == video_name(path) or stems.count(video_name(path)) > 1
            assert path.is_file()


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with folders whose files this process may not open, even if root started it."""
    with tempfile.TemporaryDirectory() as name:
        folder = files(Path(name), "good.mp4", "private/a.mp4", "listed/b.mp4")
        for path, mode in ((folder, 0o755), (folder / "private", 0), (folder / "listed", 0o444)):
            path.chmod(mode)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody
        yield folder
        os.seteuid(user)
        for path in (folder / "private", folder / "listed"):
            path.chmod(0o700)


def test_folders_without_permission_are_named_and_cost_no_other_video(closed):
    found = media.find_sources(closed, "rgb")
    assert list(found.paths) == ["good"]
    assert found.unreadable == {
        closed / "private": "this folder cannot be read (Permission denied)",
        closed / "listed" / "b.mp4": "cannot be read (Permission denied)",
    }
    assert not found.passed_over


def test_a_video_in_a_folder_without_permission_is_refused(closed):
    for path in (closed / "private" / "a.mp4", closed / "listed" / "b.mp4"):
        with pytest.raises(UserError, match=r"cannot be read .*Permission denied"):
            video_files([path])
