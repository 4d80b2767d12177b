"""Preparing data sets: all sources of frames give the same schema."""

import csv
import dataclasses
import itertools
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from afsd_jax.config import default_config
from afsd_jax.data import annotations, datasets, preparation
from afsd_jax.data.builders import thumos14
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.clips.training_clips import video_clips
from afsd_jax.data.decode.resize import resize
from afsd_jax.data.storage import frame_codec, schema
from afsd_jax.errors import UserError
from tests.support import GOLDEN, ROOT, THUMOS14
from tests.video_files import frame_numbers, numbered_frames, reference_rule, write_video

SIZE = 32


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Four videos of 6 s at 30 frames per second, in four containers."""
    folder = tmp_path_factory.mktemp("media")
    frames = numbered_frames(180, SIZE, 48)
    for i, suffix in enumerate(("mp4", "mkv", "mov", "avi")):
        write_video(folder / f"clip_{i}.{suffix}", frames)
    return folder


ROWS = [
    ("clip_0", "run", 0.5, 2.25, "train"),
    ("clip_0", "jump", 3.0, 4.0, "train"),
    ("clip_1", "jump", 1.0, 1.9, "train"),
    ("clip_2", "run", 0.0, 6.0, "test"),
    ("clip_3", "run", 2.0, 3.0, "test"),
]


def write_csv(path: Path, rows: list[tuple], header: str = "video,label,start,end,subset") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def write_activitynet(path: Path, rows: list[tuple]) -> Path:
    database: dict[str, Any] = {}
    for name, label, start, end, subset in rows:
        entry = database.setdefault(name, {"subset": subset, "duration": 6.0, "annotations": []})
        entry["annotations"].append({"label": label, "segment": [start, end]})
    path.write_text(json.dumps({"database": database}))
    return path


def options(source: Path, path: Path | None = None, **kwargs: Any) -> PrepareOptions:
    defaults = {"encoding": "raw", "size": SIZE, "workers": 1}
    return PrepareOptions(source, path, **{**defaults, **kwargs})


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads a prepared folder: its examples by name, with decoded frames and labels as text."""
    builder = tfds.builder_from_directory(folder)
    names = schema.class_names(builder)
    found = {}
    for split in builder.info.splits:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            shape = [int(example[key]) for key in ("height", "width", "channels")]
            code = example["encoding"].decode()
            example["frames"] = np.array(
                [frame_codec.decode(frame, code, *shape) for frame in example["frames"]]
            )
            actions = example["annotations"]
            example["labels"] = [names[i] for i in actions["label"]]
            found[example["name"].decode()] = {**example, **actions, "split": split}
    return found


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_own_videos_give_all_their_annotations_and_frames(tmp_path, media, kind):
    write = {"csv": write_csv, "json": write_activitynet}[kind]
    path = write(tmp_path / f"labels.{kind}", ROWS)
    folder = datasets.prepare_dataset("videos", tmp_path / "out", "rgb", options(media, path))
    assert folder == tmp_path / "out" / "videos" / "rgb" / "1.0.0"
    found = read(folder)
    assert sorted(found) == [f"clip_{i}" for i in range(4)]
    for name, rows in itertools.groupby(ROWS, key=lambda row: row[0]):
        expected = list(rows)
        example = found[name]
        assert example["labels"] == [row[1] for row in expected]
        assert example["start_s"].tolist() == [row[2] for row in expected]
        assert example["end_s"].tolist() == [row[3] for row in expected]
        np.testing.assert_allclose(example["start_frame"], example["start_s"] * 10)
        np.testing.assert_allclose(example["end_frame"], example["end_s"] * 10)
        assert example["split"] == expected[0][4]
        assert frame_numbers(example["frames"]) == reference_rule(180, 30, 10)


def test_a_missing_subset_is_split_by_the_name_alone(tmp_path, media):
    rows = [(f"clip_{i}", "run", 1, 2) for i in range(4)]
    path = write_csv(tmp_path / "labels.csv", rows, "video,label,start,end")
    found = read(datasets.prepare_dataset("videos", tmp_path, "rgb", options(media, path)))
    splits = {name: annotations.stable_split(name) for name, *_ in rows}
    assert set(splits.values()) == {"train"}, "so the smallest hash goes to test"
    assert {name: example["split"] for name, example in found.items()} == {
        **splits,
        "clip_0": "test",
    }


def test_the_stable_split_never_changes_and_is_about_one_to_four():
    splits = [annotations.stable_split(f"video_{i}") for i in range(1000)]
    assert splits[:12] == ["train"] * 7 + ["test"] + ["train"] * 4
    assert 150 < splits.count("test") < 250


def test_a_video_without_actions_is_kept(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", [*ROWS[:3], ("clip_2", "", "", "", "test")])
    found = read(datasets.prepare_dataset("videos", tmp_path, "rgb", options(media, path)))
    assert found["clip_2"]["labels"] == []
    assert len(found["clip_2"]["frames"]) == 60


THUMOS_ROWS = [
    ("video_validation_0000001", "Diving", 26, 1.0, 2.0, 30, 60),
    ("video_validation_0000001", "Ambiguous", 0, 3.0, 4.0, 90, 120),
    ("video_validation_0000001", "CliffDiving", 22, 1.0, 2.0, 31, 61),
    ("video_test_0000002", "LongJump", 51, 4.1, 5.3, 123, 159),
]
THUMOS_HEADER = "video,type,type_idx,start,end,startFrame,endFrame"


@pytest.fixture(scope="module")
def thumos(tmp_path_factory) -> Path:
    """A folder with two videos and the annotation files of the reference implementation."""
    folder = tmp_path_factory.mktemp("thumos")
    for count, name in ((181, "video_validation_0000001"), (170, "video_test_0000002")):
        write_video(folder / f"{name}.mp4", numbered_frames(count, SIZE, 48))
    for subset, word, count in (("val", "validation", 181), ("test", "test", 170)):
        rows = [row for row in THUMOS_ROWS if word in row[0]]
        write_csv(folder / f"{subset}_Annotation.csv", rows, THUMOS_HEADER)
        write_csv(
            folder / f"{subset}_video_info.csv",
            [(rows[0][0], 30.0, 10.0, float(count), len(reference_rule(count, 30, 10)))],
            "video,fps,sample_fps,count,sample_count",
        )
    return folder


def check_thumos(found: dict[str, dict[str, Any]]) -> None:
    train, test = found["video_validation_0000001"], found["video_test_0000002"]
    assert (train["split"], test["split"]) == ("train", "test")
    assert train["labels"] == ["Diving", "CliffDiving"]
    assert test["labels"] == ["LongJump"]
    # Frames of the original video, times sampled frames / original frames.
    assert train["start_frame"].tolist() == [30 * 60 / 181, 31 * 60 / 181]
    assert train["end_frame"].tolist() == [60 * 60 / 181, 61 * 60 / 181]
    assert test["start_frame"].tolist() == [123 * 56 / 170]
    assert train["start_s"].tolist() == [1.0, 1.0]


def test_thumos14_counts_in_frames_of_the_original_video(tmp_path, thumos):
    folder = datasets.prepare_dataset("thumos14", tmp_path, "rgb", options(thumos))
    check_thumos(read(folder))
    assert schema.class_names(tfds.builder_from_directory(folder)) == list(thumos14.CLASSES)


@pytest.fixture(scope="module")
def thumos_rgb(tmp_path_factory, thumos) -> Path:
    output = tmp_path_factory.mktemp("thumos_rgb")
    return datasets.prepare_dataset("thumos14", output, "rgb", options(thumos))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory, thumos_rgb) -> Path:
    """The arrays that the reference implementation would have prepared."""
    folder = tmp_path_factory.mktemp("arrays")
    for name, example in read(thumos_rgb).items():
        np.save(folder / f"{name}.npy", example["frames"])
    return folder


def test_arrays_of_the_reference_give_what_the_videos_give(tmp_path, thumos, thumos_rgb, arrays):
    folder = datasets.prepare_dataset("thumos14", tmp_path, "rgb", options(arrays, thumos))
    found, expected = read(folder), read(thumos_rgb)
    check_thumos(found)
    for name, example in expected.items():
        np.testing.assert_array_equal(found[name]["frames"], example["frames"])
        assert found[name]["duration_s"] == pytest.approx(example["duration_s"])


def test_official_text_files_count_in_seconds(tmp_path, thumos):
    folder = tmp_path / "TH14" / "annotation"
    folder.mkdir(parents=True)
    for _, label, _, start, end, *_ in (THUMOS_ROWS[0], THUMOS_ROWS[1]):
        line = f"video_validation_0000001  {start:.1f} {end:.1f}\n"
        (folder / f"{label}_val.txt").write_text(line)
    (folder / "LongJump_test.txt").write_text("video_test_0000002 4.1 5.3\n\n")
    chosen = options(thumos, tmp_path / "TH14")
    found = read(datasets.prepare_dataset("thumos14", tmp_path / "out", "rgb", chosen))
    assert found["video_validation_0000001"]["labels"] == ["Diving"]
    assert found["video_validation_0000001"]["start_frame"].tolist() == [10.0]
    assert found["video_test_0000002"]["end_frame"].tolist() == [53.0]


def test_real_thumos14_annotations_are_read_completely():
    if not THUMOS14.is_dir():
        pytest.skip(f"{THUMOS14} with the real annotations is not here")
    chosen = PrepareOptions(THUMOS14)
    builder = thumos14.Thumos14(data_dir="unused", config="rgb", options=chosen)
    videos = builder.read_annotations()
    truth = annotations.read_activitynet(THUMOS14 / "thumos_gt.json")
    assert [v.subset for v in videos.values()].count("train") == 200
    assert [v.subset for v in videos.values()].count("test") == 212
    # The published ground truth leaves out two test videos whose annotations do not fit them.
    assert set(videos) - set(truth) == {"video_test_0000270", "video_test_0001496"}
    assert set(truth) < set(videos)
    for name, expected in truth.items():
        assert videos[name].subset == expected.subset
        found = sorted((a.label, a.start_s, a.end_s) for a in videos[name].actions)
        assert found == sorted((a.label, a.start_s, a.end_s) for a in expected.actions)
        assert all(action.source_frames for action in videos[name].actions)
    assert tuple(builder.class_names(videos)) == thumos14.CLASSES


def test_real_thumos14_annotations_are_placed_where_the_golden_clips_have_them():
    if not THUMOS14.is_dir():
        pytest.skip(f"{THUMOS14} with the real annotations is not here")
    golden = json.loads((GOLDEN / "clips_thumos14.json").read_text())
    chosen = PrepareOptions(THUMOS14)
    builder = thumos14.Thumos14(data_dir="unused", config="rgb", options=chosen)
    videos = builder.read_annotations()
    videos = {name: video for name, video in videos.items() if video.subset == "train"}
    known = builder.timelines(videos, dict.fromkeys(videos, THUMOS14))
    count = 0
    for name, video in videos.items():
        task = preparation.Task(
            *(name, "train", THUMOS14, video.actions, "rgb", 10.0, 0, 112, "jpeg", "tvl1"),
            *(known[name], thumos14.CLASSES),
        )
        placed, _ = preparation.place_actions(task, known[name])
        segments = np.array([(action["start_frame"], action["end_frame"]) for action in placed])
        labels = np.array([action["label"] + 1 for action in placed])
        found = video_clips(known[name].num_frames, segments, labels, default_config().data)
        assert len(found.clips) == golden["per_video"][name]
        assert math.ceil(found.min_action) == golden["min_action"][name]
        count += sum(len(clip.labels) for clip in found.clips)
    assert sum(golden["per_video"].values()) == golden["clips"] == 7842
    assert count == golden["annotations"]


def test_activitynet_lowers_the_rate_and_lists_what_does_not_exist(tmp_path, media):
    rows = [
        ("clip_0", "Long jump", 0.5, 2.25, "training"),
        ("clip_0", "Long jump", 4.0, 4.0, "training"),
        ("clip_1", "Snatch", 1.0, 3.0, "validation"),
        ("gone_1", "Snatch", 1.0, 3.0, "validation"),
        ("clip_2", "Snatch", 1.0, 3.0, "testing"),
        ("clip_3", "Snatch", 3.0, 1.0, "training"),
    ]
    path = write_activitynet(tmp_path / "activity_net.json", rows)
    chosen = options(media, path, max_frames=64)
    folder = datasets.prepare_dataset("activitynet", tmp_path, "rgb", chosen)
    found = read(folder)
    assert {name: example["split"] for name, example in found.items()} == {
        "clip_0": "train",
        "clip_1": "test",
    }
    assert found["clip_0"]["fps"] == 30 * 64 / 180
    assert 63 <= len(found["clip_0"]["frames"]) <= 64
    assert found["clip_0"]["labels"] == ["Long jump"]
    assert found["clip_0"]["start_frame"].tolist() == [0.5 * 30 * 64 / 180]
    assert datasets.read_report(folder)["missing"] == {
        "gone_1": "gone_1; 1 action of it cannot be used"
    }
    whole = datasets.prepare_dataset("activitynet", tmp_path / "b", "rgb", options(media, path))
    assert read(whole)["clip_0"]["fps"] == 30, "180 frames are fewer than 768"


def test_activitynets_prefix_of_file_names_is_known(tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "v_abc.mp4", numbered_frames(30))
    path = write_activitynet(tmp_path / "a.json", [("abc", "Snatch", 0, 1, "training")])
    chosen = options(tmp_path / "videos", path)
    assert list(read(datasets.prepare_dataset("activitynet", tmp_path, "rgb", chosen))) == ["abc"]


def test_flow_comes_from_videos_arrays_and_prepared_frames_alike(
    tmp_path, thumos, thumos_rgb, arrays
):
    sources = {"videos": thumos, "arrays": arrays, "prepared": thumos_rgb}
    flows = {}
    for name, source in sources.items():
        chosen = options(source, thumos, flow_method="dis")
        flows[name] = read(datasets.prepare_dataset("thumos14", tmp_path / name, "flow", chosen))
        check_thumos(flows[name])
    for name, example in flows["videos"].items():
        assert example["frames"].shape[1:] == (SIZE, SIZE, 2)
        np.testing.assert_array_equal(flows["arrays"][name]["frames"], example["frames"])
        np.testing.assert_array_equal(flows["prepared"][name]["frames"], example["frames"])


def test_frames_prepared_in_another_size_are_resized(tmp_path, thumos, thumos_rgb):
    chosen = options(thumos_rgb, thumos, size=SIZE // 2)
    found = read(datasets.prepare_dataset("thumos14", tmp_path, "rgb", chosen))
    assert sorted(found) == sorted(read(thumos_rgb))
    for name, example in read(thumos_rgb).items():
        expected = [resize(frame, (SIZE // 2, SIZE // 2)) for frame in example["frames"]]
        np.testing.assert_array_equal(found[name]["frames"], expected)


def test_arrays_of_flow_are_taken_as_they_are(tmp_path, thumos, thumos_rgb):
    rng = np.random.default_rng(0)
    source = tmp_path / "flow"
    source.mkdir()
    expected = {}
    for name, example in read(thumos_rgb).items():
        shape = (len(example["frames"]), SIZE, SIZE, 2)
        expected[name] = rng.integers(0, 256, shape, dtype=np.uint8)
        np.save(source / f"{name}.npy", expected[name])
    chosen = options(source, thumos)
    found = read(datasets.prepare_dataset("thumos14", tmp_path / "out", "flow", chosen))
    check_thumos(found)
    for name, frames in expected.items():
        np.testing.assert_array_equal(found[name]["frames"], frames)


@pytest.mark.parametrize("original", [False, True], ids=["sampled", "every original frame"])
def test_flow_images_of_denseflow_are_sampled_and_the_last_one_repeated(tmp_path, thumos, original):
    counts = {"video_validation_0000001": (181, 60), "video_test_0000002": (170, 56)}
    for name, (source_count, count) in counts.items():
        folder = tmp_path / "flow" / name
        folder.mkdir(parents=True)
        images = source_count - 1 if original else count - 1
        for i, axis in itertools.product(range(images), "xy"):
            image = np.full((SIZE, SIZE), i + (60 if axis == "y" else 0), np.uint8)
            Image.fromarray(image).save(folder / f"flow_{axis}_{i:05d}.jpg", quality=100)
    chosen = options(tmp_path / "flow", thumos)
    found = read(datasets.prepare_dataset("thumos14", tmp_path / "out", "flow", chosen))
    for name, (source_count, count) in counts.items():
        kept = reference_rule(source_count - 1, 30, 10) if original else list(range(count - 1))
        kept = (kept + kept[-1:] * 2)[:count]
        frames = found[name]["frames"]
        assert frames[:, 0, 0, 0].tolist() == kept
        assert frames[:, 0, 0, 1].tolist() == [min(i + 60, 255) for i in kept]


def test_actions_after_the_end_are_cut_or_left_out_and_reported(tmp_path, media):
    rows = [("clip_0", "run", 5.0, 9.5, "train"), ("clip_0", "run", 7.0, 8.0, "train"), *ROWS[2:4]]
    path = write_csv(tmp_path / "labels.csv", rows)
    folder = datasets.prepare_dataset("videos", tmp_path, "rgb", options(media, path))
    example = read(folder)["clip_0"]
    assert example["start_frame"].tolist() == [50]
    assert example["end_frame"].tolist() == [60]
    assert example["end_s"].tolist() == [6.0]
    notes = datasets.read_report(folder)["notes"]
    assert any("labels.csv, line 2: ends at 9.5 s" in note and "cut" in note for note in notes)
    assert any("labels.csv, line 3: starts at 7 s" in n and "left out" in n for n in notes)


def test_preparing_again_keeps_existing_shards(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    folder = datasets.prepare_dataset("videos", tmp_path, "rgb", options(media, path))
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert datasets.prepare_dataset("videos", tmp_path, "rgb", options(media, path)) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.parametrize("change", [{"fps": 5.0}, {"size": 24}, {"encoding": "png"}])
def test_preparing_again_with_other_options_is_refused(tmp_path, media, change):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    first = options(media, path)
    folder = datasets.prepare_dataset("videos", tmp_path, "rgb", first)
    (field,) = change
    with pytest.raises(UserError, match=rf"{folder}: was prepared with {field} .*delete it"):
        datasets.prepare_dataset("videos", tmp_path, "rgb", dataclasses.replace(first, **change))


# Bad input -----------------------------------------------------------------------------------


def bad_rows(*row: Any) -> list[tuple]:
    return [*ROWS, row]


BAD_ROWS = {
    "end before start": (bad_rows("clip_3", "run", 3, 2, "test"), "line 7: ends at 2 s"),
    "negative start": (bad_rows("clip_3", "run", -1, 3, "test"), "line 7: starts at -1 s"),
    "no number": (bad_rows("clip_3", "run", "soon", 3, "test"), "line 7: start must be a number"),
    "not finite": (bad_rows("clip_3", "run", 1, "nan", "test"), "line 7: end must be a number"),
    "missing video": (bad_rows("clip_9", "run", 1, 3, "test"), "line 7: no file of video 'clip_9'"),
    "label with slash": (bad_rows("clip_3", "a/b", 1, 3, "test"), "line 7: the label 'a/b'"),
    "label of a parent": (bad_rows("clip_3", "..", 1, 3, "test"), "line 7: the label '..'"),
    "video of a parent": (bad_rows("../x", "run", 1, 3, "test"), "line 7: no file of video 'x'"),
    "two subsets": (bad_rows("clip_3", "run", 1, 3, "train"), "line 7: video 'clip_3' has subset"),
    "bad subset": (bad_rows("clip_9", "run", 1, 3, "a/b"), "subset 'a/b' must be"),
    "missing cell": ([*ROWS, ("clip_3", "run")], "line 7: must have 5 cells"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_by_file_and_line_and_nothing_is_written(tmp_path, media, case):
    rows, message = BAD_ROWS[case]
    path = write_csv(tmp_path / "labels.csv", rows)
    with pytest.raises(UserError) as error:
        datasets.prepare_dataset("videos", tmp_path / "out", "rgb", options(media, path))
    assert "labels.csv" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_an_unknown_label_is_refused(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    (tmp_path / "classes.txt").write_text("jump\nwalk\n")
    chosen = options(media, path, classes=tmp_path / "classes.txt")
    with pytest.raises(UserError, match=r"labels.csv, line 2: unknown label 'run'.* jump, walk"):
        datasets.prepare_dataset("videos", tmp_path / "out", "rgb", chosen)


def test_unknown_thumos14_labels_are_refused(tmp_path, thumos):
    write_csv(
        tmp_path / "val_Annotation.csv",
        [(*THUMOS_ROWS[0][:1], "Dive", 1, 1, 2, 3, 6)],
        THUMOS_HEADER,
    )
    with pytest.raises(UserError, match=r"val_Annotation.csv, line 2: unknown label 'Dive'"):
        datasets.prepare_dataset("thumos14", tmp_path / "out", "rgb", options(thumos, tmp_path))


def test_a_name_of_two_files_is_refused_with_both(tmp_path, media):
    (tmp_path / "a").mkdir()
    for suffix in ("mp4", "mkv"):
        write_video(tmp_path / "a" / f"clip_0.{suffix}", numbered_frames(30))
    path = write_csv(tmp_path / "labels.csv", ROWS[:2])
    with pytest.raises(UserError, match=r"'clip_0' may be a/clip_0.mkv, a/clip_0.mp4"):
        datasets.prepare_dataset("videos", tmp_path / "out", "rgb", options(tmp_path / "a", path))


def test_a_video_twice_in_json_is_refused(tmp_path, media):
    entry = '{"subset": "train", "annotations": []}'
    path = tmp_path / "labels.json"
    path.write_text(f'{{"database": {{"clip_0": {entry}, "clip_0": {entry}}}}}')
    with pytest.raises(UserError, match=r"labels.json: duplicate video or field 'clip_0'"):
        datasets.prepare_dataset("videos", tmp_path / "out", "rgb", options(media, path))


@pytest.mark.parametrize(
    "bad", [{"fps": -1.0}, {"max_frames": -1}, {"size": 0}, {"workers": -1}, {"encoding": "gif"}]
)
def test_impossible_options_are_refused_by_name(tmp_path, media, bad):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    with pytest.raises(UserError, match=next(iter(bad))):
        datasets.prepare_dataset("videos", tmp_path / "out", "rgb", options(media, path, **bad))


def test_an_output_that_cannot_be_written_is_refused(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    with pytest.raises(UserError, match=r"labels.csv/out: cannot be written"):
        datasets.prepare_dataset("videos", path / "out", "rgb", options(media, path))


def test_mixed_rates_of_arrays_are_refused(tmp_path, thumos, arrays):
    for name in ("val_Annotation.csv", "test_Annotation.csv", "val_video_info.csv"):
        (tmp_path / name).write_bytes((thumos / name).read_bytes())
    text = (thumos / "test_video_info.csv").read_text().replace(",10.0,", ",25.0,")
    (tmp_path / "test_video_info.csv").write_text(text)
    with pytest.raises(UserError, match=r"test_video_info.csv, line 2: .* 25 .* must not be mixed"):
        datasets.prepare_dataset("thumos14", tmp_path / "out", "rgb", options(arrays, tmp_path))


def test_flow_at_another_rate_than_rgb_is_refused(thumos, thumos_rgb):
    chosen = options(thumos, fps=5.0, flow_method="dis")
    output = thumos_rgb.parents[2]
    with pytest.raises(UserError, match=r"fps 10 .* rates must not be mixed"):
        datasets.prepare_dataset("thumos14", output, "flow", chosen)


BAD_ARRAYS = {
    "floats": (np.zeros((60, 8, 8, 3), np.float32), "holds float32, not uint8"),
    "flow for rgb": (np.zeros((60, 8, 8, 2), np.uint8), "has 2 channels, not 3"),
    "no channels": (np.zeros((60, 8, 8), np.uint8), "has shape [60, 8, 8]"),
    "too short": (np.zeros((59, 8, 8, 3), np.uint8), "holds 59 frames, but its video has 60"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_named_and_the_others_prepared(tmp_path, thumos, case):
    array, message = BAD_ARRAYS[case]
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "video_validation_0000001.npy", array)
    np.save(tmp_path / "in" / "video_test_0000002.npy", np.zeros((56, 8, 8, 3), np.uint8))
    chosen = options(tmp_path / "in", thumos)
    folder = datasets.prepare_dataset("thumos14", tmp_path / "out", "rgb", chosen)
    report = datasets.read_report(folder)
    assert [video["name"] for video in report["videos"]] == ["video_test_0000002"]
    ((name, error),) = report["unreadable"].items()
    assert name == "video_validation_0000001"
    assert "video_validation_0000001.npy: " in error
    assert message in error
    (tmp_path / "in" / "video_test_0000002.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"video_\w+\.npy: "):
        datasets.prepare_dataset("thumos14", tmp_path / "no", "rgb", chosen)
    assert not any(path.is_file() for path in (tmp_path / "no").rglob("*"))


def write_flow_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for i, axis in itertools.product(range(count), "xy"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / f"flow_{axis}_{i:05d}.jpg")


@pytest.mark.parametrize("kind", ["arrays", "flow images", "prepared frames"])
def test_raw_frames_of_more_than_2_gib_are_refused_while_planning(
    tmp_path, thumos, thumos_rgb, arrays, kind
):
    write_flow_images(tmp_path / "images" / "video_validation_0000001", 60)
    write_flow_images(tmp_path / "images" / "video_test_0000002", 56)
    sources = {"arrays": arrays, "flow images": tmp_path / "images", "prepared frames": thumos_rgb}
    stream = "rgb" if kind == "arrays" else "flow"
    chosen = options(sources[kind], thumos, size=4500, flow_method="dis")
    with pytest.raises(UserError, match=r"video_\w+: its frames take .*; choose the encoding jpeg"):
        datasets.prepare_dataset("thumos14", tmp_path / "out", stream, chosen)
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


# The command -----------------------------------------------------------------------------------


def command(*arguments: Any) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "prepare_data.py"), *map(str, arguments)]


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_the_command_refuses_bad_input_in_one_line_with_code_2(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", bad_rows("clip_3", "run", 3, 2, "test"))
    output = tmp_path / "out"
    result = run("videos", "--source", media, "--annotations", path, "--output", output)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "labels.csv, line 7" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists() or not any(p.is_file() for p in output.rglob("*"))


def test_unreadable_videos_are_listed_with_code_1_and_the_others_prepared(tmp_path, media):
    source = tmp_path / "in"
    source.mkdir()
    for path in media.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    whole = (source / "clip_0.mp4").read_bytes()
    (source / "clip_0.mp4").write_bytes(whole[: len(whole) // 2])
    write_csv(source / "labels.csv", ROWS)
    result = run("videos", "--source", source, "--output", tmp_path / "out", "--size", SIZE)
    assert result.returncode == 1, result.stderr
    assert "1 unreadable video:" in result.stderr
    assert "clip_0.mp4" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(read(tmp_path / "out" / "videos" / "rgb" / "1.0.0")) == [
        "clip_1",
        "clip_2",
        "clip_3",
    ]


def test_a_video_too_long_for_raw_frames_is_refused_before_it_is_decoded(tmp_path):
    source, count, size = tmp_path / "in", 1990, 600
    source.mkdir()
    write_video(source / "long.mp4", numbered_frames(count, 16, 16), 10)
    write_video(source / "short.mp4", numbered_frames(10, 16, 16), 10)
    write_csv(source / "labels.csv", [(n, "run", 0, 1, "train") for n in ("long", "short")])
    arguments = ("--source", source, "--output", tmp_path / "out", "--size", size)
    result = run("videos", *arguments, "--encoding", "raw")
    assert result.returncode == 1, result.stderr
    folder = tmp_path / "out" / "videos" / "rgb" / "1.0.0"
    assert list(read(folder)) == ["short"]
    # Writing would have stopped at the first frame too much; this is the size of all of them.
    bytes_of_all = f"{count * (size * size * 3 + 4):,}"
    assert bytes_of_all in datasets.read_report(folder)["unreadable"]["long"]
    for part in ("long: its frames take", bytes_of_all, "jpeg", "smaller size or fps"):
        assert part in result.stderr


def shard_contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*tfrecord*")}


def processes_of(parent: int) -> set[int]:
    """Returns the ids of a process's children, and of theirs."""
    found, left = set(), [parent]
    while left:
        for path in Path("/proc").glob(f"{left.pop()}/task/*/children"):
            children = {int(number) for number in path.read_text().split()} - found
            found |= children
            left += children
    return found


def state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_killed_preparation_leaves_no_process_and_resumes(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    rows = []
    for i in range(8):
        write_video(source / f"clip_{i}.mp4", numbered_frames(45, 64, 64))
        rows.append((f"clip_{i}", "run", 1, 2, "train"))
    write_csv(source / "labels.csv", rows)
    size = ("--size", 80)
    arguments = ("videos", "--source", source, "--stream", "flow", "--workers", 2, *size)
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command(*arguments, "--output", killed),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parts = killed / "videos" / "flow" / ".parts-1.0.0"
    while len(list(parts.glob("*.json"))) < 2:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.02)
    workers = processes_of(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    time.sleep(2)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    left = state(killed)
    time.sleep(1)
    assert state(killed) == left
    assert not (killed / "videos" / "flow" / "1.0.0").exists()
    finished = {p.with_suffix(".tfrecord").stat().st_ino for p in parts.glob("*.json")}
    assert 2 <= len(finished) < 8
    result = run(*arguments, "--output", killed)
    assert result.returncode == 0, result.stderr
    folder = killed / "videos" / "flow" / "1.0.0"
    assert finished <= {path.stat().st_ino for path in folder.glob("*tfrecord*")}, "done again"
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
    assert run(*arguments, "--output", tmp_path / "whole").returncode == 0
    whole = tmp_path / "whole" / "videos" / "flow" / "1.0.0"
    assert shard_contents(folder) == shard_contents(whole)
    assert len(read(folder)) == 8


def test_beam_prepares_the_same_shards_with_two_workers(tmp_path, media):
    path = write_csv(tmp_path / "labels.csv", ROWS)
    arguments = ("videos", "--source", media, "--annotations", path, "--size", SIZE)
    beam = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
    result = run(*arguments, "--output", tmp_path / "beam", "--beam-options", beam)
    assert result.returncode == 0, result.stderr
    assert run(*arguments, "--output", tmp_path / "here").returncode == 0
    folders = [tmp_path / name / "videos" / "rgb" / "1.0.0" for name in ("beam", "here")]
    assert shard_contents(folders[0]) == shard_contents(folders[1])
    assert len(shard_contents(folders[0])) == 4


def test_tfds_build_prepares_too(tmp_path, media):
    source = tmp_path / "in"
    source.mkdir()
    for path in media.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    write_csv(source / "labels.csv", ROWS)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build", "videos"),
            *("--imports", "afsd_jax.data.datasets", "--config", "rgb"),
            *("--manual_dir", str(source), "--data_dir", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(read(tmp_path / "out" / "videos" / "rgb" / "1.0.0")) == 4
