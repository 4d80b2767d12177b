"""The time that the labelling page states is that of the frame on the screen, in real files."""

from fractions import Fraction

import numpy as np
import pytest

from tests.barcodes import write
from tests.labelling.label_window import labelling
from tests.labelling.served import serving

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

COUNT = 120
UNEVEN_S = np.cumsum(np.tile([0.02, 0.05, 0.033, 0.1], COUNT // 4)).round(3) - 0.02
UNEVEN_S = UNEVEN_S.round(3).tolist()
LATE_S = [0.5 + i / 25 for i in range(COUNT)]
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
FILES = {
    "steady.mp4": {"rate": 25},
    "ntsc.mp4": {"rate": Fraction(30000, 1001), "sound_s": (0, 4)},
    "reordered.mp4": {"rate": 60, "options": {"bf": "3"}},
    "uneven.mp4": {"times_s": UNEVEN_S, "last_s": 0.05},
    "late.mp4": {"times_s": LATE_S, "sound_s": (0, 5)},
    "late_vp9.webm": {"times_s": LATE_S, **VP9},
    "copied_late.mp4": {"times_s": LATE_S},
    "vp9.webm": {"rate": 25, **VP9},
    "copied.avi": {"rate": 25, "codec": "mpeg4"},  # browsers play a copy
    "copied_uneven.mkv": {"times_s": UNEVEN_S, "unit": Fraction(1, 1000)},
    "uneven_vp9.webm": {"times_s": UNEVEN_S, "unit": Fraction(1, 1000), **VP9},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, options in FILES.items():
        write(folder / name, range(COUNT), **options)
    with serving(*sorted(folder.iterdir()), "--labels", folder.with_name("labels.csv")) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser, films):
    with labelling(browser, films) as page:
        yield page


@pytest.fixture(params=FILES)
def times(request, films, page):
    """Opens a video; returns the times of its frames."""
    listed = films.get("/api/project").json["videos"]
    number = next(one["number"] for one in listed if one["name"] == request.param.split(".")[0])
    page.show(number)
    page.press("Home")
    return films.video(number)["times"]


def check(page, times):
    number = page.number_on_screen()
    time, index = page.told()
    assert index == number
    assert time == pytest.approx(times[number], abs=0.0006)
    return number


def test_each_step_shows_the_next_frame(page, times):
    assert check(page, times) == 0
    for number in range(1, 40):
        page.press(".")
        assert check(page, times) == number
    for number in range(38, 20, -1):
        page.press(",")
        assert check(page, times) == number
    page.press("Home")
    assert check(page, times) == 0


def test_the_end_shows_the_last_frame(page, times):
    page.press("End")
    assert check(page, times) == COUNT - 1


def test_many_quick_steps_end_at_their_frame(page, times):
    page.press(*["."] * 57, *[","] * 20)
    assert check(page, times) == 37
    page.press("ArrowRight", "ArrowLeft")
    check(page, times)


def test_a_pause_shows_the_frame_that_it_tells(page, times):
    page.press("<", "<", "Space")
    page.wait_for_function("() => page.player.index > 5")
    page.press("Space", ">", ">")
    assert check(page, times) > 5
    page.press(".")
    check(page, times)


def test_a_label_has_the_times_of_the_frames_that_were_seen(page, films, times):
    page.press(*["."] * 7, "i", *["."] * 9, "c")
    page.write("run")
    page.press("Enter", "o")
    number = page.evaluate("page.open.number")
    page.saved()
    [segment] = films.video(number)["segments"]
    assert (segment["start"], segment["end"]) == (times[7], times[16])
