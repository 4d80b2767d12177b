"""The page of bouts in a browser: ethogram, budget, transitions, on a phone and on a desk."""

import pytest

from afsd_jax.diagnosis.bouts import summarize
from afsd_jax.report.summary_page import MOST_VIDEOS, write_summary
from afsd_jax.types import Action, Detection, MarkedVideo
from tests.report.opened import visited, window

NO_SIDEWAYS = """() => [...document.querySelectorAll(".scroll:has(.measures)")].every(
  (part) => part.scrollWidth <= part.clientWidth)"""
HOSTILE = '"><script>alert(1)</script>'


def labels(name: str) -> MarkedVideo:
    marks = [Action("run", 0.0, 30.0), Action(HOSTILE, 40.0, 60.0), Action("run", 60.0, 70.0)]
    return MarkedVideo(name, marks, duration_s=100.0)


def found(name: str) -> MarkedVideo:
    marks = [Detection("run", 0.9, 0.0, 45.0)]
    return MarkedVideo(name, marks, detected=True, duration_s=100.0)


@pytest.mark.parametrize("width", [390, 1200])
def test_labels_and_detections_lie_side_by_side(browser, tmp_path, width):
    path = tmp_path / "summary.html"
    classes = sorted([HOSTILE, "run"])
    sets = {"labels": labels, "<i>found": found}
    names = ["pen_1", HOSTILE]
    summaries = [
        summarize(name, [make(video) for video in names], 25.0, classes)
        for name, make in sets.items()
    ]
    write_summary(path, summaries)
    options = {"viewport": {"width": width, "height": 900}}
    with window(browser, **options) as page, visited(page, path) as view:
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert view.locator("script").count() == 0
        assert view.locator(".figures b").all_inner_texts() == ["2", "3:20", "2", "6 / 2"]
        assert [t.split("\n")[0] for t in view.locator(".row h3").all_inner_texts()][:2] == names
        first = view.locator(".lanes").first
        lanes = [first.locator("svg").nth(index) for index in range(2)]
        assert first.locator("small").all_inner_texts() == list(sets)
        assert lanes[0].locator("rect title").all_text_contents() == [
            "run, 0:00.0 to 0:30.0",
            f"{HOSTILE}, 0:40.0 to 1:00.0",
            "run, 1:00.0 to 1:10.0",
        ]
        lane, bar = (lanes[0].locator("rect").nth(index).bounding_box() for index in (0, 1))
        assert bar["width"] / lane["width"] == pytest.approx(0.3, abs=0.01)
        shares = view.locator(".budget p > span:nth-child(2)").all_inner_texts()
        assert shares == ["20.0 %", "0.0 %", "40.0 %", "45.0 %"]
        meters = [m.bounding_box()["width"] for m in view.locator(".meter").all()]
        assert meters[2] / meters[3] == pytest.approx(40 / 45, abs=0.03)
        assert view.locator(".chart").count() == 2
        chart = view.locator(".chart").first
        minutes = chart.locator("text:not([text-anchor=end])").all_text_contents()
        assert minutes == ["0", "0.25", "0.5", "0.75", "1", "1.25"]
        assert chart.locator(".keys span").all_inner_texts() == sorted([HOSTILE, "run"])
        matrix = view.locator("table.matrix").first
        assert matrix.locator("td").all_inner_texts() == ["", "2", "2", ""]
        assert (
            matrix.locator("td").nth(1).get_attribute("title") == f"{HOSTILE} → run: 2 of 2 (100 %)"
        )
        assert view.evaluate(NO_SIDEWAYS)
        row = view.locator("table.measures tbody tr").nth(2).locator("td").all_inner_texts()
        row = [text.rpartition("\n")[2] for text in row]
        assert row == ["run", "labels", "4", "1.20", "80.0", "20.0", "20.0", "40.0 %", "0.0"]


@pytest.mark.parametrize("width", [390, 1200])
def test_what_happens_at_the_same_time_lies_below_one_another(browser, tmp_path, width):
    """Twenty seconds of both, of a hundred: nothing is painted over, and the page says so."""
    marks = [Action("run", 0.0, 60.0), Action("jump", 40.0, 80.0), Action("run", 80.0, 90.0)]
    marks.insert(1, Action("run", 30.0, 50.0))  # the same bout
    path = tmp_path / "summary.html"
    write_summary(path, [summarize("labels", [MarkedVideo("pen", marks, duration_s=100.0)])])
    options = {"viewport": {"width": width, "height": 900}}
    with window(browser, **options) as page, visited(page, path) as view:
        bars = view.locator(".lanes rect:not(.length)").all()
        boxes = {bar.locator("title").text_content(): bar.bounding_box() for bar in bars}
        (first, second, third) = sorted(boxes.values(), key=lambda box: box["x"])
        assert first["y"] + first["height"] <= second["y"] + 1
        assert third["y"] == first["y"]
        assert min(box["height"] for box in boxes.values()) >= 8
        said = view.locator("section p.muted").first.inner_text()
        assert said.startswith("something happens in 90.0 of 100.0 s (90.0 %), several classes at")
        assert "once in 20.0 s (20.0 %): each counts" in said
        assert view.evaluate("document.documentElement.scrollWidth") <= width


def test_only_the_first_of_many_videos_have_rows(tmp_path):
    videos = [labels(f"pen_{number}") for number in range(MOST_VIDEOS + 3)]
    path = tmp_path / "summary.html"
    write_summary(path, [summarize("labels", videos)])
    text = path.read_text()
    assert f"Ethogram: {MOST_VIDEOS} of {MOST_VIDEOS + 3} videos" in text
    assert text.count("<h3>pen_") == MOST_VIDEOS
