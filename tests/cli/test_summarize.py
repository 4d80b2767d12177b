"""`afsd summarize`: tables and a page of labels, of detections, and of both side by side."""

import csv
import json

import pytest

from afsd_jax import cli
from afsd_jax.io.activitynet_json import write_predictions
from afsd_jax.io.detection_notes import DetectionNotes
from afsd_jax.report.table import csv_text
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
    assert printed.splitlines()[4:-1] == ["something happens in 1.2 of 1.8 s (71.4 %)"]
    assert printed.splitlines()[-1].startswith("next, write tables and a page: afsd summarize ")
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


TWO_LABELS = [
    Detection("run", 0.9, 0.0, 1.0),
    Detection("jump", 0.5, 0.1, 1.0),  # of the same action
    Detection("rest", 0.4, 0.8, 2.0),  # another action, which overlaps a little
]


def rows_of(path):
    (summary,) = json.loads(path.read_text()).values()
    return summary, {row["label"]: (row["bouts"], row["total_s"]) for row in summary["classes"]}


def test_two_labels_of_one_detected_action_count_once(folder, capsys):
    write_predictions(folder / "found.json", {"clip": TWO_LABELS})
    output = folder / "one.json"
    assert summarize(folder / "found.json", "--output", output) == 0
    printed, notes = capsys.readouterr()
    assert printed == f"{output}: all measures\n"
    assert "note: found.json: 1 detection left out, where one of another class has a" in notes
    summary, rows = rows_of(output)
    assert rows == {"run": (1, 1.0), "rest": (1, 1.2)}
    assert (summary["any_s"], summary["several_s"]) == (2.0, pytest.approx(0.2))
    assert summarize(folder / "found.json", "--keep-overlaps", "--output", output) == 0
    assert rows_of(output)[1] == {"run": (1, 1.0), "jump": (1, 0.9), "rest": (1, 1.2)}
    assert summarize(folder / "found.json", "--keep-overlaps") == 0
    assert "something happens in 2.0 of 2.0 s (100.0 %), several classes at once in 0.9 s" in (
        capsys.readouterr().out
    )


def test_labels_of_people_are_counted_as_they_are(folder):
    rows = "".join(f"clip,{d.label},{d.start_s},{d.end_s}\n" for d in TWO_LABELS)
    (folder / "labels.csv").write_text("video,label,start,end\n" + rows)
    assert summarize(folder / "labels.csv", "--output", folder / "one.json") == 0
    assert set(rows_of(folder / "one.json")[1]) == {"run", "jump", "rest"}


def test_lengths_and_measured_least_scores_of_detections_are_used(folder, capsys):
    notes = DetectionNotes({"clip": 8.0}, 0.5, {"rest": 0.1})
    data = notes.external_data()
    write_predictions(folder / "found.json", {"clip": FOUND}, external_data=data)
    for flags, expected in (((), {"rest", "run"}), (("--min-score", 0.3), {"run"})):
        assert summarize(folder / "found.json", *flags, "--output", folder / "one.json") == 0
        summary, rows = rows_of(folder / "one.json")
        assert summary["lengths_s"] == {"clip": 8.0}
        assert set(rows) == expected
        said = capsys.readouterr().err
        assert "unknown length" not in said
        assert ("least scores as they were measured: rest 0.10, others 0.50" in said) == (not flags)
    assert summarize(folder / "found.json", "--min-score", "auto") == 0
    write_predictions(folder / "found.json", {"clip": FOUND})
    capsys.readouterr()
    assert summarize(folder / "found.json", "--min-score", "auto") == 2
    assert "found.json: states no least scores, which --min-score auto" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["html", "json", "csv"])
def test_a_file_may_be_written_instead_of_a_folder(folder, suffix):
    output = folder / f"week 1.{suffix}"
    assert summarize(folder / "labels.csv", "--output", output) == 0
    assert output.is_file()
    starts = {"html": "<!doctype html>", "json": "{", "csv": "set,video,class,"}
    assert output.read_text().lower().startswith(starts[suffix])


@pytest.mark.parametrize("name", ["found.html", "found.srt", "found.png", "found.csv"])
def test_what_is_for_people_is_refused_with_what_to_give(folder, capsys, name):
    (folder / name).write_text(csv_text(FOUND) if name.endswith("csv") else "x")
    assert summarize(folder / name) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name}: is " in line
    assert "for people; give the JSON file of the detections" in line
    assert line.endswith("afsd detect --output found.json")


def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys):
    (folder / "bad.json").write_text("{")
    odd = {"results": {}, "external_data": {"durations_s": {"clip": -1}}}
    (folder / "odd.json").write_text(json.dumps(odd))
    before = sorted(folder.iterdir())
    for arguments, message in (
        ((folder / "bad.json",), "bad.json: not valid JSON"),
        ((folder / "odd.json",), "external_data.durations_s['clip'] must be above 0, not -1"),
        ((folder / "labels.csv", "--output", folder / "x.pdf"), "ends in .csv, .json or .html"),
        ((folder / "labels.csv", "--labels", "rum"), "--labels rum: no action of this class"),
        ((folder / "labels.csv", "--bin", 0), "--bin: must be a positive number, not 0"),
        ((folder / "labels.csv", "--format", "png"), "--format: must be some of csv,json,html"),
    ):
        capsys.readouterr()
        assert summarize("--output", folder / "out", *arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before
