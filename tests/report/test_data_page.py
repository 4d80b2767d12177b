"""The statistics of a prepared data set and their page, opened in a real browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.data import summary
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.errors import UserError
from afsd_jax.report import data_page
from tests.prepared_videos import FPS, VIDEOS, prepare
from tests.report.opened import opened
from tests.support import ROOT
from tests.video_files import numbered_frames, write_video

ACTIONS = [action for _, actions in VIDEOS.values() for action in actions]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    prepare(folder, "flow", encoding="png")
    return prepare(folder)


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    script = ROOT / "scripts" / "inspect_data.py"
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_statistics_are_those_of_the_annotations(data_dir):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    assert (data.title, data.class_names) == ("videos rgb", ["jump", "run"])
    split = data_page.summarize(data)["train"]
    frames = sum(count for count, _ in VIDEOS.values())
    assert (split.videos, split.frames) == (len(VIDEOS), frames)
    assert split.duration_s == pytest.approx(frames / FPS)
    lengths = [(end - start) / FPS for _, start, end in ACTIONS]
    assert split.lengths_s == pytest.approx(lengths)
    assert split.background_s == pytest.approx(frames / FPS - sum(lengths))  # none overlap
    assert split.labels.tolist() == [data.class_names.index(label) for label, *_ in ACTIONS]


def test_overlapping_actions_cover_their_time_once(data_dir):
    video = data_page.open_data_set(data_dir / "videos" / "rgb").videos["train"][0]
    seconds = np.array([[1.0, 4.0], [2.0, 3.0], [3.5, 5.0], [-1.0, 0.5], [9.5, 30.0]])
    video = video._replace(segments=seconds * FPS, labels=np.ones(5, int))
    assert summary.summarize([video]).background_s == pytest.approx(10 - 4 - 0.5 - 0.5)


@pytest.mark.parametrize(
    "lengths",
    [[3.0], [0.2] * 9 + [900.0], [20.0, 30.0], [0.0001, 7.0], list(np.geomspace(0.3, 80, 99))],
)
def test_the_histogram_counts_every_action_in_neighbouring_bins(lengths):
    bins = summary.length_histogram(np.array(lengths))
    assert len(bins) <= 25
    for (start, stop, count), following in zip(bins, [*bins[1:], None], strict=True):
        last = following is None
        assert count == sum(
            start <= length < stop or (last and length == stop) for length in lengths
        )
        assert last or following[0] == stop
    assert sum(count for *_, count in bins) == len(lengths)
    assert bins[0][2]
    assert bins[-1][2]


def test_a_data_set_without_actions_has_statistics_too(data_dir, tmp_path):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    video = data.videos["train"][0]._replace(segments=np.zeros((0, 2)), labels=np.zeros(0, int))
    data = data._replace(videos={"train": [video], "test": []})
    lines = summary.describe(data.title, data.class_names, data_page.summarize(data))
    assert any(line.split()[:1] == ["train"] and line.endswith("100.0 %") for line in lines)
    data_page.write_page(tmp_path / "page.html", data)
    assert "No actions." in (tmp_path / "page.html").read_text()


def test_the_figures_of_a_single_video_are_singular_and_short_lengths_are_in_minutes(
    browser, data_dir, tmp_path
):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    video = data.videos["train"][0]
    one = video._replace(segments=video.segments[:1], labels=video.labels[:1])
    data = data._replace(videos={"train": [one]}, class_names=data.class_names[:1])
    data_page.write_page(tmp_path / "page.html", data)
    with opened(browser, tmp_path / "page.html") as page:
        page.set_viewport_size({"width": 390, "height": 800})
        table = page.locator(".splits").locator("..")
        assert table.evaluate("scrolled => scrolled.scrollWidth <= scrolled.clientWidth")
        figures = [text.split("\n") for text in page.locator(".figures li").all_inner_texts()]
    shown = [" ".join(figure) for figure in figures]
    assert [shown[0], *shown[2:4]] == ["1 video", "1 class", "1 action"]
    assert figures[1] == [f"{video.duration_s / 60:.1f}", "min"]


def test_the_command_prints_the_statistics_and_writes_the_page(data_dir, tmp_path):
    result = run(data_dir / "videos" / "rgb", "--output", tmp_path / "page.html", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["train", "4", "0.4", "min", "214", "7", "51.2", "%"] in rows
    assert ["jump", "3", "0.7", "s", "1.5", "s", "2.5", "s"] in rows
    assert (tmp_path / "page.html").exists()


def test_without_output_only_the_statistics_are_printed(data_dir, tmp_path):
    result = run(data_dir / "videos" / "rgb", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    *_, page, following = result.stdout.splitlines()
    assert "--output FILE.html writes a page" in page
    assert following == (
        f"next, train: afsd train --config=videos --data-dir={data_dir} --workdir=RUN"
    )
    assert list(tmp_path.iterdir()) == []


def test_pages_show_as_many_videos_as_asked_for_of_every_split(data_dir, tmp_path):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    videos = data.videos["train"]
    data = data._replace(videos={"train": videos[:3], "test": videos[3:]})
    for limit, shown in ((1, 1), (2, 2), (3, 3), (9, 4)):
        data_page.write_page(tmp_path / "page.html", data, limit)
        page = (tmp_path / "page.html").read_text()
        assert page.count("<article>") == shown
        assert "<th>train</th><th>test</th><th>all</th>" in page
        if limit > 1:
            assert page.count('class="split">test<') == 1


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "nowhere: no prepared data set; make it with afsd prepare"),
        (".", "contains 2 data sets; give "),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(data_dir, tmp_path, folder, message):
    result = run(data_dir / folder, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_named_and_no_page_is_left(data_dir, tmp_path):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    video = data.videos["train"][0]
    (tmp_path / "shard").write_bytes(video.path.read_bytes()[:2000])
    data = data._replace(videos={"train": [video._replace(path=tmp_path / "shard")]})
    with pytest.raises(UserError, match="shard: the shard is missing or damaged"):
        data_page.write_page(tmp_path / "page.html", data)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("stream", ["rgb", "flow"])
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_the_whole_page(browser, data_dir, tmp_path, stream, width):
    path = tmp_path / "page.html"
    data_page.write_page(path, data_page.open_data_set(data_dir / "videos" / stream))
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url))
    page.goto(path.as_uri())
    assert [c for c in complaints if not c.startswith("data:")] == [path.as_uri()]

    assert page.locator("h1").inner_text() == f"Prepared data: videos {stream}"
    assert page.locator(".splits tbody tr").count() == 1
    names = page.locator(".classes tbody td:first-child").all_inner_texts()
    counts = page.locator(".classes tbody td:nth-child(3)").all_inner_texts()
    assert (names, counts) == (["jump", "run"], ["3", "4"])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    meters = [meter.bounding_box()["width"] for meter in page.locator(".meter").all()]
    assert meters[0] == pytest.approx(meters[1] * 3 / 4, abs=1)
    columns = [c.bounding_box()["height"] for c in page.locator(".column i").all()]
    texts = [int(text) for text in page.locator(".column").all_inner_texts()]
    assert sum(texts) == len(ACTIONS)
    for height, count in zip(columns, texts, strict=True):
        assert height == pytest.approx(max(columns) * count / max(texts), abs=1.5)

    for article, (name, (count, actions)) in zip(
        page.locator("article").all(), VIDEOS.items(), strict=True
    ):
        assert article.locator("h3").inner_text() == name
        images = article.locator("img").evaluate_all("all => all.map(i => i.naturalWidth)")
        assert images == [20] * len(images)
        named = article.locator(".keys span").all_inner_texts()
        assert named == sorted({label for label, *_ in actions})  # where a bar is too short for it
        timeline = article.locator(".timeline").bounding_box()
        bars = [bar.bounding_box() for bar in article.locator(".bar").all()]
        for bar, (_, start, end) in zip(bars, actions, strict=True):
            scale = timeline["width"] / count
            assert bar["x"] - timeline["x"] == pytest.approx(start * scale, abs=2)
            assert bar["width"] == pytest.approx((end - start) * scale, abs=2)
    # Nothing sticks out to the side.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.fixture(scope="module")
def shaped(tmp_path_factory) -> Path:
    """A wide and an upright video, with stripes, prepared as square frames."""
    folder = tmp_path_factory.mktemp("shaped")
    for name, (height, width) in {"wide": (36, 64), "upright": (64, 36)}.items():
        write_video(folder / f"{name}.mp4", numbered_frames(40, height, width), 10)
    (folder / "labels.csv").write_text("video,label,start,end\nwide,x,0,1\nupright,x,1,2\n")
    options = PrepareOptions(folder, size=28, workers=1)
    return prepare_dataset("videos", folder / "data", "rgb", options)


@pytest.mark.parametrize("width", [390, 1200])
def test_frames_have_the_shape_of_their_video(browser, shaped, tmp_path, width):
    path = tmp_path / "page.html"
    data_page.write_page(path, data_page.open_data_set(shaped))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("article").count() == 2
    for article in page.locator("article").all():
        expected = {"wide": 16 / 9, "upright": 9 / 16}[article.locator("h3").inner_text()]
        for image in article.locator("article > .frames img:visible").all():
            box = image.bounding_box()
            assert box["width"] / box["height"] == pytest.approx(expected, rel=0.1)
        for image in article.locator(".seen img:visible").all():
            box = image.bounding_box()
            assert box["width"] == pytest.approx(box["height"], abs=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("aspect", [1e9, 1e-9, 0])
def test_an_impossible_shape_from_a_report_is_bounded(shaped, tmp_path, aspect):
    copied = tmp_path / "1.0.0"
    shutil.copytree(shaped, copied)
    report = json.loads((copied / "preparation.json").read_text())
    for video in report["videos"]:
        video["aspect"] = aspect
    (copied / "preparation.json").write_text(json.dumps(report))
    data_page.write_page(tmp_path / "page.html", data_page.open_data_set(copied))
    assert (tmp_path / "page.html").stat().st_size < 500_000


def test_names_from_the_data_cannot_become_markup(data_dir, tmp_path):
    data = data_page.open_data_set(data_dir / "videos" / "rgb")
    name = "<script>alert(1)</script>"
    videos = [video._replace(name=name) for video in data.videos["train"]]
    hostile = data._replace(videos={name: videos}, class_names=["<b>", "'\">"])
    data_page.write_page(tmp_path / "page.html", hostile)
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "<b></td>" not in page
