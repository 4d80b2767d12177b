"""A picture that begins after the sound: detections, page and subtitles have a player's times."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afsd_jax
from afsd_jax import cli
from afsd_jax.data.decode.excerpt import frames_at
from afsd_jax.data.decode.video_reader import VideoReader
from tests.barcodes import HEIGHT, WIDTH, number_of
from tests.clocks import FPS, write_delayed
from tests.report.opened import opened
from tests.untrained_checkpoints import write_untrained

DELAY_S = 3
RATE = 30  # pictures a second
MOST = 20  # detections that are shown
# Goes to a time of a page's first video, and waits until its picture is drawn.
SEEK = """async (time) => {
  const video = document.querySelector("video");
  const sought = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  video.currentTime = time;
  await sought;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint, a video of 6 s, and the same one 3 s after its sound."""
    folder = tmp_path_factory.mktemp("late")
    write_untrained(folder / "checkpoint", "rgb")
    for name, start_s in (("prompt", 0), ("late", DELAY_S)):
        (folder / name).mkdir()
        for suffix in ("mp4", "webm"):
            write_delayed(folder / name, suffix, start_s, 0)
    return folder


def cues_of(text: str) -> list[tuple[float, float, str]]:
    """Returns start and end, seconds, and the class of each subtitle of a SubRip file."""
    time = r"(\d+):(\d+):(\d+),(\d+)"
    found = re.findall(rf"{time} --> {time}\n(.*) \d\.\d\d", text)
    seconds = [[int(x) for x in cue[:8]] for cue in found]
    weights = np.array([3600, 60, 1, 1e-3])
    return [
        (float(weights @ times[:4]), float(weights @ times[4:]), cue[8])
        for cue, times in zip(found, seconds, strict=True)
    ]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_detections_are_those_of_a_video_whose_first_picture_stands_still(folder, suffix):
    detector = afsd_jax.load_detector(folder / "checkpoint")
    prompt = VideoReader(folder / "prompt" / f"delayed.{suffix}", RATE, (HEIGHT, WIDTH))
    frames = np.stack(list(prompt))
    # Of each tenth of a second, the last picture is sampled.
    still = np.concatenate([np.repeat(frames[:1], DELAY_S * FPS, axis=0), frames[2::3]])
    found = detector.detect(folder / "late" / f"delayed.{suffix}")
    expected = detector.detect(still, fps=FPS)
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.label == theirs.label
        assert (ours.score, ours.start_s, ours.end_s) == pytest.approx(
            (theirs.score, theirs.start_s, theirs.end_s), abs=1e-3
        )


def test_a_page_and_subtitles_fit_the_playing_file(folder, tmp_path, browser):
    """A browser shows the picture of a detection's start when the page goes there."""
    path = folder / "late" / "delayed.mp4"
    arguments = ["detect", path, "--checkpoint", folder / "checkpoint"]
    arguments += ["--output", tmp_path / "found.json", "--report", tmp_path / "page.html"]
    arguments += ["--subtitles", tmp_path / "subtitles", "--min-score=0", f"--top-k={MOST}"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    (found,) = json.loads((tmp_path / "found.json").read_text())["results"].values()
    (subtitles,) = (tmp_path / "subtitles").glob("*.srt")
    cues = cues_of(subtitles.read_text())
    shown = sorted(found, key=lambda detection: -detection["score"])[:MOST]
    for detection in shown:
        start_s, end_s = detection["segment"]
        of_class = [cue for cue in cues if cue[2] == detection["label"]]
        assert any(cue[0] <= start_s and end_s <= cue[1] + 1e-3 for cue in of_class), detection
    with opened(browser, tmp_path / "page.html") as page:
        (video,) = json.loads(page.locator("#data").text_content())["videos"]
        page.wait_until("video.readyState > 1")
        assert page.evaluate("document.querySelector('video').duration") == pytest.approx(9)
        starts_s = [detection["segment"][0] for detection in shown]
        assert video["detections"]["starts"] == pytest.approx(starts_s, abs=1e-3)
        for time_s in (1.0, DELAY_S + 0.5, *[x for x in starts_s if x > DELAY_S][:3]):
            page.evaluate(SEEK, time_s)
            image = Image.open(io.BytesIO(page.locator("video").first.screenshot()))
            expected = max(0, (time_s - DELAY_S) * RATE)
            assert number_of(np.asarray(image.convert("RGB"))) == pytest.approx(expected, abs=1)
            ((_, frame),) = frames_at(path, [time_s])
            assert number_of(frame) == pytest.approx(expected, abs=1.01)
