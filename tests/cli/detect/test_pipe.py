"""`afsd detect -`: a video through a pipe, whose actions are printed once they are final."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.report.thumbnails import THUMBNAILS, Thumbnails
from tests.support import ROOT
from tests.untrained_checkpoints import write_untrained
from tests.video_files import write_video

LIMIT_S = 120  # of a process
SECONDS = 60  # of the video; a window has 6.4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """checkpoint/ of an untrained network, and video.ts with its detections in files/."""
    folder = tmp_path_factory.mktemp("live")
    # Short segments: what comes later soon overlaps them no more.
    write_untrained(folder / "checkpoint", "rgb", loc_multipliers=(1.0,) * 6)
    t, y, x = np.mgrid[: 10 * SECONDS, :38, :38]
    pixels = 128 + 100 * np.sin((x + y + 3 * (1 + t // 70 % 5) * t) / 9)
    frames = np.stack([pixels, pixels[::-1], 255 - pixels], -1).astype(np.uint8)
    write_video(folder / "stdin.ts", frames, rate=10)
    files = folder / "stdin.ts", f"--checkpoint={folder / 'checkpoint'}", "--format=csv,srt,html"
    assert cli.main(["detect", *map(str, files), f"--output={folder / 'files'}"]) == 0
    return folder


def start(folder: Path, errors: Path, *arguments: object) -> subprocess.Popen:
    """Starts detection in a pipe; standard error goes to a file."""
    command = [sys.executable, "-m", "afsd_jax.detect", f"--checkpoint={folder / 'checkpoint'}"]
    command += ["-", "--min-score=0", *map(str, arguments)]
    pipe = subprocess.PIPE
    with errors.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=file)
    limit = threading.Timer(LIMIT_S, process.kill)  # or a reader would wait for ever
    limit.daemon = True
    limit.start()
    return process


def feed(process: subprocess.Popen, *parts: bytes) -> threading.Event:
    """Writes the first part in a thread, and the others once the returned event is set."""
    more = threading.Event()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            for part in parts:
                process.stdin.write(part)
                process.stdin.flush()
                more.wait()
            process.stdin.close()

    threading.Thread(target=write, daemon=True).start()
    return more


def of(folder: Path) -> list[dict]:
    return json.loads((folder / "stdin.json").read_text())["results"]["stdin"]


def key(detection: dict) -> tuple:
    return detection["label"], *(round(second, 3) for second in detection["segment"])


def same(found: list[dict], expected: list[dict]) -> None:
    """Batches of another size round otherwise, which moves ends and scores by their last digits."""
    assert len(found) == pytest.approx(len(expected), rel=0.02)
    scores = {key(detection): detection["score"] for detection in expected}
    shared = [detection for detection in found if key(detection) in scores]
    assert len(shared) > 0.97 * len(found)
    for detection in shared:
        assert detection["score"] == pytest.approx(scores[key(detection)], rel=1e-3)


def test_actions_are_printed_before_the_video_ends_and_files_are_those_of_a_file(folder, tmp_path):
    errors = tmp_path / "errors"
    with start(folder, errors, f"--output={tmp_path / 'out'}", "--format=csv,srt,html") as process:
        content = (folder / "stdin.ts").read_bytes()
        most = len(content) * 2 // 3
        more = feed(process, content[:most], content[most:])
        first = json.loads(process.stdout.readline())  # the rest has not been sent
        assert not list((tmp_path / "out").glob("[!.]*"))
        more.set()
        printed = [first, *map(json.loads, process.stdout)]
        assert process.wait() == 0, errors.read_text()
    found = of(tmp_path / "out")
    assert sorted(map(key, printed)) == sorted(map(key, found))
    same(found, of(folder / "files"))
    names = {"stdin.json", "stdin.csv", "stdin.srt", "stdin.html", "index.html", "detections.json"}
    assert set(os.listdir(tmp_path / "out")) == names
    assert (tmp_path / "out" / "stdin.html").read_text().count("data:image/jpeg") == THUMBNAILS


def test_a_page_is_written_without_any_other_output(folder, tmp_path, monkeypatch, capfd):
    page, checkpoint = tmp_path / "page.html", f"--checkpoint={folder / 'checkpoint'}"
    with (folder / "stdin.ts").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert cli.main(["detect", checkpoint, "-", "--min-score=0", f"--report={page}"]) == 0
    printed, errors = capfd.readouterr()
    data = re.search(r'type="application/json">(.*?)</script>', page.read_text())
    (shown,) = json.loads(data[1])["videos"]
    best = max(json.loads(line)["score"] for line in printed.splitlines())
    assert shown["detections"]["scores"][0] == pytest.approx(best, abs=1e-6)
    assert f"{page}: open it in a browser" in errors


def test_ctrl_c_ends_the_video(folder, tmp_path):
    errors = tmp_path / "errors"
    with start(folder, errors, f"--output={tmp_path / 'found.json'}") as process:
        content = (folder / "stdin.ts").read_bytes()
        feed(process, content[: len(content) * 2 // 3])
        process.stdout.readline()
        process.send_signal(signal.SIGINT)  # while the pipe stays open
        process.stdout.read()
        assert process.wait() == 130
    found = json.loads((tmp_path / "found.json").read_text())["results"]["stdin"]
    assert 20 < max(detection["segment"][1] for detection in found) < 50
    assert "Traceback" not in errors.read_text()


def test_a_reader_who_goes_away_ends_the_video_without_a_message(folder, tmp_path):
    with start(folder, tmp_path / "errors") as process:
        feed(process, (folder / "stdin.ts").read_bytes())
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 141
    errors = (tmp_path / "errors").read_text()
    assert "Traceback" not in errors
    assert "rror" not in errors


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_bytes_that_are_no_video_are_refused(folder, tmp_path, monkeypatch, capfd, content):
    (tmp_path / "content").write_bytes(content)
    output = tmp_path / "found.json"
    with (tmp_path / "content").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        checkpoint = f"--checkpoint={folder / 'checkpoint'}"
        assert cli.main(["detect", checkpoint, "-", f"--output={output}"]) == 2
    printed, errors = capfd.readouterr()
    assert printed == ""
    assert errors.splitlines()[-1].startswith("error: stdin: not a video, or one that")
    assert not output.exists()


def test_ends_cannot_be_averaged_before_the_video_ends(folder, monkeypatch, capfd):
    with (folder / "stdin.ts").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        checkpoint = f"--checkpoint={folder / 'checkpoint'}"
        assert cli.main(["detect", checkpoint, "-", "--voting-tiou=0.5"]) == 2
    assert capfd.readouterr().err.endswith("before the video ends; give --voting-tiou 0\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "other.mp4"], "-: standard input must be the only video"),
        (["-", "--shard=1/2"], "--shard: not with -, a video on standard input"),
        (["-", "--video-scores=x.json"], "--video-scores: not with -"),
        (["-", "--format=csv"], "--format: also give --output"),
        (["x.mp4", "--format=csv"], "--format: also give --output"),
        (["-", "--data-dir=x"], "--data-dir: not with -"),
        (["-", "--checkpoint=kinetics"], "use afsd look"),
    ],
)
def test_options_that_a_pipe_cannot_have_are_refused(arguments, message, capsys):
    assert cli.main(["detect", "--checkpoint=none", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_few_frames_of_a_stream_are_kept_wherever_it_ends():
    kept = Thumbnails(None)
    assert kept.shown(10.0) == (None, [])
    for position in range(1000):
        kept.add(position, np.full((8, 8, 3), position % 250, np.uint8))
        if position in (0, 5, 100, 999):
            frames, times_s = kept.shown(10.0)
            assert len(frames) == len(times_s) == min(THUMBNAILS, position + 1)
            assert times_s[0] <= 0.02 * position
            assert times_s[-1] >= 0.07 * position
            assert [frame[0, 0, 0] for frame in frames] == [round(10 * t) % 250 for t in times_s]
