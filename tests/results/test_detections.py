"""What a detector returns: a list of detections that can be shown, and written in files."""

import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import afsd_jax
from afsd_jax.detection.detector import Detector
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import read_predictions, write_predictions
from afsd_jax.models import parameters
from afsd_jax.report.colors import class_colors
from afsd_jax.results.clips import ArrayFootage, DetectedVideo, FileFootage
from afsd_jax.results.detections import Detections
from afsd_jax.types import Detection
from afsd_jax.weights.checkpoint import Checkpoint
from tests import small_run
from tests.support import ROOT
from tests.video_files import frame_numbers, numbered_frames, write_video

CLASSES = ["fall", "jump", "rise"]
FOUND = [
    Detection("rise", 0.9, 1.0, 2.0),
    Detection("fall", 0.4, 0.5, 3.5),
    Detection("rise", 0.02, 2.5, 3.0),
]
HOSTILE = "<script>boom()</script> \"'&"
COUNT, RATE = 120, 30


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("detections") / "video.mp4", numbered_frames(COUNT))


@pytest.fixture
def found(path) -> Detections:
    return Detections(FOUND, DetectedVideo("video", COUNT / RATE, CLASSES, FileFootage(path)))


@pytest.fixture
def in_memory() -> Detections:
    footage = ArrayFootage(numbered_frames(COUNT), RATE)
    return Detections(FOUND, DetectedVideo("video", COUNT / RATE, CLASSES, footage))


@pytest.fixture
def nothing() -> Detections:
    return Detections([], DetectedVideo("video", COUNT / RATE, CLASSES))


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


# A list


def test_they_are_a_list_of_detections(found, path):
    assert isinstance(found, list)
    assert found == FOUND
    assert found[0] == FOUND[0]
    assert (found.video.name, found.video.path) == ("video", path)
    assert afsd_jax.Detections is Detections


def test_parts_keep_the_video(found):
    for part in (found.above(0.4), found[:2]):
        assert isinstance(part, Detections)
        assert part == FOUND[:2]
        assert part.video is found.video
    assert found.above(1.0) == []


def test_they_are_described_in_a_line(found, nothing):
    expected = "Detections(video, 4.0 s: 3 found, best rise 0.90, 1.0–2.0 s)"
    assert (repr(found), str(found)) == (expected, expected)
    assert repr(nothing) == "Detections(video, 4.0 s: 0 found)"


def test_they_can_be_passed_between_processes(found):
    other = pickle.loads(pickle.dumps(found))
    assert isinstance(other, Detections)
    assert (other, other.video) == (found, found.video)


# Written down


def test_json_is_what_the_command_writes(found, tmp_path):
    write_predictions(tmp_path / "detections.json", {"video": FOUND})
    assert found.to_json() == (tmp_path / "detections.json").read_text()


def test_csv_has_a_line_for_each(found):
    rows = list(csv.reader(io.StringIO(found.to_csv())))
    assert rows[0] == ["label", "score", "start_s", "end_s"]
    assert rows[1] == ["rise", "0.900000", "1.000", "2.000"]
    assert len(rows) == 4


def test_a_table_has_a_row_for_each(found, nothing):
    frame = found.to_df()
    assert [Detection(*row) for row in frame.itertuples(index=False)] == FOUND
    assert list(nothing.to_df().columns) == ["label", "score", "start_s", "end_s"]
    both = pd.concat([found.to_df(), nothing.to_df()])
    assert [both[name].dtype for name in ("score", "start_s", "end_s")] == [np.float64] * 3


def test_without_pandas_a_table_says_what_to_install():
    code = """
import sys
sys.modules["pandas"] = None
from afsd_jax.results.detections import Detections
from afsd_jax.results.clips import DetectedVideo
Detections([], DetectedVideo("video", 1.0)).to_df()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = result.stderr.strip().splitlines()[-1]
    assert last == "afsd_jax.errors.UserError: tables need pandas: pip install pandas"


def test_subtitles_show_what_scores_enough(found):
    for text in (found.to_srt(), found.to_vtt()):
        assert "rise 0.90" in text
        assert "fall 0.40" in text
        assert " 0.02" not in text
    assert found.to_vtt().startswith("WEBVTT")
    assert "00:00:01,000 --> 00:00:02,000" in found.to_srt(min_score=0.5)
    assert "fall" not in found.to_srt(min_score=0.5)


def test_all_files_are_saved(found, tmp_path):
    paths = found.save(tmp_path / "new" / "folder")
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(paths)
    assert [path.name for path in paths] == [
        f"video.{name}" for name in ("json", "csv", "vtt", "srt", "html", "png")
    ]
    assert read_predictions(paths[0]) == {"video": FOUND}
    assert "rise,0.900000" in paths[1].read_text()
    assert "0.020000" not in paths[1].read_text()
    assert paths[4].read_text().count("data:image/jpeg") == 8
    with Image.open(paths[5]) as image:
        assert image.format == "PNG"


def test_chosen_files_are_saved(found, tmp_path):
    assert found.save(tmp_path, "json") == [tmp_path / "video.json"]
    assert found.save(tmp_path, ["srt", "srt"], min_score=0.5) == [tmp_path / "video.srt"]
    assert "fall" not in (tmp_path / "video.srt").read_text()
    with pytest.raises(UserError, match=r"format mp3: must be some of json,csv"):
        found.save(tmp_path, ["mp3"])
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UserError, match="file: is a file; give the path of a folder"):
        found.save(tmp_path / "file")


def test_nothing_found_is_shown_and_written_too(nothing, tmp_path):
    assert len(nothing.save(tmp_path)) == 6
    assert json.loads(nothing.to_json())["results"] == {"video": []}
    assert nothing.to_csv() == "label,score,start_s,end_s\r\n"
    assert nothing.to_srt() == ""
    assert "0 of 0 detections" in nothing._repr_html_()


# Shown


def test_a_plot_is_a_figure_that_notebooks_show(found, tmp_path):
    figure = found.plot()
    figure.savefig(tmp_path / "plot.png")
    assert figure._repr_png_().startswith(b"\x89PNG")
    with Image.open(tmp_path / "plot.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    colors = class_colors(CLASSES)
    legend = tuple(bytes.fromhex(colors["rise"][1:]))
    assert np.all(pixels == legend, axis=-1).any()


def test_classes_have_the_detectors_colours(found, nothing):
    color = class_colors(CLASSES)["rise"]
    assert color in found[:1]._repr_html_()
    other = Detections([Detection("swim", 0.9, 0, 1)], nothing.video)
    assert class_colors([*CLASSES, "swim"])["swim"] in other._repr_html_()


def opened(browser, html: str):
    """Returns a page with the HTML, and a list of its errors and of its network requests."""
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url[:30]))
    page.set_content(html)
    return page, complaints


def test_a_notebook_shows_frames_above_a_timeline(browser, found):
    page, complaints = opened(browser, found._repr_html_())
    images = page.locator("img")
    assert images.count() == 8
    assert images.evaluate_all("all => all.every(image => image.naturalWidth == 96)")
    bars = page.locator(".afsd-bar")
    assert bars.all_inner_texts() == ["rise 0.90", "fall 0.40"]
    timeline, bar = page.locator(".afsd-timeline").bounding_box(), bars.first.bounding_box()
    assert (bar["x"] - timeline["x"]) / timeline["width"] == pytest.approx(0.25, abs=0.01)
    assert bar["width"] / timeline["width"] == pytest.approx(0.25, abs=0.01)
    boxes = [image.bounding_box() for image in images.all()]
    middles = [(box["x"] + box["width"] / 2 - timeline["x"]) / timeline["width"] for box in boxes]
    np.testing.assert_allclose(middles, (np.arange(8) + 0.5) / 8, atol=0.01)  # as their times are
    assert "2 of 3 detections" in page.locator("p").inner_text()
    assert [text for text in complaints if not text.startswith("data:")] == []
    page.close()


def test_hostile_names_and_labels_are_shown_and_never_run(browser):
    video = DetectedVideo(HOSTILE, 4.0, [HOSTILE], ArrayFootage(numbered_frames(COUNT), RATE))
    found = Detections([Detection(HOSTILE, 0.9, 0.0, 4.0)], video)
    page, complaints = opened(browser, found._repr_html_())
    assert page.locator(".afsd-bar").inner_text() == f"{HOSTILE} 0.90"
    assert page.locator("p b").inner_text() == HOSTILE
    assert page.locator("script").count() == 0
    assert [text for text in complaints if not text.startswith("data:")] == []
    page.close()


def test_a_name_that_is_no_utf8_is_shown(nothing):
    name = os.fsdecode(b"caf\xe9")
    html = Detections([], DetectedVideo(name, 4.0))._repr_html_()
    assert "caf?" in html.encode("utf-8").decode()


def test_pictures_come_from_the_video_and_are_left_out_once_it_is_deleted(found, path, tmp_path):
    frames, times_s = found.video.pictures
    expected = [7, 22, 37, 52, 67, 82, 97, 112]
    for number, numbers in zip(frame_numbers(frames), expected, strict=True):
        assert number in (numbers, numbers + 1)
    np.testing.assert_allclose(times_s, (np.arange(8) + 0.5) / 2, atol=0.04)
    gone = Detections(FOUND, DetectedVideo("x", 4.0, CLASSES, FileFootage(tmp_path / "x.mp4")))
    assert "<img" not in gone._repr_html_()
    assert len(gone.save(tmp_path / "out")) == 6


def test_pictures_are_small_whatever_the_video_is():
    frames = np.broadcast_to(np.uint8(128), (10, 1080, 1920, 3))
    found = Detections(FOUND, DetectedVideo("x", 4.0, CLASSES, ArrayFootage(frames, 2.5)))
    assert found.video.pictures[0].shape == (8, 144, 256, 3)
    assert len(found._repr_html_()) < 100_000


def test_many_detections_make_no_large_output(nothing):
    many = [Detection("rise", 0.5, i / 1e4, i / 1e4 + 0.1) for i in range(45_000)]
    assert len(Detections(many, nothing.video)._repr_html_()) < 100_000


def test_show_opens_a_page_in_the_browser(path, tmp_path):
    code = f"""
from pathlib import Path
from afsd_jax import Detection
from afsd_jax.results.detections import Detections
from afsd_jax.results.clips import DetectedVideo, FileFootage
video = DetectedVideo("video", 4.0, ["rise"], FileFootage(Path({str(path)!r})))
Detections([Detection("rise", 0.9, 1.0, 2.0)], video).show()
"""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {tmp_path / 'opened'}\n")
    browser.chmod(0o755)
    environment = os.environ | {"TMPDIR": str(tmp_path), "BROWSER": f"{browser} %s"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    (page,) = tmp_path.glob("afsd-*/detections.html")
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()
    assert "rise" in page.read_text()
    nowhere = environment | {"BROWSER": "/bin/false %s"}
    result = subprocess.run(command, env=nowhere, capture_output=True, text=True)
    assert re.fullmatch(r"no browser can be opened here; open \S+\.html\n", result.stderr)


# Clips


def test_a_clip_holds_the_actions_frames(found, in_memory, tmp_path):
    for given in (found, in_memory):
        path = given.clip(0, tmp_path / "12:30.mp4")
        assert path == tmp_path / "12:30.mp4"
        frames = decoded(path)
        assert frames.shape[1:] == (64, 96, 3)
        assert frame_numbers(frames) == list(range(30, 60))
        with av.open(f"file:{path}") as container:
            assert container.duration / av.time_base == pytest.approx(1.0, abs=0.02)


def test_a_clip_has_margins_that_end_where_the_video_ends(found, tmp_path):
    path = found.clip(1, tmp_path / "clip.mp4", margin_s=100)
    assert frame_numbers(decoded(path)) == list(range(COUNT))
    path = found.clip(0, tmp_path / "clip.mp4", margin_s=0.1)
    assert frame_numbers(decoded(path)) == list(range(27, 63))


def test_a_clip_without_a_path_is_a_new_file(found):
    first, second = found.clip(0), found.clip(-1)
    assert first.parent != second.parent
    assert frame_numbers(decoded(second)) == list(range(75, 90))


def test_frames_of_odd_sizes_become_clips(tmp_path):
    for height, width in ((63, 97), (2, 2)):
        footage = ArrayFootage(numbered_frames(COUNT, height, width), RATE)
        found = Detections(FOUND, DetectedVideo("x", 4.0, CLASSES, footage))
        frames = decoded(found.clip(0, tmp_path / "clip.mp4"))
        assert frames.shape[1:3] == (height // 2 * 2, width // 2 * 2)


def test_clips_that_cannot_be_cut_are_refused_and_not_written(found, nothing, path, tmp_path):
    before = path.read_bytes()
    gone = Detections(FOUND, DetectedVideo("x", 4.0, CLASSES, FileFootage(tmp_path / "x.mp4")))
    dots = ArrayFootage(np.zeros((COUNT, 1, 1, 3), np.uint8), RATE)
    late = [Detection("rise", 0.9, 9.0, 10.0)]
    cases = [
        (found, path, "is one of the inputs"),
        (found, tmp_path / "clip.avi", "the name of a clip must end in .mp4"),
        (gone, tmp_path / "clip.mp4", "x.mp4: no such file"),
        (Detections(FOUND, nothing.video), tmp_path / "clip.mp4", "no pictures to cut a clip from"),
        (Detections(FOUND, DetectedVideo("x", 4.0, CLASSES, dots)), tmp_path / "clip.mp4", "1x1"),
        (Detections(late, found.video), tmp_path / "clip.mp4", "no frame of the video lies"),
    ]
    for detections, to, message in cases:
        with pytest.raises(UserError, match=message):
            detections.clip(0, to)
    with pytest.raises(IndexError):
        nothing.clip(0)
    assert list(tmp_path.iterdir()) == []
    assert path.read_bytes() == before


# From a detector


@pytest.fixture(scope="module")
def detector() -> Detector:
    config = small_run.small_config().unlock()
    config.data.frame_size = 38
    config.inference.update({"batch_size": 1, "window_stride": 40, "score_threshold": 0.03})
    weights = parameters.flatten(parameters.build_network(config))
    return Detector([Checkpoint(0, config, [f"class {number}" for number in range(20)], weights)])


def test_files_and_arrays_with_the_same_frames_give_the_same(detector, tmp_path):
    frames = numbered_frames(100)
    options = {"codec": "libx264rgb", "pixels": "rgb24", "options": {"crf": "0"}}
    path = write_video(tmp_path / "x.mkv", frames, rate=25, **options)
    of_file, of_array = detector.detect(path), detector.detect(frames, fps=25)
    assert len(of_file) > 20
    assert of_array == of_file
    assert (of_file.video.name, of_file.video.path) == ("x", path)
    assert (of_array.video.name, of_array.video.path) == ("video", None)
    for found in (of_file, of_array):
        assert found.video.duration_s == pytest.approx(4.0)
        assert list(found.video.class_names) == list(detector.class_names)
        assert len(found.video.pictures[0]) == 8
        assert found.clip(0).exists()
    assert detector.detect(str(path)) == of_file
    ((given, of_many),) = detector.detect_many([path])
    assert (given, of_many, of_many.video.path) == (path, of_file, path)


def test_sampled_frames_give_detections_too(detector):
    found = detector.detect_frames([numbered_frames(90, 38, 38)], 10.0)
    assert isinstance(found, Detections)
    assert found.video.duration_s == 9.0
    assert frame_numbers(found.video.pictures[0])[0] == 5


def test_a_frame_rate_is_required_for_arrays_and_refused_for_files(detector, path):
    with pytest.raises(UserError, match="a file states its own frame rate"):
        detector.detect(path, fps=25)
    with pytest.raises(UserError, match="give fps="):
        detector.detect(numbered_frames(50))
    with pytest.raises(UserError, match="a path, or a NumPy array"):
        detector.detect(None)


def test_the_package_is_imported_without_what_only_pictures_need():
    code = (
        "import afsd_jax, sys; afsd_jax.Detections; "
        "print({'matplotlib', 'pandas', 'IPython'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == "set()\n", result.stderr
