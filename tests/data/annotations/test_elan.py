"""ELAN's files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo
from tests.annotation_files import ELAN_EAF


def write(folder: Path, text: str, name: str = "talk.eaf") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_values_or_else_tiers_and_times_are_seconds(tmp_path):
    videos = annotations.read_annotations(write(tmp_path, ELAN_EAF))
    actions = (Action("wave & nod", 1.5, 2.75), Action("gesture", 1.5, 2.75))
    assert videos == {"talk 1": AnnotatedVideo("", None, actions)}
    (note,) = videos["talk 1"].notes
    assert "talk.eaf, line 31: 'half' has no time of its own: left out" in note


def test_a_file_without_a_link_belongs_to_the_video_of_its_own_name(tmp_path):
    text = ELAN_EAF.replace("video/mp4", "audio/mp4").replace(".mp4", ".m4a")
    assert list(annotations.read_annotations(write(tmp_path, text, "pen_1.eaf"))) == ["pen_1"]


def test_a_folder_of_files_is_a_data_set(tmp_path):
    for number in (1, 2):
        write(tmp_path, ELAN_EAF.replace("talk%201", f"talk%20{number}"), f"{number}.eaf")
    assert sorted(annotations.read_annotations(tmp_path)) == ["talk 1", "talk 2"]
    write(tmp_path, ELAN_EAF, "3.eaf")
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
        (ELAN_EAF, LAUGHS, "line 2: ELAN's files have no DOCTYPE"),
        (ELAN_EAF, "<html/>", "line 1: html is not ELAN's ANNOTATION_DOCUMENT"),
        (ELAN_EAF, "", r"not valid XML \(no element found"),
        ("UTF-8", "TF-8", r"not valid XML \(unknown encoding: TF-8"),
        ("UTF-8", "utf-7", r"not valid XML \(multi-byte encodings are not supported"),
        ("</TIER>", "", r"not valid XML \(mismatched tag"),
        ('"1500"', '"1.5"', "line 14: a time must be whole milliseconds, not '1.5'"),
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
def test_errors_name_the_line(tmp_path, old, new, message):
    path = write(tmp_path, ELAN_EAF.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(st.integers(0, len(ELAN_EAF) - 1), st.sampled_from(["", "<", '"', "&x;", "\x00", "</TIER>"]))
def test_whatever_is_damaged_is_read_or_refused_in_one_line(tmp_path_factory, at, damage):
    path = write(tmp_path_factory.getbasetemp(), ELAN_EAF[:at] + damage + ELAN_EAF[at + 1 :])
    message = str(path)
    try:
        annotations.read_annotations(path)
    except UserError as error:
        message = str(error)
    assert message.startswith(str(path))
