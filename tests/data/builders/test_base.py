"""The common part of the builders, as TFDS sees it."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from afsd_jax.data.builders.own_videos import OwnVideos
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import BUILDERS, prepare_dataset
from tests.video_files import numbered_frames, write_video

PAPERS = {
    "thumos14": {"jiang2014thumos", "lin2021afsd"},
    "activitynet": {"caba2015activitynet", "lin2021afsd"},
    "videos": {"lin2021afsd"},
    "synthetic": {"lin2021afsd"},
}


@pytest.mark.parametrize("stream", ["rgb", "flow"])
@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_states_homepage_and_citation(tmp_path, name, stream):
    builder = BUILDERS[name](data_dir=tmp_path, config=stream)
    info = builder.info
    assert info.description
    assert info.homepage.startswith("http")
    entries = [entry.partition(",")[0].partition("{")[2] for entry in info.citation.split("@")[1:]]
    assert set(entries) == PAPERS[name]
    assert info.citation.count("{") == info.citation.count("}")
    assert set(builder.release_notes) == {str(builder.version)}
    assert builder.MANUAL_DOWNLOAD_INSTRUCTIONS


@pytest.fixture
def media(tmp_path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    write_video(folder / "clip.mp4", numbered_frames(30, 16, 16), 10)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("video", "label", "start", "end", "subset"), ("clip", "run", 0, 1, "train")]
        )
    return folder


def test_a_prepared_folder_states_the_citation(tmp_path, media):
    folder = prepare_dataset("videos", tmp_path, "rgb", PrepareOptions(media, size=16, workers=1))
    info = tfds.builder_from_directory(folder).info
    assert "lin2021afsd" in info.citation
    assert info.homepage == OwnVideos.HOMEPAGE
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


def test_tfds_finds_the_lengths_of_flow_images_in_the_prepared_rgb_stream(tmp_path, media):
    prepare_dataset("videos", tmp_path / "data", "rgb", PrepareOptions(media, size=16, workers=1))
    source = tmp_path / "flow"
    (source / "clip").mkdir(parents=True)
    (source / "labels.csv").write_bytes((media / "labels.csv").read_bytes())
    for i in range(29):
        for axis in "xy":
            image = Image.fromarray(np.full((16, 16), i, np.uint8))
            image.save(source / "clip" / f"flow_{axis}_{i:05d}.jpg")
    builder = OwnVideos(data_dir=tmp_path / "data", config="flow")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=source))
    (example,) = builder.as_dataset(split="train").as_numpy_iterator()
    assert len(example["frames"]) == 30
