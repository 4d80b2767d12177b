"""Annotations from a stranger end in one line, whatever they hold, and in little time."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError

LONG = 20_000


def ground_truth(**entry: Any) -> str:
    annotation = {"label": "run", "segment": [1, 2]} | entry
    return json.dumps({"database": {"a": {"subset": "train", "annotations": [annotation]}}})


def label_studio(labels: list[str], ranges: list[dict]) -> str:
    value = {"timelinelabels": labels, "ranges": ranges}
    data = {"video": "a.mp4", "fps": 10}
    return json.dumps([{"data": data, "annotations": [{"result": [{"value": value}]}]}])


def elan(value: str = "run", time_value: str = "1000") -> str:
    return (
        '<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="a.mp4"/></HEADER><TIME_ORDER>'
        f'<TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="{time_value}"/></TIME_ORDER><TIER TIER_ID="t">'
        '<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="1" TIME_SLOT_REF2="1"><ANNOTATION_VALUE>'
        f"{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", ground_truth().replace("[1, 2]", "[1e400, 2]")),
        ("a.json", ground_truth(segment=[0, 10**400])),
        ("a.json", ground_truth(segment=["1e400", 1])),
        ("a.json", ground_truth(segment=[float("nan"), 1])),
        ("a.json", ground_truth(segment=[1, 1e300])),
        ("a.json", ground_truth(label=["run"])),
        ("a.json", ground_truth(label="\ud800")),
        ("a.json", "[" * 100_000),
        ("a.json", '{"database":' * 100_000),
        ("a.json", "9" * 10_000),
        ("a.json", label_studio(["run"] * LONG, [{"start": 1, "end": 2}] * LONG)),
        ("a.json", label_studio(["run"], [{"start": 1, "end": 1e400}])),
        ("a.csv", "video,label,start,end\na,run,1,1e400\n"),
        ("a.csv", "video,label,start,end\na,run,nan,2\n"),
        ("a.csv", "video,label,start,end\n../../x\x1b,run,1,2\n"),
        ("a.csv", "video,label,start,end\na," + "x" * 200_000 + ",1,2\n"),
        ("a.eaf", elan(time_value="9" * 400)),
        ("a.eaf", elan(time_value="9" * 5000)),
        ("a.eaf", elan(value="x" * 200_000)),
        ("a.eaf", "<a>" * 10_000),
        ("a.eaf", '<!DOCTYPE a [<!ENTITY b "c">]><ANNOTATION_DOCUMENT/>'),
    ],
)
def test_what_no_tool_writes_is_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        annotations.read_annotations(path)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 20


def test_many_attributes_of_many_segments_take_little_time(tmp_path):
    attributes = {str(i): {"anchor_id": "FILE1_Z2_XY0"} for i in range(LONG)}
    segments = {
        str(i): {"vid": "1", "z": [0, 1], "xy": [], "av": {str(LONG - 1): "run"}}
        for i in range(LONG)
    }
    project = {"attribute": attributes, "metadata": segments, "view": {"1": {"fid_list": ["1"]}}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(project | {"file": {"1": {"fname": "a.mp4"}}}))
    start = time.monotonic()
    assert len(annotations.read_annotations(path)["a"].actions) == LONG
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("suffix", [".json", ".csv", ".tsv", ".eaf", ""])
def test_pipes_and_devices_are_not_read(tmp_path, suffix):
    for path in (tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"):
        os.mkfifo(path) if "pipe" in path.name else path.symlink_to("/dev/zero")
        with pytest.raises(UserError, match="must be a file"):
            annotations.read_annotations(path)


def test_a_class_list_that_is_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "classes.txt")
    with pytest.raises(UserError, match="must be a file"):
        annotations.read_class_list(Path(tmp_path / "classes.txt"))
