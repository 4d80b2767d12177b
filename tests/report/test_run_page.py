"""The pages of training runs, opened in a real browser."""

import json

import pytest

from afsd_jax.io.search_record import RECORD, SearchRecord, Trial, write_record
from afsd_jax.report import run_page
from tests.report.opened import opened
from tests.run_folders import write_run

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

TERMS = dict.fromkeys(run_page.TERMS, 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs of 400 steps, evaluated twice, with long names of classes; their pages."""
    folder = tmp_path_factory.mktemp("runs")
    metrics = {f"mAP@{tiou}": tiou for tiou in (0.3, 0.4, 0.5, 0.6, 0.7)}
    classes = {f"a class with a rather long name {i}": list(metrics.values()) for i in range(3)}
    lines = [
        json.dumps({"step": step, "total": 9 / step, "clips_per_s": 3.0, **TERMS})
        for step in range(10, 401, 10)
    ]
    for step in (200, 400):
        found = {**metrics, "average_mAP": step / 500, "ap": classes}
        lines.append(json.dumps({"step": step, "validation": found}))
    config = json.dumps({"data": {"data_dir": "/home/somebody/" + "a_long_folder/" * 9}})
    for name in ("first", "second"):
        run = write_run(folder / name, lines, config)
        trials = tuple(Trial("a_long_name_" * 9, {}, fold, 10, 0.5, 9.0) for fold in range(1, 9))
        write_record(
            run / RECORD, SearchRecord(0, "train", 10, 8, trials, *("a_winner_" * 20,) * 2)
        )
        run_page.write_page(run)
    runs = [run_page.read_run(folder / name) for name in ("first", "second")]
    run_page.write_comparison(folder / "comparison.html", runs)
    return folder


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize(
    ("page", "title"),
    [("first/report.html", "Training run first"), ("comparison.html", "2 runs")],
)
def test_nothing_is_wider_than_the_window_and_texts_can_be_read(
    browser, folder, width, page, title
):
    size = {"width": width, "height": 900}
    with opened(browser, folder / page, viewport=size) as view:
        assert view.locator("h1").inner_text() == title
        view.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        texts = view.locator("svg text").evaluate_all(
            "all => all.map((text) => text.getBoundingClientRect().height)"
        )
        assert min(texts) > 10.9  # pixels of a line
        for section in view.locator("section").all():
            box = section.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
