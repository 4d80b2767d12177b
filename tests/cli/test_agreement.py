"""`afsd agreement`: two label files of the same videos."""

import csv
import json

import pytest

from afsd_jax import cli
from afsd_jax.io.activitynet_json import write_predictions

HEAD = "video,label,start,end\n"
FIRST = HEAD + "a,run,0,10\na,jump,20,30\nb,run,0,5\nc,run,0,1\n"
SECOND = HEAD + "a,run,0,9\na,=rest,20,30\nb,,,\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ana.csv").write_text(FIRST)
    (tmp_path / "ben.csv").write_text(SECOND)
    return tmp_path


def agreement(*arguments: object) -> int:
    return cli.main(["agreement", *map(str, arguments)])


def test_measures_and_disagreements_are_printed(folder, capsys):
    assert agreement(folder / "ana.csv", folder / "ben.csv") == 0
    printed, errors = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0] == "not in both, so not compared: c"
    assert [line.split() for line in lines[2:7]] == [
        ["class", "first", "second", "in", "both", "F1", "kappa"],
        ["=rest", "0", "1", "0", "0.0", "%", "0.000"],
        ["jump", "1", "0", "0", "0.0", "%", "0.000"],
        # Of 35 s, run is in 15 and in 9, in both in 9: chance agrees in (15 · 9 + 20 · 26) / 35².
        ["run", "2", "1", "1", "66.7", "%", "0.632"],
        # Both have run in 9 s and nothing in 10 s: chance agrees in (15 · 9 + 10 · 16) / 35².
        ["all", "classes", "3", "2", "1", "40.0", "%", "0.398"],
    ]
    assert lines[7] == "actions in both: starts 0.00 s apart, ends 1.00 s apart, in the mean"
    assert lines[8:11] == [
        "2 disagreements (first / second)",
        "  a, 20.00 to 30.00 s: jump / =rest",
        "  b, 0.00 to 5.00 s: run / nothing",
    ]
    assert "3 videos of unknown length" in errors
    assert lines[-1].startswith("next, see both side by side: afsd summarize ")


def test_files_hold_all_measures_or_the_disagreements(folder):
    inputs = folder / "ana.csv", folder / "ben.csv"
    assert agreement(*inputs, "--output", folder / "x.json") == 0
    content = json.loads((folder / "x.json").read_text())
    assert content["f1"] == 0.4
    assert content["classes"]["run"]["pairs"] == 1
    assert agreement(*inputs, "--output", folder / "x.csv") == 0
    rows = list(csv.reader((folder / "x.csv").read_text().splitlines()))
    assert rows == [
        ["video", "start_s", "end_s", "first", "second"],
        ["a", "20.0", "30.0", "jump", "'=rest"],
        ["b", "0.0", "5.0", "run", ""],
    ]


def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys):
    (folder / "else.csv").write_text(HEAD + "z,run,0,1\n")
    write_predictions(folder / "found.json", {"a": []})
    before = sorted(folder.iterdir())
    for arguments, message in (
        (("ana.csv", "else.csv"), "else.csv: no video is in both"),
        (("ana.csv", "found.json"), "found.json: holds detections; afsd evaluate compares"),
        (("ana.csv", "ben.csv", "--output", "x.txt"), "x.txt: the name must end in .json or .csv"),
        (("ana.csv", "ben.csv", "--output", "ana.csv"), "is one of the inputs"),
        (("ana.csv", "none.csv"), "none.csv: no such file"),
    ):
        paths = [a if a.startswith("--") else folder / a for a in arguments]
        capsys.readouterr()
        assert agreement(*paths) == 2
        errors = capsys.readouterr().err.splitlines()
        assert message in errors[-1]
        assert [line for line in errors if not line.startswith("note: ")] == errors[-1:]
    assert sorted(folder.iterdir()) == before
    assert (folder / "ana.csv").read_text() == FIRST
