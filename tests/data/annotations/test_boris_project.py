"""Projects of BORIS: events are paired by behavior, subject and modifiers."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo
from tests.annotation_files import BORIS_PROJECT


def write(folder: Path, project: Any) -> Path:
    path = folder / "pens.boris"
    path.write_text(json.dumps(project))
    return path


def changed(**fields: Any) -> dict[str, Any]:
    """Returns the project with other fields in its first observation."""
    project = copy.deepcopy(BORIS_PROJECT)
    project["observations"]["pen 1"] |= fields
    return project


def test_states_are_read_and_events_without_length_left_out(tmp_path):
    path = write(tmp_path, BORIS_PROJECT)
    videos = annotations.read_annotations(path)
    assert videos == {
        "pen_1": AnnotatedVideo("", None, (Action("peck", 4.0, 6.0), Action("peck", 3.24, 8.74))),
        "pen_2": AnnotatedVideo("", None, ()),
    }
    (note,) = videos["pen_1"].notes
    assert note.endswith("observations['pen 1'].events[2]: 'call' has no length (POINT): left out")
    assert annotations.read_annotations(tmp_path) == videos


def test_several_observations_of_a_video_are_put_together_with_a_note(tmp_path):
    project = copy.deepcopy(BORIS_PROJECT)
    project["observations"]["again"] = project["observations"]["pen 1"]
    video = annotations.read_annotations(write(tmp_path, project))["pen_1"]
    assert len(video.actions) == 4
    assert "'pen_1' has 2 observations ('pen 1', 'again')" in video.notes[0]


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ({}, r'pens.boris: "observations" is missing; save the project again in BORIS'),
        ([], '"observations" is missing'),
        (changed(events=[[1, "", "peck", ""]]), r"events\[0\]: 'peck' starts here but never stops"),
        (changed(events=[[1, "", "sing", ""]]), r"events\[0\]: the behavior 'sing' is not among"),
        (changed(events=[[1, ""]]), r"events\[0\] must be \[time, subject, code, modifier, …\]"),
        (changed(events=[["soon", "", "peck", ""]]), r"events\[0\]\[0\] must be a finite number"),
        (changed(events=3), r"events must be a list, not 3"),
        (changed(file={"1": ["a.mp4", "b.mp4"]}), "has several videos; BORIS counts time through"),
        (changed(file={"1": []}, type="LIVE"), "names no video file; only observations of videos"),
        (changed(**{"time offset": 12.5}), "the observation has a time offset; set it to 0"),
        (changed(media_info={"offset": {"1": 2}}), "its video has an offset; set it to 0 in BORIS"),
    ],
)
def test_errors_name_the_place(tmp_path, project, message):
    path = write(tmp_path, project)
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_project_beside_its_exports_is_passed_over(tmp_path, caplog):
    path = write(tmp_path, BORIS_PROJECT)
    (tmp_path / "export.csv").write_text("video,label,start,end\npen_1,peck,1,2\n")
    assert list(annotations.read_annotations(tmp_path)) == ["pen_1"]
    assert f"{path}: is not read, because the folder has other annotation files" in caplog.text
