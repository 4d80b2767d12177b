"""The list of many videos' pages, opened in a real browser."""

import pytest

from afsd_jax.report import Track, VideoReport, index_entry, write_index, write_page
from afsd_jax.report.colors import class_colors
from afsd_jax.types import Detection

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LABELS = ["fly", "jump", "run"]
HOSTILE = "<script>boom()</script> #1? 100%"


def found(*labels):
    return [Detection(label, 0.5, i, i + 1) for i, label in enumerate(labels)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """index.html, and the page of one of its four videos in pages/."""
    folder = tmp_path_factory.mktemp("index")
    weak = [Detection("fly", 0.05, 0, 9)]
    tracks = [
        Track("clip 10", 90.0, found("run", "run", "jump") + weak),
        Track("clip 2", 4000.0, found("jump")),
        Track(HOSTILE, 5.0, found(*["<b>run</b>"] * 12)),
        Track("quiet", 60.0, []),
    ]
    entries = [
        index_entry(folder / "pages" / f"{i} {track.name[:9]}#?.html", track, 0.1)
        for i, track in enumerate(tracks)
    ]
    write_page(entries[0].page, [VideoReport(tracks[0])], title="the page of clip 10")
    write_index(folder / "index.html", entries, labels=LABELS, min_score=0.1)
    return folder / "index.html"


def column(page, number):
    return page.locator(f"tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_each_video_is_listed_with_what_is_in_it(page):
    assert column(page, 1) == [HOSTILE, "clip 2", "clip 10", "quiet"]
    assert column(page, 2) == ["0:05", "1:06:40", "1:30", "1:00"]
    assert column(page, 3) == ["12", "1", "3", "0"]
    classes = [" ".join(text.split()) for text in column(page, 4)]
    assert classes == ["<b>run</b> 12", "jump 1", "run 2 jump 1", ""]
    run = page.locator(".class", has_text="run 2")
    assert class_colors(LABELS)["run"] in run.get_attribute("style")


@pytest.mark.parametrize(
    ("header", "lengths"),
    [
        ("Video", ["quiet", "clip 10", "clip 2", HOSTILE]),
        ("Length", ["clip 2", "clip 10", "quiet", HOSTILE]),
        ("Detections", [HOSTILE, "clip 10", "clip 2", "quiet"]),
        ("Most frequent classes", ["quiet", HOSTILE, "clip 2", "clip 10"]),
    ],
)
def test_columns_sort(page, header, lengths):
    button = page.get_by_role("button", name=header)
    button.click()
    assert column(page, 1) == lengths
    button.click()
    assert column(page, 1) == lengths[::-1]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CLIP", ["clip 2", "clip 10"]),
        ("jump clip", ["clip 2", "clip 10"]),
        ("run", [HOSTILE, "clip 10"]),
        ("2", ["clip 2"]),  # no number of detections
        ("nowhere", []),
        ("</script>", [HOSTILE]),
    ],
)
def test_names_and_classes_are_searched(page, text, names):
    page.locator("#search").fill(text)
    assert column(page, 1) == names
    assert page.locator("#count").inner_text() == f"{len(names)} found"
    page.locator("#search").fill("")
    assert len(column(page, 1)) == 4


def test_a_name_leads_to_its_page(page):
    page.get_by_role("link", name="clip 10").click()
    assert page.title() == "the page of clip 10"


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_nothing_is_wider_than_the_window_and_classes_are_named(page, width):
    page.resize(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    run = page.locator(".class", has_text="run 2")
    assert run.is_visible()
    link = page.get_by_role("link", name="clip 10").bounding_box()
    below = run.bounding_box()["y"] >= link["y"] + link["height"]
    assert below == (width < 600)
