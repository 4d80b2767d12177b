"""The synthetic builder: from its own mp4 files, through the common decoder, to TFDS examples."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from afsd_jax.data.builders import generator
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.synthetic import Synthetic
from afsd_jax.data.decode import flow, video_reader
from afsd_jax.data.storage import frame_codec, schema
from afsd_jax.io import activitynet_json

SETTINGS = generator.Settings(
    train_videos=2, test_videos=1, height=48, width=64, min_duration_s=20, max_duration_s=21
)
SIZE = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data folder with both streams; the videos lie in its subfolder made."""
    path = tmp_path_factory.mktemp("data")
    options = PrepareOptions(path / "made", encoding="raw", size=SIZE, flow_method="dis", workers=2)
    for stream in ("rgb", "flow"):
        builder = Synthetic(data_dir=path, config=stream, settings=SETTINGS, options=options)
        builder.download_and_prepare()
    return path


def examples(folder: Path, stream: str) -> dict[str, dict]:
    builder = tfds.builder_from_directory(folder / "synthetic" / stream / "1.0.0")
    assert schema.class_names(builder) == sorted(generator.CLASSES)
    found = {}
    for split in builder.info.splits:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            found[example["name"].decode()] = {**example, "split": split}
    return found


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_every_annotation_comes_back_from_the_examples(folder, stream):
    truth = activitynet_json.read_ground_truth(folder / "made" / "ground_truth.json")
    found = examples(folder, stream)
    assert sorted(found) == sorted(truth)
    names = sorted(generator.CLASSES)
    for name, entry in truth.items():
        example = found[name]
        actions = example["annotations"]
        assert example["split"] == entry.subset
        assert [names[i] for i in actions["label"]] == [a.label for a in entry.actions]
        assert actions["start_s"].tolist() == [a.start_s for a in entry.actions]
        assert actions["end_s"].tolist() == [a.end_s for a in entry.actions]
        np.testing.assert_array_equal(actions["start_frame"], actions["start_s"] * 10)
        assert np.all(actions["end_frame"] <= len(example["frames"]))
        assert example["duration_s"] == entry.duration_s
        assert example["fps"] == 10


def test_rgb_frames_are_those_of_the_decoder(folder):
    for name, example in examples(folder, "rgb").items():
        (path,) = (folder / "made" / "videos").rglob(f"{name}.mp4")
        expected = video_reader.read_video(path, fps=10, size=(SIZE, SIZE)).frames
        frames = [frame_codec.decode(f, "raw", SIZE, SIZE, 3) for f in example["frames"]]
        np.testing.assert_array_equal(frames, expected)


def test_flow_frames_are_the_flow_of_the_rgb_frames(folder):
    rgb, flows = examples(folder, "rgb"), examples(folder, "flow")
    for name, example in flows.items():
        assert len(example["frames"]) == len(rgb[name]["frames"])
        assert example["channels"] == 2
        (path,) = (folder / "made" / "videos").rglob(f"{name}.mp4")
        expected = flow.FlowReader(video_reader.VideoReader(path, 10, (SIZE, SIZE)), "dis")
        frames = [frame_codec.decode(f, "raw", SIZE, SIZE, 2) for f in example["frames"]]
        np.testing.assert_array_equal(frames, list(expected))


def test_a_prepared_folder_is_found_by_its_name(folder):
    builder = tfds.builder("synthetic/rgb", data_dir=folder)
    assert builder.info.splits["train"].num_examples == 2
    assert builder.info.splits["test"].num_examples == 1
    assert schema.class_names(builder) == sorted(generator.CLASSES)


def test_no_temporary_files_are_left(folder):
    assert {path.name for path in folder.iterdir()} == {"made", "synthetic"}
    assert {path.name for path in (folder / "synthetic" / "rgb").iterdir()} == {"1.0.0"}
