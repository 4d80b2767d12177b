"""Preparing again: changes are prepared, unchanged frames are kept."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from afsd_jax.data import datasets
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.storage import frame_codec, schema
from tests.support import ROOT
from tests.video_files import frame_numbers, numbered_frames, write_video

Rows = Sequence[tuple[Any, ...]]
ROWS: Rows = [
    ("a", "run", 0, 1, "train"),
    ("a", "jump", 1, 2, "train"),
    ("b", "jump", 0.5, 2.5, "train"),
    ("c", "run", 1, 3, "test"),
]


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in "abc":
        write_video(folder / f"{name}.mp4", numbered_frames(30, 32, 48), 10)
    write_rows(folder, ROWS)
    return folder


def write_rows(folder: Path, rows: Rows) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video", "label", "start", "end", "subset"), *rows])


def prepare(source: Path, **kwargs: Any) -> tuple[Path, str]:
    """Prepares; returns the folder and the description of the changes."""
    folder = datasets.prepared_folder("videos", source.parent, "rgb")
    before = datasets.read_report(folder) if folder.exists() else {}
    chosen = PrepareOptions(source, size=32, workers=1, **kwargs)
    assert datasets.prepare_dataset("videos", source.parent, "rgb", chosen) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
    return folder, datasets.describe_changes(before, datasets.read_report(folder))


def make_undecodable(path: Path) -> None:
    """Overwrites a file so that only its name, length and time are the same."""
    state = path.stat()
    path.write_bytes(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def read(folder: Path) -> dict[str, Any]:
    """Returns each video's split, frames and actions, as TFDS reads them."""
    builder = tfds.builder_from_directory(folder)
    names = schema.class_names(builder)
    found = {}
    for split in builder.info.splits:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            actions = example["annotations"]
            segments = zip(actions["label"], actions["start_s"], actions["end_s"], strict=True)
            rows = [(names[label], float(start), float(end)) for label, start, end in segments]
            found[example["name"].decode()] = (split, list(example["frames"]), rows)
    return found


def shards(folder: Path) -> dict[str, int]:
    """Returns the file behind each video's shard."""
    return {
        video["name"]: (folder / video["shard"]).stat().st_ino
        for video in datasets.read_report(folder)["videos"]
    }


def test_corrected_annotations_are_renewed_without_decoding(source):
    folder, _ = prepare(source)
    before, files = read(folder), shards(folder)
    for name in "abc":
        make_undecodable(source / f"{name}.mp4")
    hop = ("b", "hop", 0.5, 2.5, "train")
    write_rows(source, [ROWS[0], ("a", "jump", 1.5, 2, "train"), hop, ROWS[3]])
    folder, changes = prepare(source)
    assert changes == "1 unchanged, 2 with renewed annotations"
    after = read(folder)
    assert after["a"][2] == [("run", 0, 1), ("jump", 1.5, 2)]
    assert after["b"][2] == [("hop", 0.5, 2.5)]
    assert after["c"][2] == [("run", 1, 3)], "though the classes are hop, jump, run now"
    assert {name: video[1] for name, video in after.items()} == {
        name: video[1] for name, video in before.items()
    }
    truth = json.loads((folder / "ground_truth.json").read_text())["database"]
    assert truth["b"]["annotations"] == [{"segment": [0.5, 2.5], "label": "hop"}]
    files = shards(folder)
    write_rows(source, [ROWS[0], ("a", "jump", 1.5, 2.2, "train"), hop, ROWS[3]])
    folder, changes = prepare(source)
    assert changes == "2 unchanged, 1 with renewed annotations"
    assert {name for name, file in shards(folder).items() if file == files[name]} == {"b", "c"}


def test_a_renewed_folder_equals_a_newly_prepared_one(source, tmp_path):
    prepare(source)
    write_rows(source, [ROWS[0], ("b", "crawl", 0, 3, "test"), ROWS[3]])
    folder, _ = prepare(source)
    chosen = PrepareOptions(source, size=32)
    fresh = datasets.prepare_dataset("videos", tmp_path / "new", "rgb", chosen)
    names = sorted(path.name for path in fresh.iterdir())
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (folder / name).read_bytes() == (fresh / name).read_bytes(), name


def test_new_videos_are_added_and_removed_ones_left_out(source):
    prepare(source)
    for name in "ac":
        make_undecodable(source / f"{name}.mp4")
    write_video(source / "d.mp4", numbered_frames(20, 32, 48), 10)
    write_rows(source, [*ROWS[:2], ROWS[3], ("d", "run", 0, 2, "test")])
    folder, changes = prepare(source)
    assert changes == "2 unchanged, 1 new, 1 no longer there"
    found = read(folder)
    assert {name: video[0] for name, video in found.items()} == {
        "a": "train",
        "c": "test",
        "d": "test",
    }
    assert len(found["d"][1]) == 20


def test_a_replaced_video_is_decoded_again(source):
    prepare(source)
    write_video(source / "b.mp4", numbered_frames(40, 32, 48)[10:], 10)
    folder, changes = prepare(source)
    assert changes == "2 unchanged, 1 decoded again"
    frames = read(folder)["b"][1]
    decoded = np.stack([frame_codec.decode(frame, "jpeg", 32, 32, 3) for frame in frames])
    assert frame_numbers(decoded) == list(range(10, 40))


def test_a_source_that_only_moved_is_not_decoded_again(source, tmp_path):
    folder, _ = prepare(source)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    source.rename(tmp_path / "moved")
    _, changes = prepare(tmp_path / "moved")
    assert changes == "3 unchanged"
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_notes_name_the_lines_of_the_annotations_as_they_are_now(source):
    rows = [*ROWS, ("c", "run", 2, 9, "test")]
    write_rows(source, rows)
    folder, _ = prepare(source)
    files = shards(folder)
    assert "line 6: ends at 9 s" in datasets.read_report(folder)["notes"][0]
    write_rows(source, [rows[4], *ROWS])
    folder, _ = prepare(source)
    write_rows(source, [*ROWS[:3], rows[4], ROWS[3]])
    folder, changes = prepare(source)
    assert changes == "3 unchanged"
    assert "line 5: ends at 9 s" in datasets.read_report(folder)["notes"][0]
    assert shards(folder)["a"] == files["a"]


def test_a_repaired_video_and_a_lost_shard_are_prepared_again(source):
    whole = (source / "b.mp4").read_bytes()
    (source / "b.mp4").write_bytes(whole[:300])
    folder, _ = prepare(source)
    assert list(datasets.read_report(folder)["unreadable"]) == ["b"]
    before = shards(folder)
    assert prepare(source)[1] == "3 unchanged"
    (source / "b.mp4").write_bytes(whole)
    assert prepare(source)[1] == "2 unchanged, 1 decoded again"
    assert sorted(read(folder)) == ["a", "b", "c"]
    assert {name: shards(folder)[name] for name in "ac"} == before
    lost = next(v["shard"] for v in datasets.read_report(folder)["videos"] if v["name"] == "a")
    (folder / lost).unlink()
    prepare(source)
    assert sorted(read(folder)) == ["a", "b", "c"]


def test_flow_of_a_prepared_rgb_stream_is_kept_when_rgb_is_relabelled(source, tmp_path):
    rgb, _ = prepare(source)
    chosen = PrepareOptions(rgb, source / "labels.csv", size=32, workers=1, flow_method="dis")
    flow = datasets.prepare_dataset("videos", tmp_path, "flow", chosen)
    before, frames = datasets.read_report(flow), {n: v[1] for n, v in read(flow).items()}
    write_rows(source, [("a", "swim", 0, 1, "train"), *ROWS[2:]])
    prepare(source)
    datasets.prepare_dataset("videos", tmp_path, "flow", chosen)
    after = datasets.read_report(flow)
    assert "decoded again" not in datasets.describe_changes(before, after)
    assert after["classes"] == ["jump", "run", "swim"]
    assert {name: video[1] for name, video in read(flow).items()} == frames
    with pytest.raises(ValueError, match="was prepared with flow_method dis, not tvl1"):
        datasets.prepare_dataset(
            "videos", tmp_path, "flow", PrepareOptions(rgb, source / "labels.csv", size=32)
        )


def test_a_killed_renewal_leaves_the_old_data_set_complete_and_resumes(source):
    folder, _ = prepare(source)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rows = [("a", "hop", 0, 1, "train"), *ROWS[2:]]
    for i in range(6):
        write_video(source / f"new_{i}.mp4", numbered_frames(200, 64, 64), 10)
        rows.append((f"new_{i}", "run", 0, 1, "train"))
    write_rows(source, rows)
    command = [
        *(sys.executable, str(ROOT / "scripts" / "prepare_data.py"), "videos", "--source", source),
        *("--output", source.parent, "--size", "32", "--workers", "1"),
    ]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parts = folder.parent / ".parts-1.0.0"
    while len(list(parts.glob("*.json"))) < 4:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "2 unchanged, 1 with renewed annotations, 6 new" in result.stdout
    assert len(read(folder)) == 9
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


def test_a_refused_renewal_changes_nothing(source):
    folder, _ = prepare(source)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_rows(source, [*ROWS, ("c", "run", 3, 1, "test")])
    with pytest.raises(ValueError, match=r"labels.csv, line 6: ends at 1 s"):
        prepare(source)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_other_data_sets_are_renewed_in_the_same_way(source, tmp_path):
    def write(label: str) -> None:
        videos = {
            name: {
                "subset": "training",
                "duration": 3,
                "annotations": [{"segment": [0, 2], "label": label}],
            }
            for name in "ab"
        }
        (source / "truth.json").write_text(json.dumps({"database": videos}))

    chosen = PrepareOptions(source, source / "truth.json", size=32, workers=1)
    write("Long jump")
    folder = datasets.prepare_dataset("activitynet", tmp_path, "rgb", chosen)
    for name in "ab":
        make_undecodable(source / f"{name}.mp4")
    write("High jump")
    assert datasets.prepare_dataset("activitynet", tmp_path, "rgb", chosen) == folder
    assert [video[2] for video in read(folder).values()] == [[("High jump", 0, 2)]] * 2


def test_hardly_annotated_and_unbalanced_data_are_prepared(source):
    """Videos without actions, a single class, and one very frequent class."""
    write_rows(source, [("a", "", "", "", "train"), ("b", "", "", "", "train"), ROWS[3]])
    folder, _ = prepare(source)
    assert {name: len(video[2]) for name, video in read(folder).items()} == {"a": 0, "b": 0, "c": 1}
    many = [("a", "run", i / 100, i / 100 + 0.5, "train") for i in range(200)]
    write_rows(source, [*many, ("b", "jump", 0, 1, "train"), ROWS[3]])
    folder, _ = prepare(source)
    assert {name: len(video[2]) for name, video in read(folder).items()} == {
        "a": 200,
        "b": 1,
        "c": 1,
    }
    write_rows(
        source,
        [
            (name, "", "", "", split)
            for name, split in zip("abc", ("train", "train", "test"), strict=True)
        ],
    )
    folder, _ = prepare(source)
    assert datasets.read_report(folder)["classes"] == []


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        (("validation",) * 3, "all videos are in validation and none is in train"),
        (("validation", "test", "test"), "all videos are in test, validation and none is in train"),
    ],
)
def test_data_without_training_videos_are_refused(source, subsets, message):
    rows = [(name, "run", 0, 1, subset) for name, subset in zip("abc", subsets, strict=True)]
    write_rows(source, rows)
    with pytest.raises(ValueError, match=rf"source: {message}; give some the subset train"):
        prepare(source)
    assert not list(source.parent.rglob("*.tfrecord*"))


@pytest.mark.parametrize(
    ("subset", "note"),
    [
        ("train", "no video is in the split test"),
        ("test", "no video is in the split train"),
    ],
)
def test_data_for_training_or_testing_alone_are_prepared_with_a_note(source, subset, note):
    write_rows(source, [(name, "run", 0, 1, subset) for name in "abc"])
    folder, _ = prepare(source)
    assert note in datasets.read_report(folder)["notes"][0]
