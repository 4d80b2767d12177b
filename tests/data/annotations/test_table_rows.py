"""Tables as spreadsheets write them."""

from pathlib import Path

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo

CASES = Path(__file__).parent / "cases"
PENS = {
    "pen_1": AnnotatedVideo("", None, (Action("peck", 1.0, 2.5),)),
    "pen_2": AnnotatedVideo("", None, (Action("rest", 0.5, 3.0),)),
}
TABLE = "video,label,start,end\npen_1.mp4,peck,1.0,2.5\npen_2.mp4,rest,0.5,3.0\n"


def read(tmp_path: Path, text: str | bytes, name: str = "labels.csv") -> annotations.Annotations:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return annotations.read_annotations(path)


@pytest.mark.parametrize("name", ["semicolons.csv", "emptied_rows.csv"])
def test_what_a_spreadsheet_saves_is_read(name):
    assert annotations.read_annotations(CASES / name) == PENS


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        "sep=;\n" + TABLE.replace(",", ";").replace("1.0;2.5", "1,0;2,5"),
        TABLE.replace(",", "\t"),
        "\n,,,\n" + TABLE + ",,,\n\n",
        TABLE.replace("\n", ",,\n"),
        "Video,LABEL,Start,End\n" + TABLE.partition("\n")[2],
        TABLE.encode("utf-16"),
        TABLE.encode("utf-8-sig"),
        TABLE.replace("pen_1.mp4", r"C:\films\pen_1.mp4").replace("pen_2", "films/2026/pen_2"),
        TABLE.replace("pen_2.mp4", '"pen_2.MP4"').replace("0.5", '" 0.5 "'),
    ],
)
def test_one_table_saved_in_many_ways_is_the_same(tmp_path, text):
    assert read(tmp_path, text) == PENS


def test_only_the_texts_that_are_used_must_be_utf8(tmp_path):
    videos = annotations.read_annotations(CASES / "boris_cp1252.csv")
    assert {name: [a.label for a in video.actions] for name, video in videos.items()} == {
        "pen_1": ["peck", "peck", "rest, lying"],
        "pen 3 (left)": ["peck"],
    }
    assert videos["pen_1"].actions[0] == Action("peck", 1.0, 2.5)
    text = TABLE.replace("peck", "crié").encode("cp1252")
    with pytest.raises(UserError, match=r"line 2: the label .* is not in UTF-8; .* CSV UTF-8"):
        read(tmp_path, text)
    with pytest.raises(UserError, match=r"line 2: the video name .* is not in UTF-8"):
        read(tmp_path, TABLE.replace("pen_1", "käfig").encode("cp1250"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.5", "1:62.5", "line 2: end must be a number or a time such as 1:02.5, not '1:62.5'"),
        (
            "2.5",
            "0:00:02:12",
            "line 2: end must be a number or a time such as 1:02.5, not '0:00:02",
        ),
        ("2.5", "soon", "line 2: end must be a number .*, not 'soon'; the line is: pen_1.mp4,peck"),
        ("1.0,2.5", "3,2", "ends at 2 s, not after its start at 3 s; the line is: pen_1.mp4,peck"),
        ("pen_1.mp4,", ",", "line 2: the video name is empty; the line is: ,peck,1.0,2.5"),
        (",peck", "", "line 2: must have 4 cells; the line is: pen_1.mp4,1.0,2.5"),
        ("label", "size", "column 'label' is missing: .*; it is: video,size,start,end"),
        ("video,label", "file,video,media,label", "must have 6 cells"),
        ("video,label", "file,media,label", "column 'video' appears twice"),
        ("end\n", "end,Video\n", "column 'video' appears twice; it is: video,label,start,end,V"),
        ("video,label,start,end", "a|b", "the first line must name video, .*; it is: a|b"),
    ],
)
def test_an_error_names_its_cause_and_shows_the_line(tmp_path, old, new, message):
    assert old in TABLE
    with pytest.raises(UserError, match=message.replace("|", r"\|")) as error:
        read(tmp_path, TABLE.replace(old, new, 1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("time", ["3723.5", "3723,5", "1:02:03.5", "01:02:03,5", "62:03.5"])
def test_a_time_may_be_written_as_a_clock_or_with_a_comma(tmp_path, time):
    text = f'video,label,start,end\nv,run,"{time}",1:02:04\n'
    assert read(tmp_path, text)["v"].actions == (Action("run", 3723.5, 3724.0),)


def test_only_times_have_decimal_commas(tmp_path):
    text = "video;label;start;end\n1,5.mp4;0,5;0,5;1,5\n"
    assert read(tmp_path, text) == {"1,5": AnnotatedVideo("", None, (Action("0,5", 0.5, 1.5),))}


@pytest.mark.parametrize(
    "header",
    ["File,Behavior,Begin,Stop", "file_name,Action,Start (s),End (s)", "Video ID,class,from,to"],
)
def test_columns_may_have_other_common_names(tmp_path, header):
    assert read(tmp_path, TABLE.replace("video,label,start,end", header)) == PENS


def test_a_long_line_is_shortened(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, TABLE.replace("1.0", "x" * 500))
    assert len(str(error.value)) < 800
    assert str(error.value).endswith("…")


def test_two_videos_of_one_name_in_different_folders_are_told_apart(tmp_path):
    rows = "video,label,start,end\na/v.mp4,run,0,1\n"
    assert len(read(tmp_path, rows + "v,run,2,3\na\\v.mp4,run,4,5\n")["v"].actions) == 3
    assert list(read(tmp_path, rows + "b/v.mp4,run,0,1\n")) == ["a__v", "b__v"]


def test_one_subset_may_be_written_in_several_ways(tmp_path):
    text = "video,label,start,end,Subset\na,run,0,1,Test\na,run,2,3,testing\nb,run,0,1,TRAIN\n"
    videos = annotations.assign_splits(read(tmp_path, text))
    assert {name: video.subset for name, video in videos.items()} == {"a": "test", "b": "train"}


def test_a_number_behind_a_dot_is_part_of_the_name(tmp_path):
    text = "video,label,start,end\ntrial.264,run,0,1\ntrial.265,run,0,1\ntrial.vob,run,0,1\n"
    assert list(read(tmp_path, text)) == ["trial.264", "trial.265", "trial"]
