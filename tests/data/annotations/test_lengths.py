"""Actions without length are left out with a note, in every format alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from tests.annotation_files import BORIS_AGGREGATED, ELAN_EAF, LABEL_STUDIO_TASK, VIA_PROJECT

SPANS = {"table": (1, 3), "ActivityNet": (1, 3), "BORIS": (3.24, 8.74), "ELAN": (1.5, 2.75)}
SPANS |= {"Label Studio": (1, 2), "VIA": (1.5, 4.25), "FiftyOne": (1, 2)}


def media_labels(start_s: float, end_s: float) -> list[dict[str, Any]]:
    value = {"labels": ["run"], "start": start_s, "end": end_s}
    annotation = LABEL_STUDIO_TASK["annotations"][0] | {"result": [{"value": value}]}
    return [LABEL_STUDIO_TASK | {"annotations": [annotation]}]


def file_of(folder: Path, kind: str, start_s: float, end_s: float) -> Path:
    """Writes one action of each tool, from `start_s` to `end_s`."""
    if kind == "table":
        name, text = "a.csv", f"video,label,start,end\na,run,{start_s},{end_s}\n"
    elif kind == "ActivityNet":
        action = {"label": "run", "segment": [start_s, end_s]}
        name, text = "a.json", json.dumps({"database": {"a": {"annotations": [action]}}})
    elif kind == "BORIS":
        lines = BORIS_AGGREGATED.splitlines(keepends=True)[:2]
        name, text = "a.csv", "".join(lines).replace("3.240,8.740", f"{start_s},{end_s}")
    elif kind == "ELAN":
        slots = ELAN_EAF.replace('"1500"', f'" {start_s * 1000:.0f}"')
        name, text = "a.eaf", slots.replace('"2750"', f'"{end_s * 1000:.0f}"')
    elif kind == "Label Studio":
        name, text = "a.json", json.dumps(media_labels(start_s, end_s))
    elif kind == "FiftyOne":
        entry = {"label": "run", "timestamps": [start_s, end_s]}
        name, text = "a.json", json.dumps({"classes": None, "labels": {"a": [entry]}})
    else:
        text = json.dumps(VIA_PROJECT | {"metadata": {"1": {**VIA_SEGMENT, "z": [start_s, end_s]}}})
        name = "a.json"
    (folder / name).write_text(text)
    return folder / name


VIA_SEGMENT = VIA_PROJECT["metadata"]["1_ysf4qqfC"]


@pytest.mark.parametrize("kind", SPANS)
def test_an_action_without_length_is_left_out_with_a_note(tmp_path, kind):
    start_s, end_s = SPANS[kind]
    (video,) = annotations.read_annotations(file_of(tmp_path, kind, start_s, end_s)).values()
    assert [(a.start_s, a.end_s) for a in video.actions][:1] == [(start_s, end_s)]
    (video,) = annotations.read_annotations(file_of(tmp_path, kind, end_s, end_s)).values()
    assert not video.actions
    assert f"starts and ends at {end_s:g} s, so it has no length: left out" in video.notes[0]


@pytest.mark.parametrize("kind", SPANS)
def test_an_action_that_ends_before_it_starts_is_refused_in_preparation(tmp_path, kind):
    end_s, start_s = SPANS[kind]
    path = file_of(tmp_path, kind, start_s, end_s)
    with pytest.raises(UserError, match=f"ends at {end_s:g} s, not after its start at {start_s:g}"):
        annotations.check_order(annotations.read_annotations(path))
