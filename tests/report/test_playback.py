"""A video that the browser cannot play: the command that converts it, and its copy."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from afsd_jax.report import Track, VideoReport, write_page
from afsd_jax.report.evaluation_page import write_evaluation
from afsd_jax.report.playback import playback
from afsd_jax.types import Detection
from tests.evaluation_views import small_view
from tests.report.opened import opened
from tests.video_files import numbered_frames, write_video

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NAME = "old tape's <b> 50% $HOME.avi"
TRACK = Track("tape", 8.0, [Detection("jump", 0.9, 2, 4)])


@pytest.fixture
def folder(tmp_path):
    """A folder of pages, and beside it videos/ with a video in a format that no browser plays."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / NAME, numbered_frames(40), rate=5, codec="mpeg4")
    return tmp_path / "pages"


def convert(command: str, folder: Path) -> Path:
    """Runs a command in a folder, with PyAV where FFmpeg is not installed; returns its file."""
    *_, source, target = shlex.split(command.replace("-vf scale=-2:720 -pix_fmt yuv420p ", ""))
    if shutil.which("ffmpeg"):
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    else:
        assert (folder / source).exists()
        write_video(folder / target, numbered_frames(40), rate=5)
    return folder / target


@pytest.mark.parametrize("width", [390, 1200])
def test_one_line_makes_a_copy_that_the_page_plays(browser, folder, width):
    video = folder.parent / "videos" / NAME
    write_page(folder / "page.html", [VideoReport(TRACK, path=video)])
    size = {"width": width, "height": 900}
    # The copy is asked for, but nobody has made it.
    with opened(browser, folder / "page.html", "ERR_FILE_NOT_FOUND", viewport=size) as page:
        line = page.first.locator(".missing")
        line.wait_for()
        assert "This browser cannot play the video" in line.inner_text()
        assert "then reload the page" in line.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        command = line.locator("code").inner_text()
        assert len(command.splitlines()) == 1
        assert line.locator("b").count() == 0  # the name is text
    copy = convert(command, folder)
    assert copy.parent.resolve() == video.parent
    with opened(browser, folder / "page.html") as page:
        page.wait_until("video.readyState >= 2")
        assert page.first.locator("video").is_visible()
        assert page.first.locator(".missing").is_hidden()
        page.first.locator("tbody tr").first.click()
        page.wait_until("video.currentTime > 2.1")


def test_the_cases_of_an_evaluation_say_the_same(browser, folder):
    files = {"a": folder.parent / "videos" / NAME}
    write_evaluation(folder / "page.html", small_view(), files=files)
    with opened(browser, folder / "page.html", "ERR_FILE_NOT_FOUND") as page:
        page.locator("#error-keys button", has_text="double").click()
        page.locator("dialog .missing").wait_for()
        command = page.locator("dialog .missing code").inner_text()
    assert command == playback(files["a"], folder / "page.html").convert
    convert(command, folder)
    with opened(browser, folder / "page.html") as page:
        page.locator("#error-keys button", has_text="double").click()
        page.wait_until("video.readyState >= 2 && Math.abs(video.currentTime - 5) < 0.3")


@pytest.mark.parametrize(
    "name",
    [b"plain.mkv", b"it's.avi", b"-y.avi", b"12:30.avi", b"$(touch x) `y`;.avi", b"a\n\\b'.avi"]
    + [b"caf\xe9 \xff1.avi", "Übung – 跳.avi".encode(), b'"<b>&.avi'],
)
@pytest.mark.parametrize("folder", ["", "videos", "pages/deeper"])
def test_a_shell_reads_the_names_as_they_are(tmp_path, name, folder):
    video = tmp_path / folder / os.fsdecode(name)
    command = playback(video, tmp_path / "pages" / "page.html").convert
    assert command.isprintable()
    shown = f"ffmpeg() {{ printf '%s\\0' \"$@\"; }}; {command}"
    (tmp_path / "pages").mkdir()
    run = subprocess.run(
        ["bash", "-c", shown], cwd=tmp_path / "pages", capture_output=True, check=True
    )
    arguments = run.stdout.split(b"\0")[:-1]
    source, target = arguments[1], arguments[-1]
    assert arguments[0] == b"-i"
    assert source.startswith(b"./")  # neither an option nor a protocol
    expected = os.fsencode(os.path.relpath(video, tmp_path / "pages"))
    assert os.path.normpath(source) == expected
    assert target == source + b".browser.mp4"
