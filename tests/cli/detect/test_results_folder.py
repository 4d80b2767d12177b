"""Results in a folder: each video's files are written once it is done, and not computed again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afsd_jax import cli
from afsd_jax.cli.process import REFUSED
from afsd_jax.config import default_config, resolve
from afsd_jax.data.annotations import read_annotations
from afsd_jax.detection.detector import Detector
from afsd_jax.io.activitynet_json import read_predictions
from afsd_jax.io.locks import locked
from afsd_jax.report import Track, VideoReport
from afsd_jax.report.colors import class_colors
from afsd_jax.results.formats import FORMATS, TOOLS
from afsd_jax.results.writers import Selection
from afsd_jax.types import Action, Detection
from afsd_jax.weights.checkpoint import Checkpoint
from tests.report.opened import opened
from tests.support import ROOT
from tests.untrained_checkpoints import CLASSES, write_untrained
from tests.video_files import numbered_frames, overwrite_packets, write_lossless, write_video

RATE = 10
LENGTHS = {"a": 40, "b": 150, "c": 70}


def frames_of(name: str) -> np.ndarray:
    t, y, x = np.mgrid[: LENGTHS[name], :38, :38]
    pixels = 128 + 100 * np.sin((x + y + 3 * (1 + ord(name) % 4) * t) / 9)
    return np.stack([pixels, pixels[::-1], 255 - pixels], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """checkpoint/ of an untrained network, and in/ with three videos."""
    folder = tmp_path_factory.mktemp("folder")
    write_untrained(folder / "checkpoint", "rgb")
    (folder / "in").mkdir()
    for name in LENGTHS:
        write_video(folder / "in" / f"{name}.mp4", frames_of(name), rate=RATE)
    return folder


@pytest.fixture
def run(folder, capfd):
    """Runs detect in this process; returns its exit code, standard output and standard error."""

    def run(*arguments: object, checkpoint: Path = folder / "checkpoint"):
        capfd.readouterr()
        code = cli.main(["detect", f"--checkpoint={checkpoint}", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


def anew(before: dict, after: dict) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_without_output_a_table_is_printed(folder, run, tmp_path):
    output, video = tmp_path / "a.json", folder / "in" / "a.mp4"
    assert run(video, f"--output={output}")[0] == 0
    (found,) = read_predictions(output).values()
    shown = [d for d in found if d.score >= 0.06]
    code, printed, _ = run(video, "--min-score=0.06")
    assert code == 0
    used, name, header, *rows, last = printed.splitlines()
    assert used.startswith(str(folder / "checkpoint"))
    assert used.endswith(", without validation")
    assert (name, header.split()) == ("a", ["class", "start", "(s)", "end", "(s)", "score"])
    assert last == f"{len(shown)} actions with a score of at least 0.06 in 1 video"
    hidden = len(shown) - len(rows[:20])
    if hidden:
        assert rows.pop() == f"… and {hidden} more; --output FILE.csv writes all"
    for row, detection in zip(rows, shown, strict=False):
        label, *numbers = row.rsplit(maxsplit=3)
        assert label == detection.label
        expected = detection.start_s, detection.end_s, detection.score
        assert [float(n) for n in numbers] == pytest.approx(expected, abs=6e-3)
    assert run(video)[1].splitlines()[-1].endswith("with a score of at least 0.3 in 1 video")


def test_the_suffix_of_the_output_is_its_format(folder, run, tmp_path):
    video, videos = folder / "in" / "a.mp4", folder / "in"
    for suffix in FORMATS:
        output = tmp_path / f"a.{suffix}"
        code, printed, _ = run(video, f"--output={output}", "--min-score=0.06")
        assert code == 0
        assert f"{output}: " in printed
        assert " in 1 video\n" in printed
    assert len(rows_of(tmp_path / "a.csv")) == len(
        [d for d in read_predictions(tmp_path / "a.json")["a"] if d.score >= 0.06]
    )
    assert "-->" in (tmp_path / "a.srt").read_text()
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    code, _, error = run(videos, f"--output={tmp_path / 'all.csv'}")
    assert code == REFUSED
    assert "all.csv: holds one video, not 3; for a file of each give --format csv" in error
    code, _, error = run(videos, f"--output={tmp_path / 'all.xlsx'}")
    assert code == REFUSED
    assert "all.xlsx: the name must end in one of .json, .csv" in error


def test_without_checkpoint_the_choice_is_named(capsys):
    assert cli.main(["detect", "a.mp4"]) == REFUSED
    error = capsys.readouterr().err
    assert "afsd look VIDEO" in error
    assert "afsd train" in error


def test_every_format_is_written_for_every_video(folder, run, tmp_path):
    out = tmp_path / "out"
    least = 0.06
    options = "--format=json,csv,vtt,srt,html,png", f"--min-score={least}"
    code, printed, _ = run(folder / "in", f"--output={out}", *options)
    assert code == 0
    names = [f"{name}.{suffix}" for name in LENGTHS for suffix in FORMATS]
    assert sorted(os.listdir(out)) == sorted([*names, "detections.json", "index.html"])
    combined = read_predictions(out / "detections.json")
    assert list(combined) == list(LENGTHS)
    assert f"{sum(map(len, combined.values()))} detections in 3 videos" in printed
    for name in LENGTHS:
        assert read_predictions(out / f"{name}.json") == {name: combined[name]}
        shown = [d for d in combined[name] if d.score >= least]
        assert 0 < len(shown) < len(combined[name])
        rows = rows_of(out / f"{name}.csv")
        assert [row["label"] for row in rows] == [d.label for d in shown]
        for row, detection in zip(rows, shown, strict=True):
            assert float(row["score"]) == pytest.approx(detection.score, abs=1e-6)
            assert float(row["start_s"]) == pytest.approx(detection.start_s, abs=1e-3)
            assert float(row["end_s"]) == pytest.approx(detection.end_s, abs=1e-3)
        assert (out / f"{name}.vtt").read_text().startswith("WEBVTT")
        assert (out / f"{name}.srt").read_text().startswith("1\n00:00:0")
        assert (out / f"{name}.html").read_text().count("data:image/jpeg") == 8
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 1000
    single = tmp_path / "single.json"
    assert run(folder / "in", f"--output={single}")[0] == 0
    assert read_predictions(single) == combined


def test_no_name_and_no_link_costs_another_video(folder, run, tmp_path):
    videos, out = tmp_path / "in", tmp_path / "out"
    videos.mkdir()
    names = "b", "鶏小屋", "دجاج", os.fsdecode(b"caf\xe9")  # the last one is not UTF-8
    for name in names:
        os.link(folder / "in" / "a.mp4", videos / f"{name}.mp4")
    (videos / "not_fetched.mp4").symlink_to("nowhere.mp4")
    (videos / "notes.docx").write_text("x")
    formats = f"--format={','.join(FORMATS)}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, _, errors = run(videos, f"--output={out}", formats, "--min-score=0.06")
    assert code == 1
    assert f"failed: {videos}/not_fetched.mp4: is a link to nothing" in errors
    assert f"note: {videos}: 1 file is passed over, such as notes.docx" in errors
    assert "Traceback" not in errors
    expected = [f"{name}.{suffix}" for name in names for suffix in FORMATS]
    assert sorted(os.listdir(out)) == sorted([*expected, "detections.json", "index.html"])
    single = tmp_path / "single.json"
    options = f"--report={tmp_path / 'page.html'}", f"--subtitles={tmp_path / 'subtitles'}"
    code, _, errors = run(videos, f"--output={single}", *options)
    assert code == 1
    assert "not_fetched.mp4: is a link to nothing" in errors
    assert sorted(read_predictions(single)) == sorted(names)


def test_videos_of_one_name_have_their_own_files_and_pages(folder, run, tmp_path, browser):
    videos, out, truth = tmp_path / "in", tmp_path / "out", tmp_path / "truth.csv"
    for camera, name in (("cam1", "a"), ("cam2", "c")):
        (videos / camera).mkdir(parents=True)
        os.link(folder / "in" / f"{name}.mp4", videos / camera / "take.mp4")
    (videos / "cam2" / "take.avi").write_text("no video")
    truth.write_text("video,label,start,end\ncam2/take.mp4,swim,0.5,1.5\n")
    names = ["cam1__take", "cam2__take.mp4"]
    options = "--format=json,srt,html", f"--ground-truth={truth}", "--min-score=0.06"
    code, _, errors = run(videos, f"--output={out}", *options)
    assert code == 1
    assert f"failed: {videos}/cam2/take.avi: " in errors
    files = [f"{name}.{suffix}" for name in names for suffix in ("json", "srt", "html")]
    assert sorted(os.listdir(out)) == sorted([*files, "detections.json", "index.html"])
    found = read_predictions(out / "detections.json")
    assert list(found) == names
    assert run(folder / "in", f"--output={tmp_path / 'plain.json'}")[0] == 0
    plain = read_predictions(tmp_path / "plain.json")
    assert list(found.values()) == [plain["a"], plain["c"]]
    with opened(browser, out / "index.html") as page:
        assert page.locator("tbody td:first-child").all_inner_texts() == names
        page.get_by_role("link", name=names[1], exact=True).click()
        page.wait_until("video.readyState > 0")
        assert page.evaluate("document.querySelector('video').duration") == pytest.approx(7.0)
        (video,) = json.loads(page.locator("#data").text_content())["videos"]
        assert video["truth"]["starts"] == [0.5]
    # The other way round, from one of the folders, and one file twice: the same names.
    given = videos / "cam2", videos / "cam1" / "take.mp4", videos / "cam1"
    assert "holds 2 of 3 videos" in run(*given, f"--output={out}", *options)[1]


def test_no_odd_name_of_a_video_is_a_reason_to_refuse_its_folder(folder, run, tmp_path):
    videos, out, subtitles = (tmp_path / name for name in ("in", "out", "srt"))
    videos.mkdir()
    long = "x" * 251
    for name in ("detections", "index-1-of-2", "b", long):
        os.link(folder / "in" / "a.mp4", videos / f"{name}.mp4")
    assert run(videos, f"--output={out}", "--format=json,html")[0] == 0
    written = sorted(path.stem for path in out.glob("*.html"))
    assert written[:-1] == ["b", "detections (video)", "index", "index-1-of-2 (video)"]
    assert len(read_predictions(out / "detections.json")) == 4
    assert "holds 4 of 4 videos" in run(videos, f"--output={out}", "--format=json,html")[1]
    assert run(videos, f"--subtitles={subtitles}")[0] == 0
    assert len(list(subtitles.iterdir())) == 4


def test_annotations_of_an_ambiguous_name_are_refused_with_the_candidates(folder, run, tmp_path):
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        os.link(folder / "in" / "a.mp4", tmp_path / camera / "take.mp4")
    truth = tmp_path / "truth.csv"
    truth.write_text("video,label,start,end\ntake,rise,2,3\n")
    code, _, error = run(tmp_path, f"--output={tmp_path / 'x.json'}", f"--ground-truth={truth}")
    assert code == REFUSED
    assert "line 2: 'take' may be cam1/take.mp4, cam2/take.mp4; write its folder" in error


def test_people_are_shown_what_they_chose_and_json_stays_complete(folder, run, tmp_path):
    video, out = folder / "in" / "b.mp4", tmp_path / "out"
    given = video, f"--output={out}", "--format=csv", "--min-score=0"
    assert run(*given)[0] == 0
    whole = read_predictions(out / "b.json")["b"]
    assert run(*given, "--labels=rise, fall", "--top-k=3")[0] == 0
    expected = [d.label for d in whole if d.label in ("rise", "fall")][:3]
    assert [row["label"] for row in rows_of(out / "b.csv")] == expected
    assert read_predictions(out / "b.json")["b"] == whole


def test_a_second_run_computes_only_what_is_missing_or_made_otherwise(folder, run, tmp_path):
    shutil.copytree(folder / "in", tmp_path / "in")
    out = tmp_path / "out"
    given = tmp_path / "in", f"--output={out}", "--format=csv,html"
    assert run(*given)[0] == 0
    first = state(out)

    code, printed, _ = run(*given)
    assert code == 0
    assert f"{out}: holds 3 of 3 videos" in printed
    combined = {"detections.json", "index.html"}
    assert anew(first, state(out)) == combined
    for name in combined:
        assert state(out)[name][1] == first[name][1]

    (out / "a.json").unlink()  # stopped before a was done
    assert f"{out}: holds 2 of 3 videos" in run(*given)[1]
    second = state(out)
    assert anew(first, second) == {"a.json", "a.csv", "a.html", *combined}

    os.utime(tmp_path / "in" / "b.mp4", ns=(1, 1))  # another file, as far as one can tell
    assert "holds 2 of 3 videos" in run(*given)[1]
    third = state(out)
    assert anew(second, third) == {"b.json", "b.csv", "b.html", *combined}

    write_untrained(tmp_path / "other", "rgb", seed=1)
    assert "not computed again" not in run(*given, checkpoint=tmp_path / "other")[1]
    assert {f"{name}.json" for name in LENGTHS} <= anew(third, state(out))


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def with_another_score(content: bytes) -> bytes:
    edited = json.loads(content)
    (detections,) = edited["results"].values()
    detections[0]["score"] += 0.001
    return json.dumps(edited, indent=1).encode()


DAMAGES = {
    "a flipped bit": flipped,
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
}
# Which file of each video is damaged; JSON files and pages need the video again.
DAMAGED = (
    ("json", "csv", "srt"),
    ("csv", "html", "srt"),
    ("srt", "json", "csv"),
    ("html", "csv", "html"),
)


def test_damaged_results_are_made_anew_and_never_read(folder, run, tmp_path):
    out = tmp_path / "out"
    given = folder / "in", f"--output={out}", "--format=csv,html,srt", "--min-score=0.06"
    assert run(*given)[0] == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    for damage, suffixes in zip(DAMAGES.values(), DAMAGED, strict=True):
        damaged = [f"{name}.{suffix}" for name, suffix in zip("abc", suffixes, strict=True)]
        for name in damaged:
            (out / name).write_bytes(damage(whole[name]))
        code, printed, _ = run(*given)
        assert code == 0
        assert f"holds {3 - sum('html' in n or 'json' in n for n in damaged)} of 3" in printed
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole, damaged
    (out / "b.json").write_bytes(with_another_score(whole["b.json"]))
    assert "holds 2 of 3" in run(*given)[1]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_a_folder_without_checksums_is_judged_by_its_digests(folder, run, tmp_path):
    """As earlier versions wrote it; nothing is computed again."""
    out = tmp_path / "out"
    given = folder / "in", f"--output={out}", "--format=csv"
    assert run(*given)[0] == 0
    for name in LENGTHS:
        content = json.loads((out / f"{name}.json").read_text())
        del content["external_data"]["content"], content["external_data"]["files"]
        (out / f"{name}.json").write_text(json.dumps(content))
    before = state(out)
    assert "holds 3 of 3 videos" in run(*given)[1]
    assert anew(before, state(out)) == {"detections.json"}
    (out / "a.csv").unlink()
    assert "holds 3 of 3 videos" in run(*given)[1]
    assert anew(before, state(out)) == {"detections.json", "a.csv", "a.json"}


def test_folders_of_version_0_1_0_are_continued():
    """Their digests stay the same, as fields of `LATER_FIELDS` do not count at their defaults."""
    config = resolve(default_config(), num_actions=2)
    config.train.update(keep_last=4, keep_epochs=(13, 14, 15, 16))  # the defaults of 0.1.0
    weights = {"a": np.arange(3, dtype=np.float32)}
    detector = Detector([Checkpoint(0, config, ["jump", "run"], weights)], "xla")
    assert detector.fingerprint() == "0355b94be52a0001b381b30f04677aef", "not as computed by 0.1.0"
    config.model.trunk_context = "video"
    assert detector.fingerprint() != "0355b94be52a0001b381b30f04677aef"


def test_files_of_another_selection_are_not_taken_for_those_of_this_one(folder, run, tmp_path):
    given = folder / "in" / "a.mp4", f"--output={tmp_path / 'out'}"
    assert run(*given, "--format=csv,srt", "--min-score=0.3")[0] == 0
    assert run(*given, "--format=csv", "--min-score=0")[0] == 0
    assert run(*given, "--format=csv,srt", "--min-score=0")[0] == 0
    assert run(*given[:1], f"--output={tmp_path / 'new'}", "--format=srt", "--min-score=0")[0] == 0
    assert (tmp_path / "out" / "a.srt").read_text() == (tmp_path / "new" / "a.srt").read_text()


def test_a_result_does_not_depend_on_the_videos_beside_it(folder, run, tmp_path):
    """Alone, beside others, and after a stop, JSON is the same to the last byte."""
    together, one_by_one = tmp_path / "together", tmp_path / "one-by-one"
    assert run(folder / "in", f"--output={together}", "--format=json")[0] == 0
    for name in reversed(LENGTHS):
        video = folder / "in" / f"{name}.mp4"
        assert run(video, f"--output={one_by_one}", "--format=json")[0] == 0
    assert "holds 3 of 3" in run(folder / "in", f"--output={one_by_one}", "--format=json")[1]
    for name in (*LENGTHS, "detections"):
        files = [out / f"{name}.json" for out in (together, one_by_one)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_second_run_in_the_same_folder_is_refused(folder, run, tmp_path):
    out = tmp_path / "out"
    given = folder / "in", f"--output={out}", "--format=json"
    with locked(out, "detecting"):
        code, _, error = run(*given)
        assert code == REFUSED
        assert f"{out}: process {os.getpid()} on " in error
        assert "has been detecting there since" in error
        assert run(*given, "--shard=1/2")[0] == 0  # shards of one folder may run together
    assert run(*given)[0] == 0


def test_other_files_for_people_need_no_video_but_a_page_does(folder, run, tmp_path):
    out = tmp_path / "out"
    given = folder / "in", f"--output={out}"
    assert run(*given, "--format=json")[0] == 0
    made = read_predictions(out / "detections.json")
    assert "holds 3 of 3 videos" in run(*given, "--format=srt,csv", "--min-score=0.06")[1]
    few = rows_of(out / "b.csv")
    assert "holds 3 of 3 videos" in run(*given, "--format=srt,csv", "--min-score=0")[1]
    assert len(rows_of(out / "b.csv")) > len(few)
    assert "not computed again" not in run(*given, "--format=html", "--min-score=0")[1]
    assert (out / "b.html").read_text().count("data:image/jpeg") == 8
    assert read_predictions(out / "detections.json") == made


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"external_data": 1, "results": {"a": []}}'])
def test_foreign_files_of_that_name_are_no_results(folder, run, tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    code, printed, _ = run(folder / "in" / "a.mp4", f"--output={tmp_path}", "--format=json")
    assert (code, "not computed again" in printed) == (0, False)
    assert read_predictions(tmp_path / "a.json")["a"]


def test_videos_that_fail_are_listed_and_the_others_written(folder, run, tmp_path):
    broken, out = tmp_path / "broken.mp4", tmp_path / "out"
    broken.write_bytes((folder / "in" / "a.mp4").read_bytes()[:900])
    given = folder / "in" / "a.mp4", broken, f"--output={out}", "--format=json"
    for _ in range(2):
        code, _, error = run(*given)
        assert code == 1
        assert f"failed: {broken}: " in error
        assert "Traceback" not in error
        assert list(read_predictions(out / "detections.json")) == ["a"]
    code, _, error = run(broken, f"--output={out}", "--format=json")
    assert code == REFUSED
    assert error.splitlines()[-1].startswith(f"error: {broken}: ")


def test_damage_is_counted_in_every_file_and_said(folder, run, tmp_path):
    video = write_lossless(tmp_path / "torn.mkv", numbered_frames(90))
    overwrite_packets(video, [20, 21, 50])
    said = "damaged: torn: 3 packets or frames; what could not be decoded was skipped\n"
    whole = folder / "in" / "a.mp4"
    out, one = tmp_path / "out", tmp_path / "one.json"
    code, _, errors = run(video, whole, f"--output={out}", "--format=json")
    assert (code, errors.endswith(said)) == (0, True)
    code, _, errors = run(video, whole, f"--output={one}")
    assert (code, errors.endswith(said)) == (0, True)
    for path in (out / "torn.json", out / "detections.json", one):
        assert json.loads(path.read_text())["external_data"]["damaged"] == {"torn": 3}
    assert "damaged" not in json.loads((out / "a.json").read_text())["external_data"]
    for path in (out / "detections.json", one):
        durations = json.loads(path.read_text())["external_data"]["durations_s"]
        assert durations.keys() == {"torn", "a"}
        assert durations["a"] == pytest.approx(LENGTHS["a"] / RATE)


def test_shares_are_every_nth_video_by_name(folder, run, tmp_path):
    out, seen = tmp_path / "out", []
    for number in (1, 2):
        given = folder / "in", f"--output={out}", "--format=json", f"--shard={number}/2"
        assert run(*given)[0] == 0
        seen.append(list(read_predictions(out / f"detections-{number}-of-2.json")))
    assert seen == [["a", "c"], ["b"]]
    assert "holds 3 of 3 videos" in run(folder / "in", f"--output={out}", "--format=json")[1]
    single = tmp_path / "single.json"
    assert run(folder / "in", f"--output={single}", "--shard=2/2")[0] == 0
    assert list(read_predictions(single)) == ["b"]


def test_patterns_that_the_shell_left_are_expanded(folder, run, tmp_path):
    output = tmp_path / "found.json"
    assert run(f"{folder}/**/[ac].mp4", f"--output={output}")[0] == 0
    assert list(read_predictions(output)) == ["a", "c"]


def test_a_run_that_is_stopped_goes_on_where_it_was(folder, run, tmp_path):
    shutil.copytree(folder / "in", tmp_path / "in")
    slow = tmp_path / "in" / "z.avi"  # takes long: an hour of large frames
    noise = np.random.default_rng(0).integers(0, 256, (1, 720, 960, 3), np.uint8)
    write_video(slow, np.repeat(noise, 60, 0), rate="1/60", codec="mjpeg", pixels="yuvj420p")
    out = tmp_path / "out"
    # Where tests run in the background, processes inherit that Ctrl-C is ignored.
    listening = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); "
    code = f"{listening}import sys; from afsd_jax import cli; sys.exit(cli.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "detect", f"--checkpoint={folder / 'checkpoint'}"]
    command += [str(tmp_path / "in"), f"--output={out}", "--format=json"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    for _ in range(1000):
        if (out / "c.json").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert time.monotonic() - start < 20
    assert error.endswith("interrupted\n")
    assert "Traceback" not in error
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "b.json", "c.json"]
    slow.unlink()
    assert "holds 3 of 3 videos" in run(tmp_path / "in", f"--output={out}", "--format=json")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "--output=a.mp4"], "a.mp4: is one of the inputs"),
        (["a.mp4", "--output=x.json", "--report=./x.json"], "x.json: would be written twice"),
        (["a.mp4", "--output=d.json", "--durations=d.json"], "d.json: is one of the inputs"),
        (["a.mp4", "--output=x.json", "--report=in/../a.mp4"], "a.mp4: is one of the inputs"),
        (["b.mp4", "--output=.", "--format=json"], "b.json: is a folder; give the path of a file"),
        (["a.mp4", "--output=x", "--format=json,xml"], "--format: must be some of json,csv"),
        (["a.mp4", "--output=x", "--format=,"], "--format: give names"),
        (["a.mp4", "--output=x", "--format=csv", "--report=r.html"], "--report: not with --format"),
        (["a.mp4", "--output=x", "--format=csv", "--subtitles=s"], "--subtitles: not with --form"),
        (["a.mp4", "--output=x.json", "--min-score=2"], "--min-score: must lie between 0 and 1"),
        (["a.mp4", "--output=x.json", "--min-score=nan"], "--min-score: must lie between 0 and"),
        (["a.mp4", "--output=x.json", "--top-k=0"], "--top-k: must be at least 1, not 0"),
        (["a.mp4", "--output=x.json", "--shard=0/2"], "--shard: must be such as 1/4, 2/4"),
        (["a.mp4", "--output=x.json", "--shard=3/2"], "--shard: must be such as 1/4, 2/4"),
        (["a.mp4", "--output=x.json", "--shard=2/2"], "--shard 2/2: there are only 1 videos"),
        (["a.mp4", "--output=x.json", "--labels=fal"], "--labels fal: no such class; choose from"),
        (["*.avi", "--output=x.json"], "*.avi: no file matches"),
    ],
)
def test_what_cannot_be_written_or_chosen_is_refused_before_any_work(
    folder, run, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        shutil.copy(folder / "in" / "a.mp4", f"{name}.mp4")
    Path("b.json").mkdir()
    Path("in").mkdir()
    Path("d.json").write_text(json.dumps({}))
    before = sorted(tmp_path.rglob("*"))
    code, _, error = run(*arguments)
    assert code == REFUSED
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted(tmp_path.rglob("*")) == before


def test_pages_have_a_player_true_actions_and_a_list(folder, run, tmp_path, browser):
    out, truth = tmp_path / "out", tmp_path / "truth.csv"
    shutil.copytree(folder / "in", tmp_path / "in #1")
    truth.write_text("video,label,start,end\na.mp4,swim,0.5,1.5\na.mp4,rise,2,3\n")
    given = tmp_path / "in #1", f"--output={out}", "--format=html", "--min-score=0.06"
    assert run(*given, f"--ground-truth={truth}")[0] == 0
    found = read_predictions(out / "detections.json")
    with opened(browser, out / "index.html") as page:
        counts = [sum(d.score >= 0.06 for d in found[name]) for name in LENGTHS]
        listed = page.locator("tbody td:nth-child(3)").all_inner_texts()
        assert [int(text.replace(",", "")) for text in listed] == counts
        page.get_by_role("link", name="a", exact=True).click()
        page.wait_until("video.readyState > 0")
        assert page.evaluate("document.querySelector('video').duration") == pytest.approx(4.0)
        data = json.loads(page.locator("#data").text_content())
    classes = [entry["name"] for entry in data["classes"]]
    (video,) = data["videos"]
    assert [classes[label] for label in video["truth"]["labels"]] == ["swim", "rise"]
    assert video["truth"]["starts"] == [0.5, 2]
    colors = class_colors([*CLASSES, "swim"])
    assert data["classes"] == [{"name": name, "color": colors[name]} for name in classes]
    # Other true actions make the page of their video anew.
    assert "holds 3 of 3 videos" in run(*given, f"--ground-truth={truth}")[1]
    truth.write_text("video,label,start,end\na.mp4,swim,0.5,1.6\n")
    assert "holds 2 of 3 videos" in run(*given, f"--ground-truth={truth}")[1]


def test_shares_list_their_own_pages(folder, run, tmp_path):
    given = folder / "in", f"--output={tmp_path}", "--format=html"
    assert run(*given, "--shard=2/2")[0] == 0
    assert (tmp_path / "index-2-of-2.html").read_text().count("<a href") == 1
    assert not (tmp_path / "index.html").exists()
    assert run(*given)[0] == 0
    assert (tmp_path / "index.html").read_text().count("<a href") == 3


def test_annotations_of_other_videos_are_refused(folder, run, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("video,label,start,end\nother.mp4,rise,2,3\n")
    output = f"--output={tmp_path / 'x.json'}"
    code, _, error = run(folder / "in" / "a.mp4", output, f"--ground-truth={truth}")
    assert code == REFUSED
    assert error.splitlines()[-1] == f"error: {truth}: names none of the videos, such as a"


def test_a_choice_keeps_the_best_of_its_labels():
    scores = zip("abab", (0.1, 0.4, 0.3, 0.2), strict=True)
    found = [Detection(label, score, 0.0, 1.0) for label, score in scores]
    assert [d.score for d in Selection().best(found)] == [0.4, 0.3, 0.2, 0.1]
    assert [d.score for d in Selection(top_k=1, labels=["a"]).best(found)] == [0.3]
    track = Track("v", 1.0, found, [Action("a", 0.0, 1.0), Action("b", 0.0, 1.0)])
    shown = Selection(labels=["b"]).shown(VideoReport(track)).track
    assert {segment.label for segment in (*shown.detections, *shown.actions)} == {"b"}


def test_files_for_tools_are_written_at_the_end_and_again_in_a_continued_run(folder, run, tmp_path):
    flags = f"--output={tmp_path}", "--min-score=0.06", "--top-k=5"
    assert run(folder / "in", *flags, "--format=json")[0] == 0
    before = state(tmp_path)
    code, printed, errors = run(folder / "in", *flags, f"--format={','.join(TOOLS)}")
    assert (code, errors) == (0, "")
    assert "they are not computed again" in printed
    written = {
        "boris": "detections.boris",
        "label-studio": "detections-label-studio.json",
        "via": "detections-via.json",
        "fiftyone": "detections-fiftyone.json",
    }
    for tool, name in written.items():
        assert f"{tmp_path / name}: for {tool}, see docs/annotations.md\n" in printed
    assert f"{tmp_path / 'a.eaf'} and 2 more: for elan" in printed
    files = {*written.values(), "a.eaf", "b.eaf", "c.eaf"}
    assert files <= {path.name for path in tmp_path.iterdir()} - before.keys()
    found = read_predictions(tmp_path / "detections.json")
    chosen = Selection(0.06, 5)
    expected = {
        name: sorted((d.label, d.start_s, d.end_s) for d in chosen.reaching(chosen.best(items)))
        for name, items in found.items()
    }
    assert any(expected.values())
    for name in ("detections.boris", "a.eaf"):
        videos = read_annotations(tmp_path / name)
        for video, read in videos.items():
            rows = sorted((a.label, a.start_s, a.end_s) for a in read.actions)
            assert [row[0] for row in rows] == [row[0] for row in expected[video]]
            for row, other in zip(rows, expected[video], strict=True):
                assert row[1:] == pytest.approx(other[1:], abs=1e-3)
    tasks = json.loads((tmp_path / "detections-label-studio.json").read_text())
    assert [len(t["predictions"][0]["result"]) for t in tasks] == list(map(len, expected.values()))
    assert {task["data"]["fps"] for task in tasks} == {RATE}


def test_tools_that_need_frame_rates_refuse_arrays_before_any_work(folder, run, tmp_path):
    np.save(tmp_path / "d.npy", frames_of("a"))
    code, _, errors = run(tmp_path / "d.npy", "--fps=10", "--format=json,boris",
                          f"--output={tmp_path / 'out'}")  # fmt: skip
    assert code == REFUSED
    assert errors == (
        "error: --format boris: needs video files, whose frame rates it stores; d is none\n"
    )
    assert not (tmp_path / "out").exists()
