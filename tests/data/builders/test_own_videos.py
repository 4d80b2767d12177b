"""A user's own videos, annotated with the tools people use."""

import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import datasets
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.errors import UserError
from tests.annotation_files import BORIS_AGGREGATED, ELAN_EAF, LABEL_STUDIO_TASK, VIA_PROJECT
from tests.video_files import numbered_frames, write_video

KINDS: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {
    "BORIS": ({"export.csv": BORIS_AGGREGATED}, {"pen_1": ["peck"], "pen_2": ["rest, lying"]}),
    "Label Studio": (
        {
            "export.json": json.dumps(
                [
                    LABEL_STUDIO_TASK,
                    {
                        **LABEL_STUDIO_TASK,
                        "data": {"video": "/data/upload/2/0a1b2c3d-b.mp4", "fps": 25},
                    },
                ]
            )
        },
        {"kitchen_1": ["Movement", "Nothing"], "b": ["Movement", "Nothing"]},
    ),
    "ELAN": (
        {"1.eaf": ELAN_EAF, "2.eaf": ELAN_EAF.replace("talk%201", "talk%202")},
        {"talk 1": ["wave & nod", "gesture"], "talk 2": ["wave & nod", "gesture"]},
    ),
    "VIA": (
        {"project.json": json.dumps(VIA_PROJECT)},
        {"kitchen_1": ["Pour liquid", "stir"], "kitchen_2": ["Default"]},
    ),
}


def truth(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "ground_truth.json").read_text())["database"]


@pytest.mark.parametrize("kind", KINDS)
def test_annotations_beside_the_videos_are_found_and_prepared(tmp_path, kind):
    files, expected = KINDS[kind]
    source = tmp_path / "source"
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text, encoding="utf-8")
    for name in expected:
        write_video(source / f"{name}.mp4", numbered_frames(100, 16, 16), 10)
    chosen = PrepareOptions(source, size=16, workers=1)
    folder = datasets.prepare_dataset("videos", tmp_path / "data", "rgb", chosen)
    database = truth(folder)
    labels = {
        name: [action["label"] for action in video["annotations"]]
        for name, video in database.items()
    }
    assert labels == expected
    assert {video["subset"] for video in database.values()} == {"train", "test"}
    left_out = [note for note in datasets.read_report(folder)["notes"] if "left out" in note]
    assert len(left_out) == {"BORIS": 1, "ELAN": 2}.get(kind, 0)


def test_several_candidates_beside_the_videos_are_refused(tmp_path):
    for name in ("old.csv", "new.tsv"):
        (tmp_path / name).write_text("video,label,start,end\n")
    with pytest.raises(UserError, match=r"has 2 .json or .csv or .tsv files; name the one"):
        datasets.prepare_dataset("videos", tmp_path / "data", "rgb", PrepareOptions(tmp_path))
