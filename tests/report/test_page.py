"""The HTML page of detections, opened in a real browser."""

import numpy as np
import pytest

from afsd_jax.report import Track, VideoReport, write_page
from afsd_jax.types import Action, Detection

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

JUMPS = Track(
    "jumps.mp4",
    40.0,
    [
        Detection("jump", 0.9, 10, 20),
        Detection("run", 0.5, 30, 50),  # past the end of the video
        Detection("run", 0.3, 12, 18),
        Detection("jump", 0.05, 0, 4),
    ],
    [Action("jump", 10, 19)],
)
HOSTILE = Track("<script>boom()</script>", 3.0, [Detection("<b>&'\"", 0.7, 0, 3)])
EMPTY = Track("nothing", 7200.0, [])


def frames(count):
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    return np.broadcast_to(ramp[:, None], (count, 30, 40, 3)).copy()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    videos = [
        VideoReport(JUMPS, frames(4), (5, 15, 25, 35)),
        VideoReport(HOSTILE),
        VideoReport(EMPTY),
    ]
    write_page(path, videos, title="Jumps & runs")
    return path


@pytest.fixture
def page(browser, path):
    """The opened page; whatever it complains about or asks the network for is a failure."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert [text for text in complaints if not text.startswith(("data:", "file:"))] == []
    assert complaints[0] == path.as_uri()


def set_threshold(page, value):
    page.locator("#threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        value,
    )


def span_of(page, bar, duration_s):
    """A bar's start and end in seconds, measured in the window."""
    timeline = page.locator("article").first.locator(".timeline").bounding_box()
    box = bar.bounding_box()
    scale = duration_s / timeline["width"]
    start = (box["x"] - timeline["x"]) * scale
    return start, start + box["width"] * scale


def test_bars_lie_where_the_segments_are(page):
    article = page.locator("article").first
    detected = article.locator(".detected .bar:visible")
    assert detected.count() == 3
    spans = {
        bar.get_attribute("title").split(",")[0]: span_of(page, bar, 40)
        for bar in detected.all()[:2]
    }
    np.testing.assert_allclose(spans["jump"], (10, 20), atol=0.1)
    np.testing.assert_allclose(spans["run"], (30, 40), atol=0.1)
    true = article.locator(".true .bar")
    assert true.count() == 1
    np.testing.assert_allclose(span_of(page, true, 40), (10, 19), atol=0.1)
    assert true.inner_text() == "jump"


def test_the_table_lists_the_best_first(page):
    rows = page.locator("article").first.locator("tbody tr:visible")
    assert [row.split() for row in rows.all_inner_texts()] == [
        ["jump", "0:10.0", "0:20.0", "10.0", "s", "0.900"],
        ["run", "0:30.0", "0:50.0", "20.0", "s", "0.500"],
        ["run", "0:12.0", "0:18.0", "6.0", "s", "0.300"],
    ]


def test_the_slider_hides_and_shows_by_score(page):
    article = page.locator("article").first
    for least, count in ((0, 4), (0.4, 2), (0.6, 1), (0.95, 0)):
        set_threshold(page, least)
        assert article.locator(".detected .bar:visible").count() == count
        assert article.locator("tbody tr:visible").count() == count
        plural = "" if count == 1 else "s"
        assert article.locator(".count").inner_text() == f"{count} detection{plural}"
        assert article.locator(".none").is_visible() == (count == 0)
        assert page.locator("#value").inner_text() == f"{least:.2f}"


def test_frames_are_shown_with_their_times(page):
    figures = page.locator("article").first.locator("figure")
    assert figures.locator("figcaption").all_inner_texts() == [
        "0:05.0", "0:15.0", "0:25.0", "0:35.0",
    ]  # fmt: skip
    sizes = figures.locator("img").evaluate_all(
        "images => images.map(image => [image.naturalWidth, image.naturalHeight])"
    )
    assert sizes == [[40, 30]] * 4


def test_names_and_labels_are_text_never_markup(page):
    article = page.locator("article").nth(1)
    assert article.locator("h2").inner_text() == HOSTILE.name
    assert article.locator("tbody td").first.inner_text() == HOSTILE.detections[0].label
    assert article.locator("h2 script").count() == 0


def test_a_video_without_detections_says_so(page):
    article = page.locator("article").nth(2)
    assert article.locator(".none").is_visible()
    assert article.locator(".count").inner_text() == "0 detections"
    assert article.locator(".tick").last.inner_text() == "2:00:00"


def test_subtitles_can_be_saved_from_the_page(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_text("SRT subtitles").first.click()
    assert download.value.suggested_filename == "jumps.mp4.srt"
    download.value.save_as(tmp_path / "saved.srt")
    assert (
        (tmp_path / "saved.srt")
        .read_text()
        .startswith(
            "1\n00:00:10,000 --> 00:00:20,000\njump 90%\n\n"
            "2\n00:00:12,000 --> 00:00:18,000\nrun 30%\n\n"
            "3\n00:00:30,000 --> 00:00:40,000\nrun 50%\n"
        )
    )


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_sticks_out_of_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for article in page.locator("article").all():
        outer = article.bounding_box()
        for bar in article.locator(".bar:visible").all():
            inner = bar.bounding_box()
            assert inner["x"] >= outer["x"]
            assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]


def test_only_the_best_detections_of_a_video_are_on_the_page(tmp_path):
    track = Track("v", 100.0, [Detection("a", i / 100, i, i + 1) for i in range(50)])
    write_page(tmp_path / "page.html", [VideoReport(track)], max_detections=3)
    content = (tmp_path / "page.html").read_text()
    assert content.count("<tr data-score") == 3
    assert 'data-score="0.490000"' in content


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 30, 40), np.uint8), ((2, 30, 40, 2), np.uint8), ((2, 30, 40, 3), np.float32)],
)
def test_frames_of_another_shape_or_dtype_are_refused(tmp_path, shape, dtype):
    video = VideoReport(EMPTY, np.zeros(shape, dtype), (0, 1))
    with pytest.raises(ValueError, match=r"uint8 \[N,H,W,3\]"):
        write_page(tmp_path / "page.html", [video])
    assert list(tmp_path.iterdir()) == []
