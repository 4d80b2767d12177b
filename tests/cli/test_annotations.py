"""`afsd annotations`: annotations and detections become files of other tools."""

import json
from pathlib import Path

import pytest

from afsd_jax import cli
from afsd_jax.data import annotations
from afsd_jax.data.annotations.annotation_formats import FORMATS
from afsd_jax.io.activitynet_json import write_predictions
from afsd_jax.types import Action, Detection
from tests.video_files import numbered_frames, write_video

LABELS = "video,label,start,end\nclip,run,0.5,1\nclip,jump,1,1.5\n"
FOUND = [
    Detection("run", 0.9, 0.5, 1.0),
    Detection("run", 0.2, 1.0, 1.5),
    Detection("jump", 0.6, 0.2, 0.4),
    Detection("jump", 0.5, 0.7, 0.9),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with a video of 2 seconds at 25 frames a second, its labels and detections."""
    write_video(tmp_path / "clip.mp4", numbered_frames(50), rate=25)
    (tmp_path / "labels.csv").write_text(LABELS)
    write_predictions(tmp_path / "found.json", {"clip": FOUND})
    return tmp_path


def convert(*arguments: object) -> int:
    return cli.main(["annotations", *map(str, arguments)])


def refusal(capsys, *arguments: object) -> str:
    capsys.readouterr()
    assert convert(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize("name", FORMATS)
def test_labels_are_converted_to_every_format_and_back(folder, capsys, name):
    output = folder / "out"
    assert convert(folder / "labels.csv", "--format", name, "--output", output,
                   "--videos", folder) == 0  # fmt: skip
    printed = capsys.readouterr().out
    (written,) = output.iterdir()
    assert printed.splitlines() == [
        f"{written}: 2 actions in 1 video, {name}",
        f"next, count and time the actions: afsd summarize {written}",
    ]
    assert convert(written, "--output", folder / "back.csv") == 0
    (video,) = annotations.read_annotations(folder / "back.csv").values()
    expected = [Action("run", 0.5, 1.0), Action("jump", 1.0, 1.5)]
    assert sorted(video.actions, key=lambda a: a.label) == [
        Action(a.label, pytest.approx(a.start_s, abs=0.021), pytest.approx(a.end_s, abs=0.021))
        for a in sorted(expected, key=lambda a: a.label)
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], ["jump 0.2", "run 0.5", "jump 0.7"]),
        (["--min-score", "0.55"], ["jump 0.2", "run 0.5"]),
        (["--top-k", "1"], ["run 0.5"]),
        (["--labels", "jump"], ["jump 0.2", "jump 0.7"]),
        (["--min-score", "0"], ["jump 0.2", "run 0.5", "jump 0.7", "run 1.0"]),
    ],
)
def test_detections_are_chosen_by_score_number_and_class(folder, flags, expected):
    assert convert(folder / "found.json", "--output", folder / "x.csv", *flags) == 0
    (video,) = annotations.read_annotations(folder / "x.csv").values()
    assert [f"{action.label} {action.start_s}" for action in video.actions] == expected


def test_the_frame_rate_and_length_are_those_of_the_file(folder):
    output = folder / "mine.boris"
    assert convert(folder / "found.json", "--output", output, "--videos", folder / "clip.mp4") == 0
    observation = json.loads(output.read_text())["observations"]["clip"]
    path = str(folder / "clip.mp4")
    assert observation["media_info"]["fps"] == {path: 25.0}
    assert observation["media_info"]["length"] == {path: 2.0}
    tasks = folder / "tasks.json"
    assert convert(folder / "found.json", "--format", "label-studio", "--output", tasks,
                   "--videos", folder) == 0  # fmt: skip
    assert json.loads(tasks.read_text())[0]["data"]["fps"] == 25.0


@pytest.mark.parametrize("name", FORMATS)
def test_videos_of_one_name_stay_apart_in_every_format_and_back(tmp_path, name):
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        write_video(tmp_path / camera / "take.mp4", numbered_frames(50), rate=25)
    labels, output, back = (tmp_path / name for name in ("labels.csv", "out", "back.csv"))
    rows = "cam1/take.mp4,run,0.2,0.8\ncam2/take.mp4,run,0.5,1\n"
    labels.write_text("video,label,start,end\n" + rows)
    cameras = tmp_path / "cam1", tmp_path / "cam2"
    assert convert(labels, "--format", name, "--output", output, "--videos", *cameras) == 0
    written = list(output.iterdir())
    for given in (["--videos", tmp_path], []):  # by the files, and by what was written alone
        source = output if len(written) > 1 else written[0]
        assert convert(source, "--output", back, *given) == 0
        found = annotations.read_annotations(back)
        assert {n: v.actions[0].start_s for n, v in found.items()} == {
            "cam1__take": pytest.approx(0.2, abs=0.021),
            "cam2__take": pytest.approx(0.5, abs=0.021),
        }


def test_several_inputs_become_one_file(folder):
    (folder / "more.csv").write_text("video,label,start,end\nother,run,0,1\n")
    inputs = folder / "labels.csv", folder / "more.csv"
    assert convert(*inputs, "--output", folder / "all.json") == 0
    assert sorted(annotations.read_annotations(folder / "all.json")) == ["clip", "other"]


def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys):
    labels, found = folder / "labels.csv", folder / "found.json"
    (folder / "bad.csv").write_text("video,label,start,end\nclip,run,2,1\n")
    before = sorted(folder.iterdir())
    cases = {
        (labels, "--output", folder / "x.txt"): "x.txt: give --format, one of csv, boris,",
        (labels, "--output", folder / "x.txt", "--format", "via"): "the name must end in .json",
        (labels, "--output", folder / "x.boris"): "clip: BORIS needs the length",
        (labels, found, "--output", folder / "x.csv"): "video 'clip' is also in",
        (labels, "--output", labels): "is one of the inputs",
        (labels, "--output", folder / "x.csv", "--labels", "rum"): "--labels rum: no action of",
        (folder / "bad.csv", "--output", folder / "x.csv"): "ends at 1 s",
        (folder / "none.csv", "--output", folder / "x.csv"): "none.csv: no such file",
    }
    for arguments, message in cases.items():
        assert message in refusal(capsys, *arguments)
    (folder / "clip.mp4").rename(folder / "other.mp4")
    message = refusal(
        capsys, labels, "--output", folder / "x.csv", "--videos", folder / "other.mp4"
    )
    assert "--videos: there is no video file of clip" in message
    (folder / "other.mp4").rename(folder / "clip.mp4")
    assert sorted(folder.iterdir()) == before
    assert Path(labels).read_text() == LABELS
