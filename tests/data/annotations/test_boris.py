"""BORIS's tabular exports, from the current and from older versions."""

import re
from pathlib import Path

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo
from tests.annotation_files import BORIS_AGGREGATED

OLD_AGGREGATED = """\
Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,\
Behavioral category,Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,\
Comment stop
6008,2021-12-06 13:26:24,,T:/Some Project/6008.mp4,1381.010,29.97,No focal subject,hold,,,STATE,\
689.000,989.023,300.023,,
6008,2021-12-06 13:26:24,,T:/Some Project/6008.mp4,1381.010,29.97,No focal subject,hold,,,STATE,\
1000.5,1001,0.5,,
"""
EVENTS = """\
Observation id,Observation date,Description,Observation duration,Observation type,Source,\
Time offset (s),Media duration (s),FPS,weather,Subject,Behavior,Behavioral category,Modifier #1,\
Behavior type,Time,Media file name,Image index,Image file path,Comment
pen 1,2024-05-02 10:11:12,,60.0,Media file(s),player #1:pen_1.mp4|player #2:side_1.mp4,0.0,\
60.000|60.000,25.000|25.000,dry,hen 1,peck,,ground,START,3.240,pen_1.mp4,81,NA,
pen 1,2024-05-02 10:11:12,,60.0,Media file(s),player #1:pen_1.mp4|player #2:side_1.mp4,0.0,\
60.000|60.000,25.000|25.000,dry,hen 2,peck,,ground,START,4.000,pen_1.mp4,100,NA,
pen 1,2024-05-02 10:11:12,,60.0,Media file(s),player #1:pen_1.mp4|player #2:side_1.mp4,0.0,\
60.000|60.000,25.000|25.000,dry,hen 1,call,,,POINT,5.000,pen_1.mp4,125,NA,
pen 1,2024-05-02 10:11:12,,60.0,Media file(s),player #1:pen_1.mp4|player #2:side_1.mp4,0.0,\
60.000|60.000,25.000|25.000,dry,hen 2,peck,,ground,STOP,6.000,pen_1.mp4,150,NA,
pen 1,2024-05-02 10:11:12,,60.0,Media file(s),player #1:pen_1.mp4|player #2:side_1.mp4,0.0,\
60.000|60.000,25.000|25.000,dry,hen 1,peck,,ground,STOP,8.740,pen_1.mp4,218,NA,
"""
OLD_EVENTS = """\
Observation id\tpen 1

Media file(s)

Player #1\t/home/ana/pen_1.mp4

Observation date\t2018-05-02 10:11:12

Description\t

Time offset (s)\t0

Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus
3.24\t/home/ana/pen_1.mp4\t60\t25\then 1\tpeck\t\t\tSTART
8.74\t/home/ana/pen_1.mp4\t60\t25\then 1\tpeck\t\t\tSTOP
"""
CASES = Path(__file__).parent / "cases"
PECK = Action("peck", 3.24, 8.74)


def write(tmp_path: Path, text: str, name: str = "export.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_aggregated_events_are_read(tmp_path, kind):
    text = BORIS_AGGREGATED
    if kind == "tsv":
        text = text.replace("rest, lying", "rest; lying").replace(",", "\t").replace(";", ",")
    videos = annotations.read_annotations(write(tmp_path, text, f"export.{kind}"))
    assert videos == {
        "pen_1": AnnotatedVideo("", None, (PECK,)),
        "pen_2": AnnotatedVideo("", None, (Action("rest, lying", 0, 4),)),
    }
    (note,) = videos["pen_1"].notes
    assert f"export.{kind}, line 3: 'call' has no length (POINT): left out" in note


def test_aggregated_events_of_older_versions_are_read(tmp_path):
    videos = annotations.read_annotations(write(tmp_path, OLD_AGGREGATED))
    assert videos["6008"].actions == (
        Action("hold", 689, 989.023),
        Action("hold", 1000.5, 1001),
    )


def test_starts_and_stops_are_paired_by_subject(tmp_path):
    videos = annotations.read_annotations(write(tmp_path, EVENTS))
    assert videos == {"pen_1": AnnotatedVideo("", None, (Action("peck", 4, 6), PECK))}
    assert len(videos["pen_1"].notes) == 1


def test_lines_before_the_header_are_ignored(tmp_path):
    for name in ("export.csv", "export.tsv"):
        videos = annotations.read_annotations(write(tmp_path, OLD_EVENTS, name))
        assert videos["pen_1"].actions == (PECK,)


def test_many_events_without_length_make_one_note(tmp_path):
    lines = EVENTS.splitlines(keepends=True)
    path = write(tmp_path, "".join(lines + lines[3:4] * 5))
    (note,) = annotations.read_annotations(path)["pen_1"].notes
    assert note.endswith("left out (and 5 more of pen_1)")


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (
            BORIS_AGGREGATED,
            "8.740,5.500",
            "NA,NA",
            r"line 2: Stop \(s\) must be a number .*, not 'NA'",
        ),
        (
            BORIS_AGGREGATED,
            "pen_1.mp4,0.0",
            "pen_1.mp4,12.5",
            "line 2: the observation has a time",
        ),
        (
            BORIS_AGGREGATED,
            "pen_1.mp4,0.0",
            "pen_1.mp4;/b.mp4,0.0",
            "line 2: Source names several videos; BORIS counts time",
        ),
        (
            BORIS_AGGREGATED,
            "/home/ana/pen_1.mp4,225",
            "/home/ana/pen_1b.mp4,225",
            "line 3: 'pen_1' came before 'pen_1b'; BORIS counts time through all videos",
        ),
        (BORIS_AGGREGATED, "peck,Feeding,", "peck,", "line 2: must have 25 cells"),
        (EVENTS, "STOP,8.740", "START,8.740", "line 6: 'peck' has one START too many; correct it"),
        (EVENTS, "START,3.240", "STOP,3.240", "line 2: 'peck' has one STOP too many"),
        (EVENTS, "START,3.240", "START,soon", "line 2: Time must be a number .*, not 'soon'"),
        (EVENTS, "START,3.240", "STATE,3.240", "line 2: an event must be START, STOP or POINT"),
        (OLD_EVENTS, "peck\t\t\tSTOP", "rest\t\t\tPOINT", "line 14: 'peck' starts here but never"),
    ],
)
def test_errors_name_the_line(tmp_path, text, old, new, message):
    assert old in text
    path = write(tmp_path, text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(f"{path}, line ")
    assert "\n" not in str(error.value)


def test_live_observations_have_no_video(tmp_path):
    text = BORIS_AGGREGATED.replace("player #1:/home/ana/pen_1.mp4", "NA").replace(
        "/home/ana/pen_1.mp4", "NA"
    )
    with pytest.raises(UserError, match="line 2: names no video file; only observations of videos"):
        annotations.read_annotations(write(tmp_path, text))


def test_an_export_for_each_observation_is_read_as_one_with_all(tmp_path):
    folder = CASES / "boris_observations"
    first, second = (path.read_text() for path in sorted(folder.iterdir()))
    together = write(tmp_path, first + second.partition("\n")[2])
    videos = annotations.read_annotations(folder)
    assert videos == annotations.read_annotations(together)
    assert videos["pen_1"].actions == (Action("peck", 1, 2), Action("peck", 3, 4))
    (note,) = videos["pen_1"].notes
    assert "'pen_1' has 2 observations ('hen1', 'hen2'), which are put together" in note


def test_two_observers_of_one_video_are_noted():
    videos = annotations.read_annotations(CASES / "boris_two_observers.csv")
    (note,) = videos["pen_1"].notes
    assert "2 observations ('pen1_ana', 'pen1_ben')" in note
    assert "an action that is in two counts twice" in note
    assert not videos["pen 3 (left)"].notes


def test_an_export_with_semicolons_and_decimal_commas_is_read(tmp_path):
    text = BORIS_AGGREGATED.replace("rest, lying", "rest lying").replace('"', "")
    comma = re.compile(r"\b(\d+)\.(\d+)\b")
    lines = text.replace(",", ";").split("\n")
    rows = [comma.sub(r"\1,\2", line) for line in lines]
    videos = annotations.read_annotations(write(tmp_path, "\n".join(rows)))
    assert videos["pen_1"].actions == (PECK,)
    late = "\n".join(rows).replace("pen_1.mp4;0,0;", "pen_1.mp4;0,5;", 1)
    with pytest.raises(UserError, match="line 2: the observation has a time offset"):
        annotations.read_annotations(write(tmp_path, late))


def test_an_observation_in_two_files_is_refused(tmp_path):
    write(tmp_path, EVENTS, "a.csv")
    write(tmp_path, EVENTS.replace(",", "\t"), "b.tsv")
    with pytest.raises(UserError, match=r"b.tsv, line 2: observation 'pen 1' is also in .*a.csv"):
        annotations.read_annotations(tmp_path)


def test_an_event_that_stops_where_it_starts_is_left_out(tmp_path):
    path = write(tmp_path, EVENTS.replace("STOP,6", "STOP,4"))
    videos = annotations.read_annotations(path)
    assert videos["pen_1"].actions == (PECK,)
    assert videos["pen_1"].notes[0].endswith("left out (and 1 more of pen_1)")
