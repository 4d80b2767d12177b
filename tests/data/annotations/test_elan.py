"""ELAN's files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo

EAF = """\
<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-02T10:11:12+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/talk%201.wav" MIME_TYPE="audio/x-wav"
            RELATIVE_MEDIA_URL="./talk%201.wav"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/talk%201.mp4" MIME_TYPE="video/mp4"
            RELATIVE_MEDIA_URL="./talk%201.mp4"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/side.mp4" MIME_TYPE="video/mp4"/>
        <PROPERTY NAME="lastUsedAnnotationId">5</PROPERTY>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2750"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="gesture">
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
                <ANNOTATION_VALUE> wave &amp; nod
                </ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
                <ANNOTATION_VALUE></ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
                <ANNOTATION_VALUE>half</ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="gesture" TIER_ID="comment">
        <ANNOTATION>
            <REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
                <ANNOTATION_VALUE>twice</ANNOTATION_VALUE>
            </REF_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt"/>
</ANNOTATION_DOCUMENT>
"""


def write(folder: Path, text: str, name: str = "talk.eaf") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_values_or_else_tiers_and_times_are_seconds(tmp_path):
    videos = annotations.read_annotations(write(tmp_path, EAF))
    actions = (Action("wave & nod", 1.5, 2.75), Action("gesture", 1.5, 2.75))
    assert videos == {"talk 1": AnnotatedVideo("", None, actions)}
    (note,) = videos["talk 1"].notes
    assert "talk.eaf, line 31: 'half' has no time of its own: left out" in note


def test_a_file_that_links_no_video_is_of_the_one_of_its_own_name(tmp_path):
    text = EAF.replace("video/mp4", "audio/mp4").replace(".mp4", ".m4a")
    assert list(annotations.read_annotations(write(tmp_path, text, "pen_1.eaf"))) == ["pen_1"]


def test_a_folder_of_files_is_a_data_set(tmp_path):
    for number in (1, 2):
        write(tmp_path, EAF.replace("talk%201", f"talk%20{number}"), f"{number}.eaf")
    assert sorted(annotations.read_annotations(tmp_path)) == ["talk 1", "talk 2"]
    write(tmp_path, EAF, "3.eaf")
    with pytest.raises(UserError, match=r"3.eaf: video 'talk 1' is also in .*1.eaf"):
        annotations.read_annotations(tmp_path)


LAUGHS = """\
<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>
<ANNOTATION_DOCUMENT>&c;</ANNOTATION_DOCUMENT>
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (EAF, LAUGHS, "line 2: ELAN's files have no DOCTYPE"),
        (EAF, "<html/>", "line 1: html is not ELAN's ANNOTATION_DOCUMENT"),
        (EAF, "", r"not valid XML \(no element found"),
        ("UTF-8", "TF-8", r"not valid XML \(unknown encoding: TF-8"),
        ("UTF-8", "utf-7", r"not valid XML \(multi-byte encodings are not supported"),
        ("</TIER>", "", r"not valid XML \(mismatched tag"),
        ('"1500"', '"1.5"', "line 14: a time must be whole milliseconds, is '1.5'"),
        ('"1500"', '"²"', "line 14: a time must be whole milliseconds"),
        ('TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts9"', "line 20: time slot 'ts9' is not in"),
        ('TIME_SLOT_REF2="ts3"', "", "line 20: ALIGNABLE_ANNOTATION has no TIME_SLOT_REF2"),
        ("milliseconds", "PAL-frames", "line 5: TIME_UNITS must be milliseconds"),
        (
            'MIME_TYPE="video/mp4"',
            'MIME_TYPE="video/mp4" TIME_ORIGIN="250"',
            "line 8: the video has a TIME_ORIGIN; set its offset to 0",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused_by_line(tmp_path, old, new, message):
    path = write(tmp_path, EAF.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(st.integers(0, len(EAF) - 1), st.sampled_from(["", "<", '"', "&x;", "\x00", "</TIER>"]))
def test_whatever_is_damaged_is_read_or_refused_in_one_line(tmp_path_factory, at, damage):
    path = write(tmp_path_factory.getbasetemp(), EAF[:at] + damage + EAF[at + 1 :])
    message = str(path)
    try:
        annotations.read_annotations(path)
    except UserError as error:
        message = str(error)
    assert message.startswith(str(path))
