"""Bars, texts and frames on the time axis of a page, in a real browser."""

import itertools

import numpy as np
import pytest

from afsd_jax.report import Track, VideoReport, write_page
from afsd_jax.report.colors import class_colors, fade, text_on
from afsd_jax.report.tracks import MOST_LANES, clock_tenths, in_lanes
from afsd_jax.types import Action, Detection
from tests.contrast import contrast
from tests.report.opened import opened
from tests.video_files import numbered_frames, write_video

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WIDTHS = [390, 1200]
LABELS = ["serve", "volley"]
COLORS = class_colors(LABELS)
# The serves overlap with one another, and so do the true ones.
SERVES = [Detection("serve", 0.9, 4, 16), Detection("serve", 0.6, 10, 24)]
SERVES += [Detection("serve", 0.3, 2, 34), Detection("serve", 0.5, 17, 30)]
TRUTH = [Action("serve", 5, 15), Action("serve", 12, 22)]
TRACK = Track("match", 40.0, [*SERVES, Detection("volley", 0.7, 20, 35)], TRUTH)
TIMES_S = [2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5]


def wide_frames(count):
    ramp = np.linspace(0, 255, 160).astype(np.uint8)
    return np.broadcast_to(ramp[:, None], (count, 90, 160, 3)).copy()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("timeline") / "page.html"
    video = write_video(path.with_name("match.mp4"), numbered_frames(200), rate=5)
    write_page(path, [VideoReport(TRACK, wide_frames(8), TIMES_S, video)], labels=LABELS)
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_overlapping_bars_are_in_rows_and_no_score_is_hidden(page, width):
    page.resize(width)
    canvas = page.first.locator("canvas").bounding_box()
    drawn = page.texts_drawn()
    scores = [next(x for x in drawn if x["text"] == f"{d.score:.2f}") for d in SERVES]
    rows = sorted({score["y"] for score in scores})
    assert [rows.index(score["y"]) for score in scores] == [0, 1, 2, 0]  # the best are above
    assert np.diff(rows).min() >= 20  # the height of a bar
    for detection, score in zip(SERVES, scores, strict=True):
        middle = page.playhead_at((detection.start_s + detection.end_s) / 2) - canvas["x"]
        assert score["x"] == pytest.approx(middle, abs=2)
        strength = 0.3 + 0.7 * round(16 * detection.score) / 16
        assert "#" + bytes(score["ground"]).hex() == fade(COLORS["serve"], strength)
    assert sum(part["text"].startswith("0.") for part in drawn) == len(TRACK.detections)


@pytest.mark.parametrize("width", WIDTHS)
def test_overlapping_true_bars_are_in_rows_above_the_detected_ones(page, width):
    page.resize(width)
    canvas = page.first.locator("canvas").bounding_box()
    first = next(part["y"] for part in page.texts_drawn() if part["text"] == "0.90")
    for time_s, above, action in ((13, 26, TRUTH[0]), (14, 16, TRUTH[1])):
        x = page.playhead_at(time_s) - canvas["x"]
        page.first.locator("canvas").click(position={"x": x, "y": first - above})
        times = f"{clock_tenths(action.start_s)} to {clock_tenths(action.end_s)}"
        assert page.status() == f"serve, {times}, true"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_lane_of_bars_has_the_name_of_its_class(page, width):
    page.resize(width)
    drawn = {part["text"]: part for part in page.texts_drawn()}
    for label, score in (("serve", "0.90"), ("volley", "0.70")):
        if width < 600:
            assert drawn[label]["y"] < drawn[score]["y"] - 8  # the name is above the bars
        else:
            assert drawn[label]["x"] < drawn[score]["x"]  # it is beside them
            assert abs(drawn[label]["y"] - drawn[score]["y"]) < 20


def test_rows_are_those_of_pictures_and_notebooks(page):
    rng = np.random.default_rng(0)
    starts, lengths = rng.uniform(0, 50, (40, 30)).round(1), rng.choice([0.5, 3, 20], (40, 30))
    found = [
        [Detection("a", 0.5, s, s + n) for s, n in zip(*parts, strict=True)]
        for parts in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    given = [[{"label": 0, "start": d.start_s, "end": d.end_s} for d in each] for each in found]
    rows = page.evaluate(
        "(given) => given.map((shown) => {"
        " const [lane] = lanesOf(shown, []); return shown.map((s) => lane.rowOf.get(s)); })",
        given,
    )
    for each, numbers in zip(found, rows, strict=True):
        lanes = in_lanes(each, MOST_LANES)
        row_of = {id(d): row for row, lane in enumerate(lanes) for d in lane}
        assert numbers == [row_of[id(d)] for d in each]


@pytest.mark.parametrize("width", WIDTHS)
def test_frames_keep_their_shape_and_stand_where_their_time_is(page, width):
    page.resize(width)
    for zoomed in (False, True):
        if zoomed:
            page.keyboard.press("+")
            page.settle()
        start_s, end_s = page.shown_s()
        axis = page.playhead_at(start_s + 0.1), page.playhead_at(end_s - 0.1)
        seen = []
        for figure in page.first.locator("figure:visible").all():
            box = figure.locator("img").bounding_box()
            assert box["width"] / box["height"] == pytest.approx(160 / 90, rel=0.02)
            minutes, seconds = figure.inner_text().split(":")
            seen.append((60 * int(minutes) + float(seconds), box["x"], box["x"] + box["width"]))
        assert len(seen) >= (2 if zoomed else 3)
        if width == 1200 and not zoomed:
            assert len(seen) == len(TIMES_S)
        for time_s, left, right in seen:
            at_end = left < axis[0] + 2 or right > axis[1] - 2  # it stays within the strip
            assert start_s <= time_s <= end_s
            assert at_end or (left + right) / 2 == pytest.approx(page.playhead_at(time_s), abs=1.5)
        assert all(a[2] <= b[1] for a, b in itertools.pairwise(seen))


def test_fit_shows_the_whole_video(page):
    page.keyboard.press("+")
    assert page.seconds_across() == pytest.approx(20, rel=0.02)
    page.get_by_role("button", name="fit", exact=True).click()
    assert page.seconds_across() == pytest.approx(40, rel=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_texts_on_bars_can_be_read(browser, path, scheme, width):
    size = {"width": width, "height": 1000}
    with opened(browser, path, color_scheme=scheme, viewport=size) as page:
        scores = [part for part in page.texts_drawn() if part["text"].startswith("0.")]
        assert len(scores) == 5
        for part in scores:
            ground = "#" + bytes(part["ground"]).hex()
            assert contrast(part["ink"], ground) >= 4.5, part


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_has_contrast_on_every_shade_of_every_class(browser, path, scheme):
    colors = list(class_colors([str(i) for i in range(30)]).values())
    with opened(browser, path, color_scheme=scheme) as page:
        pairs = page.evaluate(
            "(colors) => { const card ="
            " getComputedStyle(document.body).getPropertyValue('--card').trim();"
            " return colors.flatMap((color) => Array.from({ length: 71 }, (_, i) => {"
            " const fill = mix(color, card, 0.3 + i / 100); return [inkOn(fill), fill]; })); }",
            colors,
        )
    assert len(pairs) == 30 * 71
    assert min(contrast(*pair) for pair in pairs) >= 4.5
    for color in colors:
        fills = [fade(color, strength) for strength in np.linspace(0.3, 1, 71)]
        assert min(contrast(text_on(fill), fill) for fill in fills) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_beside_bars_can_be_read(browser, path, scheme):
    with opened(browser, path, color_scheme=scheme) as page:
        color = page.evaluate(
            "(() => { const style = getComputedStyle(document.body);"
            " return Object.fromEntries(['page', 'card', 'track', 'ink', 'muted', 'accent'].map("
            "(name) => [name, style.getPropertyValue('--' + name).trim()])); })()"
        )
    for ground in ("page", "card", "track"):
        assert contrast(color["ink"], color[ground]) >= 4.5
        assert contrast(color["muted"], color[ground]) >= 4.5
    assert contrast(color["accent"], color["card"]) >= 4.5


@pytest.mark.parametrize("width", WIDTHS)
def test_classes_scroll_down_and_keys_are_explained_where_there_are_keys(browser, tmp_path, width):
    many = [Detection(f"a class of number {i}", 0.5, i, i + 1) for i in range(30)]
    write_page(tmp_path / "page.html", [VideoReport(Track("v", 40.0, many))])
    phone = width < 600
    size = {"width": width, "height": 800}
    with opened(browser, tmp_path / "page.html", viewport=size, has_touch=phone) as page:
        chips = page.locator(".classes")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert chips.bounding_box()["height"] <= 84
        last = page.locator(".classes label").last
        last.scroll_into_view_if_needed()
        box = last.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert chips.evaluate("chips => chips.scrollTop > 0 && chips.scrollWidth <= innerWidth")
        assert page.get_by_text("Space plays or pauses").is_visible() != phone


def test_only_videos_near_the_window_are_drawn_and_changed(browser, tmp_path):
    videos = [
        VideoReport(Track(f"v{i}", 40.0, [Detection("a", j / 20, j, j + 2) for j in range(20)]))
        for i in range(60)
    ]
    write_page(tmp_path / "page.html", videos)
    with opened(browser, tmp_path / "page.html") as page:
        page.wait_for_function("() => document.querySelector('canvas').width > 0")
        counts = page.locator(".count")
        drawn = page.locator("canvas").evaluate_all(
            "all => all.filter((canvas) => canvas.style.height).length"
        )
        assert 0 < drawn < 10
        page.set_threshold(0.5)
        assert counts.first.inner_text() == "10 detections"
        assert counts.last.text_content() == ""
        page.locator("article").last.scroll_into_view_if_needed()
        page.wait_for_function("() => document.querySelectorAll('.count')[59].textContent")
        assert counts.last.inner_text() == "10 detections"
        page.set_threshold(0.9)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_function(
            "() => document.querySelector('.count').textContent === '2 detections'"
        )
        page.evaluate("dispatchEvent(new Event('beforeprint'))")  # paper has no window
        assert set(counts.all_text_contents()) == {"2 detections"}
