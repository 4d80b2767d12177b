"""The frame that the page shows at a label's ends is the one that `afsd prepare` stores there."""

from fractions import Fraction

import numpy as np
import pytest

from afsd_jax.data.storage import prepared_folder, prepared_video
from tests import small_run
from tests.barcodes import number_of, write
from tests.labelling.label_window import labelling
from tests.labelling.served import rows, serving, until

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

COUNT = 90
UNEVEN_S = (np.cumsum(np.tile([1, 3, 2, 5], COUNT // 4 + 1))[:COUNT] / 50 - 0.02).round(2).tolist()
LATE_S = [0.4 + i / 25 for i in range(COUNT)]
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
FILMS = {  # by the rate of prepare at which stored frames are those of the file; 0: the file's own
    "25": {
        "steady.mp4": {"rate": 25},
        "late.mp4": {"rate": 25, "times_s": LATE_S, "sound_s": (0, 4)},
        "vp9.webm": {"rate": 25, **VP9},
        "copied.avi": {"rate": 25, "codec": "mpeg4"},
    },
    "50": {
        "uneven.mp4": {"times_s": UNEVEN_S, "last_s": 0.1},
        "copied.mkv": {"times_s": UNEVEN_S, "unit": Fraction(1, 1000)},
        "vp9.webm": {"times_s": UNEVEN_S, "unit": Fraction(1, 1000), **VP9},
    },
    "0": {
        "ntsc.mp4": {"rate": Fraction(30000, 1001), "sound_s": (0, 3)},
        "reordered.mp4": {"rate": 60, "options": {"bf": "3"}},
    },
}


def label(page, count):
    """Labels an action in the open video; returns the numbers shown at its start and end."""
    page.press("Home", *["."] * count, "i")
    start = page.number_on_screen()
    page.press("ArrowRight", ".")
    end = page.number_on_screen()
    page.press("o")
    page.saved()
    return start, end


@pytest.mark.parametrize("fps", FILMS)
def test_the_frames_at_a_labels_ends_are_those_that_are_stored_there(browser, tmp_path, fps):
    folder, labels = tmp_path / "videos", tmp_path / "labels.csv"
    folder.mkdir()
    for name, options in FILMS[fps].items():
        write(folder / name, range(COUNT), **options)
    shown = {}
    with serving(folder, "--labels", labels) as served:
        served.post("/api/classes", {"put": [{"name": "run", "color": "#aa3355"}]})
        with labelling(browser, served) as page:
            for count, video in enumerate(served.get("/api/project").json["videos"], 17):
                page.show(video["number"])
                shown[video["name"]] = label(page, count)
        until(lambda: labels.exists() and len(rows(labels)) == len(shown))
    given = ("--source", folder, "--annotations", labels, "--output", tmp_path / "data")
    result = small_run.run("afsd_jax.cli", "prepare", "videos", *given, f"--fps={fps}")
    assert result.returncode == 0, result.stderr
    stored = prepared_folder.open_folder(tmp_path / "data" / "videos" / "rgb")
    videos = [v for split in stored.splits for v in prepared_video.read_videos(stored, split)]
    assert {video.name: numbers_at_ends(video) for video in videos} == shown


def numbers_at_ends(video):
    """Returns the numbers in the stored frames at the start and the end of its only action."""
    [ends] = video.segments
    assert ends == pytest.approx(ends.round(), abs=0.05)  # times are written in milliseconds
    frames = prepared_video.read_frames(video, ends.round().astype(int))
    return tuple(map(number_of, frames))
