"""The HTML page of detections in a real browser, with a real video."""

import os

import numpy as np
import pytest

from afsd_jax.report import Track, VideoReport, write_page
from afsd_jax.report.colors import class_colors, fade
from afsd_jax.report.render import relative_url
from afsd_jax.types import Action, Detection
from tests.report.opened import opened
from tests.video_files import numbered_frames, write_video

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LABELS = ["fly", "jump", "run", "swim"]
COLORS = class_colors(LABELS)
FILE = '50% of #1? "jumps" & <runs>\n.mp4'
JUMPS = Track(
    "jumps.mp4",
    40.0,
    [
        Detection("jump", 0.9, 10, 20),
        Detection("fly", 0.8, 25, 25.5),
        Detection("run", 0.5, 30, 50),  # past the end of the video
        Detection("run", 0.3, 12, 18),
        Detection("jump", 0.05, 0, 4),
    ],
    [Action("swim", 5, 9), Action("jump", 10, 19)],
)
HOSTILE = Track(
    "<script>boom()</script> ../" + "long" * 60 + "\udcff\n",
    3.0,
    [
        Detection("</script><script>boom()</script>", 0.7, 0, 3),
        Detection("<b>&'\"" * 40, 0.6, 1, 2),
    ],
)
EMPTY = Track("nothing", 7200.0, [])


def frames(count):
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    return np.broadcast_to(ramp[:, None], (count, 30, 40, 3)).copy()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """pages/report.html, and a video of 40 s in videos/."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "videos").mkdir()
    video = folder / "videos" / FILE
    write_video(folder / "video.mp4", numbered_frames(200), rate=5).rename(video)
    videos = [
        VideoReport(JUMPS, frames(4), (5, 15, 25, 35), video),
        VideoReport(HOSTILE),
        VideoReport(EMPTY),
    ]
    path = folder / "pages" / "report.html"
    write_page(path, videos, title="Jumps & runs", labels=LABELS)
    return path


def rows(page):
    return [row.split() for row in page.first.locator("tbody tr").all_inner_texts()]


# What is shown


@pytest.mark.parametrize(
    ("color", "span"),
    [
        (fade(COLORS["jump"], 0.93), (10, 20)),
        (fade(COLORS["run"], 0.65), (30, 40)),
        (COLORS["swim"], (5, 9)),  # true, and detected nowhere
    ],
)
def test_bars_lie_where_the_segments_are(page, color, span):
    np.testing.assert_allclose(page.span_of(color), span, atol=0.2)


def test_the_table_lists_the_best_first_and_can_be_sorted_by_time(page):
    best = [
        ["jump", "0:10.0", "0:20.0", "10.0", "s", "0.900"],
        ["fly", "0:25.0", "0:25.5", "0.5", "s", "0.800"],
        ["run", "0:30.0", "0:50.0", "20.0", "s", "0.500"],
        ["run", "0:12.0", "0:18.0", "6.0", "s", "0.300"],
    ]
    assert rows(page) == best
    page.first.get_by_role("button", name="Start").click()
    assert rows(page) == sorted(best, key=lambda row: row[1])
    assert page.first.locator("th[data-order=start]").get_attribute("aria-sort") == "ascending"
    page.first.get_by_role("button", name="Score").click()
    assert rows(page) == best


def test_frames_are_shown_with_their_times(page):
    figures = page.first.locator("figure")
    assert figures.locator("figcaption").all_inner_texts() == [
        "0:05.0", "0:15.0", "0:25.0", "0:35.0",
    ]  # fmt: skip
    sizes = figures.locator("img").evaluate_all(
        "images => images.map(image => [image.naturalWidth, image.naturalHeight])"
    )
    assert sizes == [[40, 30]] * 4


def test_names_and_labels_are_text_never_markup(page):
    article = page.locator("article").nth(1)
    assert article.locator("h2").text_content() == HOSTILE.name.replace("\udcff", "\\udcff")
    labels = [detection.label for detection in HOSTILE.detections]
    assert article.locator("tbody .name").all_text_contents() == labels
    assert set(labels) <= set(page.locator(".classes label span").all_text_contents())
    assert page.locator("script").count() == 2  # the page's own


def test_no_script_but_its_own_can_run_in_the_page(browser, tmp_path):
    write_page(tmp_path / "page.html", [VideoReport(EMPTY)])
    page = (tmp_path / "page.html").read_text()
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    (tmp_path / "page.html").write_text(page.replace("<main>", f"<main>{evil}"))
    opened_page = browser.new_page()
    refused = []
    opened_page.on("console", lambda message: refused.append(message.text))
    opened_page.goto((tmp_path / "page.html").as_uri())
    assert opened_page.title() == "Detected actions"
    assert sum("Content Security Policy" in text for text in refused) >= 2
    opened_page.close()


def test_a_video_without_detections_says_so(page):
    article = page.locator("article").nth(2)
    article.scroll_into_view_if_needed()
    article.locator(".none").wait_for()
    assert article.locator(".count").inner_text() == "0 detections"
    assert article.locator(".time").inner_text() == "0:00.0 / 2:00:00.0"


def test_subtitles_can_be_saved_from_the_page_and_are_in_the_player(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_text("SRT subtitles").first.click()
    assert download.value.suggested_filename == "jumps.mp4.srt"
    download.value.save_as(tmp_path / "saved.srt")
    assert (
        (tmp_path / "saved.srt")
        .read_text()
        .startswith(
            "1\n00:00:10,000 --> 00:00:20,000\njump 0.90\n\n"
            "2\n00:00:12,000 --> 00:00:18,000\nrun 0.30\n\n"
            "3\n00:00:24,750 --> 00:00:25,750\nfly 0.80\n\n"
            "4\n00:00:30,000 --> 00:00:40,000\nrun 0.50\n"
        )
    )
    page.evaluate("document.querySelector('video').textTracks[0].mode = 'showing'")
    page.wait_until("video.textTracks[0].cues?.length === 4")


def test_a_class_has_its_colour_whatever_else_occurs(browser, tmp_path):
    track = Track("v", 10.0, [Detection("swim", 0.5, 1, 3)])
    write_page(tmp_path / "page.html", [VideoReport(track)], labels=LABELS)
    with opened(browser, tmp_path / "page.html") as page:
        chips = page.locator(".classes label")
        assert chips.all_inner_texts() == ["swim"]
        assert COLORS["swim"] in chips.first.get_attribute("style")


def test_only_the_best_detections_of_a_video_are_on_the_page(browser, tmp_path):
    track = Track("v", 100.0, [Detection("a", i / 100, i, i + 1) for i in range(50)])
    write_page(tmp_path / "page.html", [VideoReport(track)], max_detections=3)
    with opened(browser, tmp_path / "page.html") as page:
        assert [row[-1] for row in rows(page)] == ["0.490", "0.480", "0.470"]
        assert "3 detections, without the 47 weakest" in page.first.inner_text()


@pytest.mark.parametrize("width", [360, 390, 800, 1600])
def test_nothing_sticks_out_of_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for article in page.locator("article").all():
        outer = article.bounding_box()
        for part in article.locator("video, canvas, .heading, .tools, .list").all():
            inner = part.bounding_box()
            assert inner["x"] >= outer["x"]
            assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 30, 40), np.uint8), ((2, 30, 40, 2), np.uint8), ((2, 30, 40, 3), np.float32)],
)
def test_frames_of_another_shape_or_dtype_are_refused(tmp_path, shape, dtype):
    video = VideoReport(EMPTY, np.zeros(shape, dtype), (0, 1))
    with pytest.raises(ValueError, match=r"uint8 \[N,H,W,3\]"):
        write_page(tmp_path / "page.html", [video])
    assert list(tmp_path.iterdir()) == []


# The video


@pytest.mark.parametrize(
    ("target", "page", "url"),
    [
        ("/a/b/v.mp4", "/a/b/p.html", "v.mp4"),
        ("/a/v.mp4", "/a/b/p.html", "../v.mp4"),
        ("/a/b/12:30.mp4", "/a/b/p.html", "12%3A30.mp4"),
        ("/a/b/javascript:x", "/a/b/p.html", "javascript%3Ax"),
        ("/a/b/a?b#c%20 \"'<>\n.mp4", "/a/b/p.html", "a%3Fb%23c%2520%20%22%27%3C%3E%0A.mp4"),
        (os.fsdecode(b"/a/b/caf\xe9.mp4"), "/a/b/p.html", "caf%E9.mp4"),
    ],
)
def test_the_url_of_a_video_is_relative_and_quoted(target, page, url):
    assert relative_url(target, page) == url


def test_a_row_plays_its_segment_and_stops_at_its_end(page):
    page.first.locator("tbody tr").nth(1).click()
    page.wait_until("video.played.length > 0 && video.paused")
    assert page.time() == pytest.approx(25.5, abs=0.3)
    assert page.status() == "fly, 0:25.0 to 0:25.5, score 0.800"
    chosen = page.first.locator("tbody tr[aria-selected=true]")
    assert chosen.inner_text().split()[1] == "0:25.0"


def test_a_bar_plays_its_segment_and_empty_places_are_gone_to(page):
    page.click_on(fade(COLORS["jump"], 0.93))
    page.wait_until("video.currentTime > 10.1")
    assert 10 < page.time() < 20
    assert page.status() == "jump, 0:10.0 to 0:20.0, score 0.900"
    page.click_on(COLORS["swim"])
    assert page.status() == "swim, 0:05.0 to 0:09.0, true"
    page.evaluate("document.querySelector('video').pause()")
    x = page.playhead_at(22)
    page.playhead_at(3)
    page.mouse.click(x, page.first.locator("canvas").bounding_box()["y"] + 5)
    assert page.time() == pytest.approx(22, abs=0.2)


def test_who_seeks_while_a_segment_plays_is_not_stopped_at_its_end(page):
    page.first.locator("tbody tr").first.click()
    page.evaluate("document.querySelector('video').currentTime = 19.8")
    page.wait_until("video.currentTime > 20.3")
    assert not page.evaluate("document.querySelector('video').paused")


def test_the_playhead_runs_over_the_time_axis(page):
    places = [page.playhead_at(time) for time in (0, 10, 20, 40)]
    steps = np.diff(places)
    np.testing.assert_allclose(steps, np.array([1, 1, 2]) * steps[0], atol=1)
    box = page.first.locator("canvas").bounding_box()
    assert box["x"] <= places[0] < places[-1] <= box["x"] + box["width"]
    page.evaluate("document.querySelector('video').currentTime = 5")
    page.keyboard.press(" ")
    page.wait_until("video.currentTime > 5.3")
    assert page.playhead() > np.interp(5.1, (0, 10), places[:2])


def test_a_video_that_is_gone_is_said_and_the_rest_works(browser, tmp_path):
    write_page(tmp_path / "page.html", [VideoReport(JUMPS, path=tmp_path / "gone.mp4")])
    with opened(browser, tmp_path / "page.html", expected="ERR_FILE_NOT_FOUND") as page:
        page.first.locator(".missing").wait_for()
        assert not page.first.locator("video").is_visible()
        page.first.locator("tbody tr").first.click()
        assert page.status().startswith("jump, 0:10.0")
        assert page.first.locator(".time").inner_text() == "0:10.0 / 0:40.0"


# Choosing


def test_the_slider_hides_and_shows_by_score(page):
    for least, count in ((0, 5), (0.4, 3), (0.6, 2), (0.85, 1), (0.95, 0)):
        page.set_threshold(least)
        assert page.first.locator("tbody tr").count() == count
        plural = "" if count == 1 else "s"
        assert page.first.locator(".count").inner_text() == f"{count} detection{plural}"
        assert page.first.locator(".none").is_visible() == (count == 0)
        assert page.locator("#value").inner_text() == f"{least:.2f}"
        assert (page.span_of(fade(COLORS["run"], 0.65)) is not None) == (least <= 0.5)


def test_classes_are_shown_and_hidden(page):
    page.get_by_role("checkbox", name="jump").uncheck()
    assert [row[0] for row in rows(page)] == ["fly", "run", "run"]
    assert page.span_of(fade(COLORS["jump"], 0.93)) is None
    page.get_by_role("button", name="none", exact=True).click()
    assert page.first.locator(".count").inner_text() == "0 detections"
    page.get_by_role("checkbox", name="jump").check()
    assert [row[0] for row in rows(page)] == ["jump"]
    page.get_by_role("button", name="all", exact=True).click()
    assert len(rows(page)) == 4


def test_keys_step_play_and_zoom(page):
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append((page.status().split(",")[0], page.time()))
    assert seen == [("jump", 10), ("run", 12), ("fly", 25), ("run", 12)]
    page.keyboard.press(" ")
    page.wait_until("!video.paused")
    page.keyboard.press(" ")
    assert page.evaluate("document.querySelector('video').paused")
    whole = page.seconds_across()
    assert whole == pytest.approx(40, rel=0.01)
    page.keyboard.press("+")
    assert page.seconds_across() == pytest.approx(20, rel=0.02)
    page.keyboard.press("-")
    assert page.seconds_across() == pytest.approx(40, rel=0.01)
    page.keyboard.press("+")
    page.keyboard.press("0")
    assert page.seconds_across() == pytest.approx(40, rel=0.01)


def test_keys_mean_what_they_always_do_where_a_control_has_the_focus(page):
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#value").inner_text() == "0.31"
    page.get_by_role("checkbox", name="jump").focus()
    page.keyboard.press(" ")
    assert not page.get_by_role("checkbox", name="jump").is_checked()
    assert page.status() == ""
    assert page.evaluate("document.querySelector('video').paused")


def test_everything_can_be_reached_by_tab_and_has_a_name(page):
    page.locator("#threshold").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim()"
                " || e.localName)(document.activeElement)"
            )
        )
    wanted = ["all", "jump", "video", "Score", "jump", "next detection", "zoom in", "fit"]
    places = [reached.index(name) for name in wanted if name != "jump"]
    assert places == sorted(places)
    assert reached.count("jump") == 2  # the class, and its row
    assert any(name.startswith("timeline of jumps.mp4") for name in reached)


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(page):
    box = page.first.locator("canvas").bounding_box()
    x, y = page.playhead_at(20), box["y"] + 60
    page.mouse.move(x, y)
    for _ in range(4):
        page.mouse.wheel(0, -120)
    page.wait_for_timeout(100)
    span = page.seconds_across()
    assert span < 12
    assert page.playhead_at(20) == pytest.approx(x, abs=2)
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=4)
    page.mouse.up()
    assert page.playhead_at(20) == pytest.approx(x + 50, abs=6)
    assert page.seconds_across() == pytest.approx(span, abs=0.11)
    assert page.status() == ""  # it was no click


def test_two_fingers_zoom(browser, path):
    with opened(browser, path, has_touch=True, viewport={"width": 390, "height": 800}) as page:
        page.first.locator("canvas").scroll_into_view_if_needed()
        box = page.first.locator("canvas").bounding_box()
        y, before = box["y"] + 60, page.seconds_across()
        fingers = page.context.new_cdp_session(page.page)
        for kind, apart in (("Start", 40), ("Move", 60), ("Move", 80), ("Move", 120)):
            points = [{"x": 195 - apart / 2, "y": y}, {"x": 195 + apart / 2, "y": y}]
            touch = {"type": f"touch{kind}", "touchPoints": points}
            fingers.send("Input.dispatchTouchEvent", touch)
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert page.seconds_across() == pytest.approx(before / 3, rel=0.1)


def test_a_video_of_45000_detections_is_shown(browser, tmp_path):
    rng = np.random.default_rng(0)
    starts, scores = rng.uniform(0, 7000, 45_000), rng.uniform(0, 1, 45_000)
    found = [
        Detection(f"class {i % 20}", float(score), float(start), float(start) + 5)
        for i, (start, score) in enumerate(zip(starts, scores, strict=True))
    ]
    write_page(tmp_path / "page.html", [VideoReport(Track("long", 7200.0, found))], min_score=0)
    with opened(browser, tmp_path / "page.html") as page:
        for least in (0, 0.5, 0.25, 0.97):
            page.set_threshold(least)
            count = f"{np.sum(scores.round(6) >= least):,} detections"
            assert page.first.locator(".count").inner_text() == count
        assert page.first.locator(".range").inner_text().startswith("1–10 of")
        page.get_by_role("button", name="next rows").click()
        assert page.first.locator(".range").inner_text().startswith("11–20 of")
        page.keyboard.press("ArrowRight")
        first = found[min(np.flatnonzero(scores >= 0.97), key=lambda i: starts[i])]
        assert page.status().startswith(f"{first.label}, ")
        assert page.evaluate("document.querySelectorAll('*').length") < 300
