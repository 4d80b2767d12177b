"""The page of an evaluation, opened in a real browser."""

import pytest

from afsd_jax import evaluation
from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.diagnosis.evaluation_report import view_of
from afsd_jax.report.evaluation_page import write_evaluation
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluation_views import HOSTILE, TIOUS, large_view, small_view
from tests.report.opened import opened
from tests.video_files import numbered_frames, write_video

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of a small evaluation, beside the file of one of its two videos."""
    folder = tmp_path_factory.mktemp("evaluation")
    video = write_video(folder / "a #1?.mp4", numbered_frames(200), rate=5)
    write_evaluation(
        folder / "page.html",
        small_view(),
        title=f"Evaluation of {HOSTILE}",
        notes=["1 of 2 videos have no predictions"],
        files={"a": video},
    )
    return folder / "page.html"


def keys(page):
    """The number of shown detections of each kind."""
    texts = page.locator("#error-keys button").all_inner_texts()
    return [int(text.split()[-1].replace(",", "")) for text in texts]


def choose(page, tiou="0.5", label="all classes"):
    page.locator(".tious label", has_text=tiou).click()
    page.locator("#class").select_option(label=label)


def cases(page):
    """Class and video, start and score of each listed case."""
    rows = page.locator("dialog tbody tr").all()
    return [tuple(cell.inner_text() for cell in row.locator("td").all()) for row in rows]


def bars(page, place):
    return [" ".join(text.split()) for text in page.locator(f"#{place} .bar-row").all_inner_texts()]


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_of_the_classes_lies_beside_the_screen(browser, path, width):
    size = {"width": width, "height": 800}
    with opened(browser, path, viewport=size) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for cell in page.locator("#classes tbody tr").first.locator("td").all():
            box = cell.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        named = page.locator("#classes tbody tr").first.locator("td").nth(3)
        name = named.evaluate("cell => getComputedStyle(cell, '::before').content")
        assert (name == '"Not found"') == (width < 600)
        page.locator("#classes th button", has_text="Actions").click()  # still sorts


def test_texts_are_shown_as_they_are(page):
    assert page.locator("h1").inner_text() == f"Evaluation of {HOSTILE}"
    assert page.locator(".headline p").all_inner_texts() == [
        "Most is lost to missed actions.",
        f"{HOSTILE} is taken for fly.",
        "1 of 2 videos have no predictions",
    ]
    assert page.locator("#to-label tbody td").first.inner_text() == HOSTILE


def test_errors_are_counted_at_the_chosen_tiou_and_for_the_chosen_class(page):
    assert keys(page) == [1, 1, 1, 0, 0, 1]
    choose(page, "0.7")
    assert keys(page) == [0, 0, 1, 2, 0, 1]
    choose(page, "0.3", "jump")
    assert keys(page) == [1, 1, 0, 0, 0, 0]
    assert page.locator(".of").first.inner_text() == "jump, tIoU 0.3"


def test_ranks_are_columns_of_shares(page):
    columns = page.locator("#errors .stack")
    assert columns.count() == 10
    hints = [part.get_attribute("title") for part in columns.nth(0).locator(".part").all()]
    assert hints == ["wrong label: 1 detection (50 %)", "true positive: 1 detection (50 %)"]
    assert columns.nth(2).locator(".part").count() == 0


def test_gains_are_those_of_the_tiou(page):
    assert bars(page, "gains") == [
        "double detection +1.0",
        "wrong label +2.0",
        "localisation +0.0",
        "confusion +0.0",
        "background +5.0",
        "missed +30.0",
    ]


def test_a_click_on_an_error_plays_it_in_its_video(page):
    page.locator("#error-keys button", has_text="double").click()
    assert page.locator("dialog h2").inner_text() == "Double detections: 1"
    assert cases(page) == [("jump\na", "0:05.0", "0.600")]
    assert page.locator(".where").inner_text() == "a, 0:05.0 to 0:09.0"
    why = "jump from 0:04.0 to 0:08.0 overlaps with it by 0.60"
    assert why in page.locator(".why").inner_text()
    page.wait_until("video.readyState >= 2 && Math.abs(video.currentTime - 5) < 0.3")
    page.locator("dialog tbody button").click()
    page.wait_until("!video.paused && video.currentTime > 4")
    label = page.locator("dialog canvas").get_attribute("aria-label")
    assert label.startswith("timeline of a, from")
    page.locator(".close").click()
    page.wait_until("video.paused")
    assert page.locator("dialog").is_hidden()


def test_a_miss_in_a_video_without_file_is_named_and_drawn(page):
    page.locator("#gains .bar-row", has_text="missed").click()
    assert cases(page) == [("fly\nquiet <b>", "0:10.0", "–")]
    assert page.locator("dialog video").is_hidden()
    page.locator("dialog canvas").wait_for(state="visible")
    assert page.locator(".why").inner_text() == "Not found: no detection comes near."
    page.keyboard.press("Escape")
    assert page.locator("dialog").is_hidden()


def test_classes_taken_for_others_are_bars_and_a_matrix(page):
    assert bars(page, "pairs") == [f"{HOSTILE} → fly 1 of 1"]
    page.locator("#matrix button").click()
    assert cases(page) == [(f"{HOSTILE}\na", "0:20.0", "–")]
    assert page.locator(".why").inner_text().endswith("It is taken for fly.")
    page.keyboard.press("Escape")


def test_a_wrong_label_beside_a_right_detection_is_one_more_on_the_same_action(browser, tmp_path):
    truth = {"a": AnnotatedVideo("test", 40.0, (Action("push", 4, 8), Action("punch", 20, 26)))}
    found = {
        "a": [
            Detection("punch", 0.8, 4, 8.1),
            Detection("push", 0.73, 4, 8),
            Detection("punch", 0.7, 20, 26),
        ]
    }
    result = diagnose(evaluation.tabulate(truth, found), (0.5,), samples=20)
    write_evaluation(tmp_path / "page.html", view_of(result))
    with opened(browser, tmp_path / "page.html") as page:
        assert page.locator("header .muted").first.inner_text() == (
            "1 video, 2 actions of 2 classes, 3 detections; all are shown"
        )
        assert "interval" not in page.locator("body").inner_text()
        assert "--min-score 0.7;" in page.locator(".headline").inner_text()
        assert page.locator("#no-pairs").inner_text() == (
            "No action is lost to another class. 1 wrong label lies on an action that is found all "
            "the same."
        )
        page.locator("#error-keys button", has_text="wrong label").click()
        why = page.locator(".why").inner_text()
        assert why.startswith("Wrong label: it lies on an action of another class. The true push")
        assert why.endswith(
            "is found all the same, by a detection of its own class; this is one "
            "more detection on top of it."
        )
        page.keyboard.press("Escape")
        page.locator("#class").select_option(label="push")
        assert page.locator("#no-pairs").inner_text() == "No action is lost to another class."


def test_a_wrong_label_on_an_action_that_is_lost_for_another_reason_says_so(browser, tmp_path):
    truth = {"a": AnnotatedVideo("test", 40.0, (Action("push", 4, 8), Action("punch", 20, 26)))}
    off, wrong = Detection("push", 0.9, 6.5, 9), Detection("punch", 0.8, 4, 8)
    found = {"a": [off, wrong, Detection("punch", 0.7, 20, 26)]}
    result = diagnose(evaluation.tabulate(truth, found), (0.5,), samples=20)
    write_evaluation(tmp_path / "page.html", view_of(result))
    with opened(browser, tmp_path / "page.html") as page:
        assert page.locator("#no-pairs").inner_text() == "No action is lost to another class."
        page.locator("#error-keys button", has_text="wrong label").click()
        assert page.locator(".why").inner_text().endswith("That action is not found.")


def test_classes_are_sorted_and_chosen(page):
    names = page.locator("#class-rows td:first-child")
    assert names.all_inner_texts() == [HOSTILE, "fly", "jump"]
    page.locator("#classes th button", has_text="Actions").click()
    page.locator("#classes th button", has_text="Class").click()
    assert names.all_inner_texts() == [HOSTILE, "fly", "jump"]
    cells = page.locator("#class-rows tr").nth(1).locator("td").all_inner_texts()
    assert cells == ["fly", "0.0", "1", "1", "1", "0.35", "80 %"]
    page.locator("#class-rows tr").nth(1).locator("td button").nth(2).click()
    assert [case[1:] for case in cases(page)] == [("0:20.0", "0.500")]
    page.keyboard.press("Escape")
    names.nth(1).locator("button").click()
    assert page.locator("#class").input_value() == "2"
    assert keys(page) == [0, 0, 1, 0, 0, 1]


def test_actions_that_are_not_found_are_grouped(page):
    texts = page.locator("#groups .stack").all_inner_texts()
    assert [text.split("\n")[0] for text in texts] == ["50 %", "100 %"]
    page.locator("#groups .part").first.click()
    assert page.locator("dialog h2").inner_text() == "Not found: length up to 3 s: 1"
    page.keyboard.press("Escape")


def test_precision_and_recall_name_the_threshold(page):
    expected = "Best F1 80.0 % at a score of 0.350 or more: precision 67 %, recall 100 %."
    assert page.locator("#operating").inner_text().startswith(expected)
    scale = page.locator("#curve text").all_text_contents()
    assert scale[:10] == [f"{share} %" for share in (0, 25, 50, 75, 100)] * 2
    choose(page, label=HOSTILE)
    assert page.locator("#operating").inner_text() == "No detection is right."
    assert page.locator("#by-tiou circle").count() == 2 * len(TIOUS)


def test_a_choice_of_class_or_tiou_keeps_the_rows_of_classes(page):
    rows = page.locator("#class-rows")
    rows.evaluate("rows => (window.first = [...rows.children])")
    texts = rows.locator("tr").all_text_contents()
    choose(page, "0.7", "jump")
    assert rows.evaluate("rows => [...rows.children].every((row) => first.includes(row))")
    assert rows.locator("tr").all_text_contents() != texts  # their numbers are others
    assert rows.locator("tr[aria-selected=true]").text_content().startswith("jump")
    choose(page)
    assert rows.locator("tr").all_text_contents() == texts


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_window(page, width):
    page.resize(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#error-keys button").first.click()
    assert page.locator("dialog").evaluate("d => d.scrollWidth <= d.clientWidth")
    assert page.locator("dialog tbody").is_visible()
    page.keyboard.press("Escape")


def test_two_hundred_classes_and_fifty_thousand_detections_are_listed(browser, tmp_path):
    write_evaluation(tmp_path / "page.html", large_view(200, 100, 500))
    with opened(browser, tmp_path / "page.html") as page:
        assert sum(keys(page)) == 50_000
        assert page.locator("#class-rows tr").count() == 200
        assert page.locator("#pairs .bar-row").count() == 12
        assert page.locator("#matrix-section").is_hidden()
        page.locator("#error-keys button").last.click()
        assert len(cases(page)) == 10
        page.locator("dialog [data-do=forth]").click()
        assert page.locator("dialog .range").inner_text().startswith("11–20 of 8,")
        page.keyboard.press("Escape")
        choose(page, "0.7", "class 7")
        assert 0 < sum(keys(page)) < 1000
