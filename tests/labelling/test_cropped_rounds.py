"""Rounds of learning prepare the part of the pictures that was stated, by the real command."""

from pathlib import Path

import pytest

from afsd_jax import cli
from afsd_jax.data.builders.prepared_report import stored_geometry
from afsd_jax.data.datasets import read_report
from afsd_jax.data.decode.crops import VideoCrops
from afsd_jax.labelling.records import LabelClass, Labels, Segment, VideoLabels
from afsd_jax.labelling.round_work import RoundWork, Tools
from afsd_jax.labelling.rounds import Plan
from tests.video_files import numbered_frames, write_video

HALF = "50%,0,50%,100%"


@pytest.mark.parametrize(
    ("crops", "expected"),
    [
        (VideoCrops(HALF), {"a": HALF, "b": HALF}),
        (VideoCrops(None, {"b": HALF, "c": "1,1,9,9"}), {"a": "", "b": HALF}),
        (VideoCrops(), {"a": "", "b": ""}),
    ],
)
def test_a_round_prepares_the_stated_part_of_each_video(tmp_path, crops, expected):
    videos = {}
    for name in "abc":
        path = tmp_path / f"{name}.mp4"
        videos[name] = write_video(path, numbered_frames(20, 16, 32), 10)

    def run(state: str, what: str, log_file: Path, *arguments: str) -> None:
        assert cli.main(list(arguments)) == 0

    tools = Tools(lambda *_: [], crops=crops, keep_aspect="center")
    work = RoundWork(tmp_path / "work", videos, tools, run)
    segments = {"1": Segment("1", "peck", 0.2, 1.2)}
    reviewed = {name: VideoLabels(segments, reviewed=True) for name in "ab"}
    labels = Labels(videos=reviewed, classes={"peck": LabelClass("peck", "#112233")})
    plan = Plan(1, ["a", "b"], ["b"], ["b", "c"], 1)
    work.prepare(plan, lambda: labels)
    folder = work.place(plan) / "data" / "videos" / "rgb" / "1.0.0"
    found = {video["name"]: video.get("crop", "") for video in read_report(folder)["videos"]}
    assert found == expected
    assert stored_geometry(folder).keep_aspect == "center"
