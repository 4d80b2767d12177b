"""The page that compares systems, opened in a real browser."""

import numpy as np
import pytest

from afsd_jax import evaluation
from afsd_jax.diagnosis.comparison import compare
from afsd_jax.diagnosis.evaluation_report import pair_of
from afsd_jax.report.comparison_page import Pair, write_comparison
from afsd_jax.types import Detection
from tests.evaluation_views import FOUND, HOSTILE, TRUTH
from tests.report.opened import opened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

OTHER = {"a": [Detection(HOSTILE, 0.8, 20, 26)], "quiet <b>": [Detection("fly", 0.7, 10, 12)]}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of two comparisons of <b>B</b> and C with A, at two thresholds."""
    systems = {"A": FOUND, "<b>B</b>": OTHER, "C": FOUND}
    tables = {name: evaluation.tabulate(TRUTH, found) for name, found in systems.items()}
    nothing = np.zeros(0, np.int64)
    better = np.array([[-0.5, 1, 0.25], [-0.75, 0.5, -0.25], [-0.25, 1, 0.5]])  # [3, C]
    pairs = [
        Pair(
            ("<b>B</b>", "A"),
            "<b>B</b> is better than A.",
            np.stack([better, better / 2], axis=-1),
            (np.array([1, 2]), np.array([2])),
            (np.array([0]), nothing),
            np.array([0, 0]),
            np.array([0, 2]),
        ),
        Pair(
            ("C", "A"),
            "C and A have the same mAP.",
            np.zeros((3, 3, 2)),
            (nothing, nothing),
            (nothing, nothing),
            np.array([1, 1]),
            np.array([2, 2]),
        ),
    ]
    path = tmp_path_factory.mktemp("comparison") / "page.html"
    table = [["mAP", "tIoU 0.5"], ["A", "33.33"], ["<b>B</b>", "66.67"]]
    write_comparison(path, tables, (0.5, 0.7), 0, pairs, table)
    return path


def texts(page, place):
    return [" ".join(text.split()) for text in page.locator(f"#{place} .bar-row").all_inner_texts()]


def test_differences_are_sorted_and_clear_ones_are_marked(page):
    assert page.locator("h1").inner_text() == "Comparison of A, <b>B</b>, C"
    assert page.locator("#verdict").inner_text() == "<b>B</b> is better than A."
    assert texts(page, "differences") == [
        f"{HOSTILE} +100.0 +50.0 to +100.0",
        "fly +25.0 -25.0 to +50.0",
        "jump -50.0 -75.0 to -25.0",
    ]
    assert page.locator("#differences .clear .bar-name").all_inner_texts() == [HOSTILE, "jump"]
    page.locator(".tious label", has_text="0.7").click()
    assert texts(page, "differences")[0] == f"{HOSTILE} +50.0 +25.0 to +50.0"


def test_what_only_one_finds_is_listed_and_drawn(page):
    assert texts(page, "found") == [
        "found by both 0",
        "found by <b>B</b> only 2",
        "found by A only 1",
        "found by neither 0",
    ]
    page.locator("#found button").first.click()
    rows = page.locator("dialog tbody tr").all_inner_texts()
    assert [row.split("\n")[:2] for row in rows] == [
        [f"{HOSTILE} · <b>B</b>", "a"],
        ["fly · <b>B</b>", "quiet <b>"],
    ]
    page.locator("dialog canvas").wait_for(state="visible")
    page.keyboard.press("Escape")
    page.locator(".tious label", has_text="0.7").click()
    assert texts(page, "found")[1:3] == ["found by <b>B</b> only 1", "found by A only 0"]


def test_another_pair_can_be_chosen(page):
    page.locator("#pair").select_option(label="C with A")
    assert page.locator("#verdict").inner_text() == "C and A have the same mAP."
    assert page.locator("#differences .clear").count() == 0
    assert page.locator("#found button").count() == 0


def test_one_video_has_differences_without_intervals(browser, tmp_path):
    truth = {"a": TRUTH["a"]}
    tables = {
        name: evaluation.tabulate(truth, {"a": found["a"]})
        for name, found in (("A", FOUND), ("B", OTHER))
    }
    result = compare(tables["B"], tables["A"], (0.5,), ("B", "A"), samples=20)
    write_comparison(tmp_path / "page.html", tables, (0.5,), 0, [pair_of(result)], [["mAP"]])
    with opened(browser, tmp_path / "page.html") as page:
        assert page.locator(".muted").first.inner_text() == "1 video, 2 actions of 2 classes"
        assert sorted(texts(page, "differences")) == sorted(["jump -100.0", f"{HOSTILE} +100.0"])
        assert page.locator(".whisker").count() == 0
        assert "95 %" not in page.locator("body").inner_text()
        assert page.locator("#verdict").inner_text() == (
            "B and A have the same mAP at tIoU 0.5; a single video gives no interval."
        )


def test_nothing_sticks_out_of_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
