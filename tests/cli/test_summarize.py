"""`afsd summarize`: tables and a page of labels, of detections, and of both side by side."""

import csv
import json

import pytest

from afsd_jax import cli
from afsd_jax.io.activitynet_json import write_predictions
from afsd_jax.types import Detection
from tests.video_files import numbered_frames, write_video

LABELS = "video,label,start,end\nclip,run,0.5,1\nclip,<b>jump</b>,1,1.5\nclip,run,1.5,1.75\n"
FOUND = [Detection("run", 0.9, 0.5, 1.25), Detection("rest", 0.2, 0.0, 0.25)]
HEADER = "class bouts per minute total (s) mean (s) median (s) share latency (s)"
NOTE = "note: 1 video of unknown length: each ends with its last action here"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.csv").write_text(LABELS)
    write_predictions(tmp_path / "found.json", {"clip": FOUND})
    return tmp_path


def summarize(*arguments: object) -> int:
    return cli.main(["summarize", *map(str, arguments)])


def test_a_table_is_printed_without_output(folder, capsys):
    assert summarize(folder / "labels.csv") == 0
    printed, notes = capsys.readouterr()
    assert [line.split() for line in printed.splitlines()[:4]] == [
        ["labels.csv"],
        HEADER.split(),
        ["<b>jump</b>", "1", "34.29", "0.5", "0.5", "0.5", "28.6", "%", "1.0"],
        ["run", "2", "68.57", "0.8", "0.4", "0.4", "42.9", "%", "0.5"],
    ]
    assert printed.splitlines()[4].startswith("next, write tables and a page: afsd summarize ")
    assert NOTE in notes


def test_labels_and_detections_are_written_side_by_side(folder, capsys):
    write_video(folder / "clip.mp4", numbered_frames(50), rate=25)
    output = folder / "out"
    inputs = folder / "labels.csv", folder / "found.json"
    assert summarize(*inputs, "--videos", folder, "--bin", 1, "--output", output) == 0
    printed, notes = capsys.readouterr()
    files = ["bouts.csv", "summary.html", "summary.json", "transitions.csv"]
    assert sorted(path.name for path in output.iterdir()) == files
    assert sorted(line.partition(": ")[0] for line in printed.splitlines()) == [
        str(output / name) for name in files
    ]
    assert "unknown length" not in notes
    summary = json.loads((output / "summary.json").read_text())
    assert list(summary) == ["labels.csv", "found.json"]
    assert summary["labels.csv"]["lengths_s"] == {"clip": 2.0}
    assert {row["label"]: row["bouts"] for row in summary["found.json"]["classes"]} == {
        "<b>jump</b>": 0,
        "run": 1,
    }
    assert summary["labels.csv"]["transitions"]["counts"] == [[0, 1], [1, 0]]
    rows = list(csv.DictReader((output / "bouts.csv").read_text().splitlines()))
    bins = [row for row in rows if row["begin_s"] and row["set"] == "found.json"]
    assert [(r["class"], r["begin_s"], r["total_s"]) for r in bins if r["class"] == "run"] == [
        ("run", "0.0", "0.5"),
        ("run", "1.0", "0.25"),
    ]


def test_scores_and_classes_are_chosen_and_formats_left_out(folder):
    output = folder / "out"
    assert summarize(folder / "found.json", "--min-score", 0.1, "--labels", "rest",
                     "--format", "json", "--output", output) == 0  # fmt: skip
    (path,) = output.iterdir()
    classes = json.loads(path.read_text())["found.json"]["classes"]
    assert [(row["label"], row["total_s"]) for row in classes] == [("rest", 0.25)]


def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys):
    (folder / "bad.json").write_text("{")
    before = sorted(folder.iterdir())
    for arguments, message in (
        ((folder / "bad.json",), "bad.json: not valid JSON"),
        ((folder / "labels.csv", "--labels", "rum"), "--labels rum: no action of this class"),
        ((folder / "labels.csv", "--bin", 0), "--bin: must be a positive number, not 0"),
        ((folder / "labels.csv", "--format", "png"), "--format: must be some of csv,json,html"),
    ):
        capsys.readouterr()
        assert summarize(*arguments, "--output", folder / "out") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before
