"""What is written for another tool is read back to the same actions."""

import json
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data import annotations
from afsd_jax.data.annotations.annotation_formats import FORMATS
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed
from afsd_jax.types import Action, Detection, MarkedVideo
from tests.annotation_formats import RATE, marked_videos

CASES = Path(__file__).parent / "cases"
DETECTORS = ("actionformer", "opentad")  # their detections are not annotations
FOLDER = Path("/videos")
RESOLUTION = {"label-studio": 0.5 / RATE}  # seconds by which a time may change


def read_back(name: str, videos: list[MarkedVideo]) -> annotations.Annotations:
    """Writes videos in a format and reads them; predictions are accepted as Label Studio does."""
    folder = Path(tempfile.mkdtemp(prefix="afsd-formats-"))
    try:
        files = annotations.write_annotations(name, videos, folder)
        if name == "label-studio" and videos[0].detected:
            (path,) = files
            tasks = json.loads(path.read_text())
            accepted = [{"data": t["data"], "annotations": t["predictions"]} for t in tasks]
            path.write_text(json.dumps(accepted))
        return annotations.read_annotations(folder)
    finally:
        shutil.rmtree(folder)


def rows(marks) -> list[tuple[str, float, float]]:
    return sorted((mark.label, mark.start_s, mark.end_s) for mark in marks)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back_to_the_same_actions(name, data):
    videos = data.draw(marked_videos(FOLDER))
    if name == "via":  # a video without segments counts as not annotated
        videos = [video for video in videos if video.marks]
        if not videos:
            return
    found = read_back(name, videos)
    # Names of videos are composed on reading; labels are kept as they are.
    expected = {composed(video.name): rows(video.marks) for video in videos}
    assert {name: len(v.actions) for name, v in found.items()} == {
        name: len(marks) for name, marks in expected.items()
    }
    tolerance = RESOLUTION.get(name, 0.0) + 1e-9
    for video, marks in expected.items():
        assert [mark[0] for mark in rows(found[video].actions)] == [mark[0] for mark in marks]
        for label in {mark[0] for mark in marks}:
            for end in (1, 2):
                got = sorted(mark[end] for mark in rows(found[video].actions) if mark[0] == label)
                want = sorted(mark[end] for mark in marks if mark[0] == label)
                assert got == pytest.approx(want, abs=tolerance)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in DETECTORS])
def test_detections_are_read_back_to_the_same_segments(name):
    found = [Detection("run", 0.9, 1.0, 2.5), Detection("jump", 0.4, 2.0, 4.0)]
    path = FOLDER / "a.mp4"
    video = MarkedVideo("a", found, detected=True, path=path, duration_s=9.0, fps=RATE)
    assert rows(read_back(name, [video])["a"].actions) == [("jump", 2.0, 4.0), ("run", 1.0, 2.5)]


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("name", FORMATS)
def test_real_exports_keep_their_actions_in_every_format(tmp_path, name, case):
    read = annotations.read_annotations(case)
    videos = [
        MarkedVideo(name, v.actions, path=FOLDER / f"{name}.mp4", duration_s=90.0, fps=1000.0)
        for name, v in read.items()
        if v.actions
    ]
    found = read_back(name, videos)
    assert {name: rows(video.actions) for name, video in found.items()} == {
        video.name: [
            (label, pytest.approx(s, abs=6e-4), pytest.approx(e, abs=6e-4))
            for label, s, e in rows(video.marks)
        ]
        for video in videos
    }


def test_elan_files_are_read_by_pympi(tmp_path):
    marks = [Action("run & <jump>", 1.0, 2.5), Action("run & <jump>", 2.0, 3.0)]
    marks += [Action("rest", 0.0, 0.001)]
    video = MarkedVideo("my talk", marks, path=tmp_path / "films" / "my talk.mp4")
    (path,) = annotations.write_annotations("elan", [video], tmp_path / "out.eaf")
    document = pytest.importorskip("pympi").Elan.Eaf(path)
    names = document.get_tier_names()
    assert {name: document.get_annotation_data_for_tier(name) for name in names} == {
        "rest": [(0, 1, "rest")],
        "run & <jump>": [(1000, 2500, "run & <jump>")],
        "run & <jump> (2)": [(2000, 3000, "run & <jump>")],
    }
    (media,) = document.media_descriptors
    assert Path(unquote(urlsplit(media["MEDIA_URL"]).path)) == video.path
    assert media["RELATIVE_MEDIA_URL"] == "./films/my%20talk.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


def test_a_boris_project_holds_what_boris_needs_to_open_it(tmp_path):
    marks = [Detection("run", 0.9, 1.0, 2.5), Detection("run", 0.8, 2.0, 3.0)]
    path = tmp_path / "a.mp4"
    video = MarkedVideo("a", marks, detected=True, path=path, duration_s=9.5, fps=25.0)
    (written,) = annotations.write_annotations("boris", [video], tmp_path / "mine.boris")
    project = json.loads(written.read_text())
    observation = project["observations"].pop("a")
    assert project["project_format_version"] == "7.0"
    assert project["project_name"] == "mine"
    behavior = project["behaviors_conf"]["0"]
    assert (behavior["type"], behavior["code"], behavior["key"]) == ("State event", "run", "a")
    assert [subject["name"] for subject in project["subjects_conf"].values()] == ["overlap 2"]
    assert observation["type"] == "MEDIA"
    assert observation["file"]["1"] == [str(path)]
    assert observation["media_info"]["length"] == {str(path): 9.5}
    assert observation["media_info"]["fps"] == {str(path): 25.0}
    assert observation["events"] == [
        [1.0, "", "run", "", "score 0.900", 25],
        [2.0, "overlap 2", "run", "", "score 0.800", 50],
        [2.5, "", "run", "", "", 62],
        [3.0, "overlap 2", "run", "", "", 75],
    ]


def test_label_studio_gets_predictions_of_detections_and_annotations_of_labels(tmp_path):
    known = {"path": tmp_path / "my cat.mp4", "fps": 25.0}
    found = MarkedVideo("my cat", [Detection("run", 0.9, 1.0, 2.0)], detected=True, **known)
    labels = MarkedVideo("my cat", [Action("run", 1.0, 2.0)], **known)
    nothing = MarkedVideo("my cat", [], detected=True, **known)
    tasks = []
    for video in (found, labels, nothing):
        (path,) = annotations.write_annotations("label-studio", [video], tmp_path / "tasks.json")
        tasks += json.loads(path.read_text())
    assert [task["data"] for task in tasks] == 3 * [
        {"video": "/data/local-files/?d=my%20cat.mp4", "fps": 25.0}
    ]
    (prediction,) = tasks[0]["predictions"]
    (result,) = prediction["result"]
    assert result["value"] == {"ranges": [{"start": 26, "end": 50}], "timelinelabels": ["run"]}
    assert (result["type"], result["to_name"], result["score"]) == ("timelinelabels", "video", 0.9)
    assert "score" not in tasks[1]["annotations"][0]["result"][0]
    assert tasks[2]["predictions"][0]["result"] == []


def test_scores_stand_where_a_format_has_a_place_for_them(tmp_path):
    video = MarkedVideo("a", [Detection("run", 0.75, 1.0, 2.0)], detected=True, duration_s=9.0)
    texts = {name: FORMATS[name].write([video], tmp_path / "x") for name in ("csv", "fiftyone")}
    assert texts["csv"] == "video,label,start,end,score\r\na,run,1.0,2.0,0.75\r\n"
    (found,) = json.loads(texts["fiftyone"])["labels"]["a"]
    assert found == {"label": "run", "timestamps": [1.0, 2.0], "confidence": 0.75}
    (found,) = json.loads(FORMATS["activitynet"].write([video], tmp_path))["database"].values()
    assert found == {
        "duration": 9.0,
        "annotations": [{"segment": [1.0, 2.0], "label": "run", "score": 0.75}],
    }


def test_no_text_is_a_formula_in_a_spreadsheet(tmp_path):
    video = MarkedVideo("-a", [Action("=1+1", 1.0, 2.0), Action("'=2", 1.0, 2.0)], subset="@x")
    (path,) = annotations.write_annotations("csv", [video], tmp_path / "a.csv")
    assert path.read_text().splitlines()[1:] == ["'-a,'=1+1,1.0,2.0,'@x", "'-a,''=2,1.0,2.0,'@x"]
    (read,) = annotations.read_annotations(path).values()
    assert [action.label for action in read.actions] == ["=1+1", "'=2"]
    assert read.subset == "@x"


@pytest.mark.parametrize(
    ("name", "video", "message"),
    [
        ("boris", MarkedVideo("a", []), "a: BORIS needs the length and the frame rate"),
        ("label-studio", MarkedVideo("a", []), "a: Label Studio counts frames and needs"),
        ("csv", MarkedVideo("a/b", []), "the video name 'a/b' must not contain slashes"),
        ("elan", MarkedVideo("a", [Action("x\0", 0, 1)]), r"label 'x\\x00' must be a printable"),
        (
            "boris",
            MarkedVideo("a", [Action("x|y", 0, 1)], path=FOLDER / "a.mp4", duration_s=9, fps=9),
            "'x|y': BORIS does not allow |",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_one_line_and_nothing_is_written(
    tmp_path, name, video, message
):
    with pytest.raises(UserError, match=message) as error:
        annotations.write_annotations(name, [video], tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_files_are_named_by_their_format(tmp_path):
    videos = [MarkedVideo("a", []), MarkedVideo("b", [])]
    names = {
        name: sorted(path.name for path in annotations.output_files(name, videos, tmp_path))
        for name in FORMATS
    }
    assert names == {
        "csv": ["annotations.csv"],
        "boris": ["annotations.boris"],
        "elan": ["a.eaf", "b.eaf"],
        "label-studio": ["annotations-label-studio.json"],
        "via": ["annotations-via.json"],
        "fiftyone": ["annotations-fiftyone.json"],
        "activitynet": ["annotations.json"],
        "actionformer": ["annotations-actionformer.json"],
        "opentad": ["annotations-opentad.json"],
    }
    with pytest.raises(UserError, match=r"x.json: the name must end in .csv"):
        annotations.output_files("csv", videos, tmp_path / "x.json")
    with pytest.raises(UserError, match=r"x.eaf: holds one video, not 2; give a folder"):
        annotations.output_files("elan", videos, tmp_path / "x.eaf")
