"""What a stranger wrote does nothing in a terminal, a spreadsheet, a player or a browser."""

import csv
import io
import json
import os

import pytest

from afsd_jax.errors import UserError, printable
from afsd_jax.report import run_page
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import readable_cues, srt, vtt
from afsd_jax.report.table import csv_text
from afsd_jax.report.tracks import Track
from afsd_jax.types import Action, Detection
from tests.run_folders import write_run

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "a --> b",
    "00:00:01,000 --> 00:00:09,000",
    "{\\an8}top",
    "<c.red>x</c>",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "\x9b31m",
    "\ud800",
    "a\n\n2\n00:00:01,000 --> 00:00:02,000\nb",
    "a\r\nb\x00c",
)


def found(label: str) -> list[Detection]:
    return [Detection(label, 0.9, 1.0, 2.0)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_only_what_it_can_print(text):
    assert printable(text).isprintable()
    printable(text).encode()


def test_texts_that_can_be_printed_stay_as_they_are():
    for text in ("jump", "Über dem Zaun", "跳 水", "a\\b", ""):
        assert printable(text) == text
    assert printable("a\x1b[31m\u202e\n") == "a\\x1b[31m\\u202e\\n"


@pytest.mark.parametrize("label", HOSTILE)
def test_subtitles_have_one_cue_without_tags_or_control_characters(label):
    cues = readable_cues(found(label), 0.1, 10.0)
    for text in (srt(cues), vtt(cues)):
        lines = text.splitlines()
        assert sum("-->" in line for line in lines) == 1
        assert all(line.isprintable() for line in lines)
        assert "<" not in text
        text.encode()
    assert not set("{}") & set(srt(cues))
    assert len(srt(cues).splitlines()) == 3


def test_times_beyond_all_videos_do_not_overflow():
    (cue,) = readable_cues([Detection("a", 0.9, -1e308, 1e308)], 0.1)
    assert cue.end_ms < 1e13


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "|", "＝"])
def test_no_label_is_a_formula_in_a_spreadsheet(start):
    label = f"{start}HYPERLINK(1)"
    _, row = csv.reader(io.StringIO(csv_text(found(label)), newline=""))
    assert row[0] == f"'{label}"
    _, row = csv.reader(io.StringIO(csv_text(found("a=1")), newline=""))
    assert row == ["a=1", "0.900000", "1.000", "2.000"]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_page_shows_labels_and_names_as_texts(tmp_path, label):
    track = Track(label, 10.0, found(label), [Action(label, 0.0, 1.0)])
    write_page(tmp_path / "page.html", [VideoReport(track)], title=label, labels=[label])
    content = (tmp_path / "page.html").read_text()
    honest = Track("a", 10.0, found("a"), [Action("a", 0.0, 1.0)])
    write_page(tmp_path / "honest.html", [VideoReport(honest)], title="a", labels=["a"])
    expected = (tmp_path / "honest.html").read_text()
    for tag in ("<script", "</script", "<img", "<c."):
        assert content.count(tag) == expected.count(tag)


STEP = {"step": 1, "total": 0.5, "clips_per_s": 3.0}
EVALUATED = {"step": 2, "validation": {"average_mAP": 0.5, "mAP@0.5": 0.4, "ap": {"a": [0.5]}}}


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "9" * 10_000,
        "null",
        "[]",
        "{}",
        '{"step": true}',
        '{"step": -1}',
        '{"step": 1e400}',
        '{"step": 3, "total": "text"}',
        '{"step": 3, "total": [1]}',
        '{"step": 3, "total": ' + "9" * 400 + "}",
        '{"step": 3, "total": 1e400}',
        '{"step": 3, "validation": null}',
        '{"step": 3, "validation": 3}',
        '{"step": 3, "validation": {"average_mAP": "x"}}',
        '{"step": 3, "validation": {"average_mAP": 0.9, "ap": {"a": []}}}',
        '{"step": 3, "validation": {"average_mAP": 0.9, "ap": {"a": 1}}}',
        '{"step": 3, "validation": {"average_mAP": 0.9, "ap": {"a": ["x"]}}}',
        "\x00\x1b[2J",
    ],
)
def test_lines_that_are_no_records_are_left_out_of_a_run(tmp_path, line):
    honest = [json.dumps(STEP), json.dumps(EVALUATED)]
    expected = run_page.read_run(write_run(tmp_path / "honest", honest))
    run = run_page.read_run(write_run(tmp_path / "run", [*honest, line]))
    assert run.records == expected.records == [STEP, EVALUATED]
    run_page.write_page(tmp_path / "run")
    run_page.write_comparison(tmp_path / "page.html", [run, expected])
    assert run_page.as_text(run_page.compare([run]))


def test_an_evaluation_without_a_score_is_none(tmp_path):
    run = write_run(tmp_path / "run", ['{"step": 3, "validation": {"mAP@0.5": 1}}'])
    assert run_page.read_run(run).best is None
    run_page.write_page(run)


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        "3",
        "[" * 100_000,
        '{"a": ' * 500 + "1" + "}" * 500,
        json.dumps({str(i): i for i in range(20_000)}),
        '{"a": 1, "a": 2}',
        "9" * 10_000,
    ],
)
def test_a_configuration_that_is_none_is_refused_in_one_line(tmp_path, config):
    with pytest.raises(UserError) as error:
        run_page.read_run(write_run(tmp_path / "run", [], config))
    assert "\n" not in str(error.value)


def test_what_a_run_says_is_escaped_and_shortened_in_a_table(tmp_path):
    config = json.dumps({"a\x1b[2J": "b\n" * 10_000})
    folders = [write_run(tmp_path / "r", [], config), write_run(tmp_path / "s", [])]
    text = run_page.as_text(run_page.compare([run_page.read_run(folder) for folder in folders]))
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text.splitlines()) == 3
    assert len(text) < 5000


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
def test_pipes_in_a_run_are_not_waited_for(tmp_path, name):
    run = write_run(tmp_path / "run", [])
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(UserError, match="must be a file"):
        run_page.read_run(run)
