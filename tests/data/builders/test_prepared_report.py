"""The report of a prepared folder may come from a stranger: it names files in its folder alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data.builders.prepared_report import read_report
from afsd_jax.errors import UserError

VIDEO = {
    "name": "a",
    "split": "train",
    "error": None,
    "num_bytes": 1,
    "fps": 10.0,
    "num_frames": 3,
    "duration_s": 0.3,
    "source_frames": 0,
    "damaged": 0,
    "shard": "videos-train.tfrecord-00000-of-00001",
}
REPORT = {
    "stream": "rgb",
    "fps": 10.0,
    "max_frames": 0,
    "keep_aspect": "center",
    "videos": [VIDEO],
    "unreadable": {},
    "warnings": ["few videos"],
    "fingerprints": {"a": ["1", "2", "3"]},
}


def written(path: Path, report: Any) -> Path:
    path.write_text(json.dumps(report))
    return path


def test_an_honest_report_is_read_as_it_is(tmp_path):
    path = tmp_path / "preparation.json"
    assert read_report(written(path, REPORT)) == REPORT
    of_earlier_versions = {k: v for k, v in REPORT.items() if k != "keep_aspect"}
    assert read_report(written(path, of_earlier_versions))["keep_aspect"] == "squeeze"


@pytest.mark.parametrize(
    "report",
    [
        [],
        {},
        REPORT | {"stream": "sound"},
        REPORT | {"fps": "fast"},
        REPORT | {"fps": float("nan")},
        REPORT | {"videos": {}},
        REPORT | {"videos": [VIDEO, VIDEO]},
        REPORT | {"fingerprints": {"a": ["1"]}},
        REPORT | {"fingerprints": {"a": "123"}},
        REPORT | {"unreadable": []},
        REPORT | {"warnings": "few"},
        REPORT | {"warnings": [1]},
        *(
            REPORT | {"videos": [VIDEO | change]}
            for change in (
                {"shard": "../../secret"},
                {"shard": "/dev/zero"},
                {"shard": "."},
                {"shard": ""},
                {"shard": 3},
                {"name": "../a"},
                {"name": "\x1b[31m"},
                {"name": None},
                {"num_frames": float("inf")},
                {"num_frames": -1},
                {"fps": True},
                {"split": None},
                {"error": "text"},
            )
        ),
    ],
)
def test_a_forged_report_is_refused_in_one_line(tmp_path, report):
    with pytest.raises(UserError, match=r"preparation\.json") as error:
        read_report(written(tmp_path / "preparation.json", report))
    assert "\n" not in str(error.value)
