"""What a new data set needs on disk is said before anything is decoded."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.data.builders import prepared_size
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.errors import WriteError
from afsd_jax.io import disk_space
from tests.video_files import write_video

UNITS = {"kB": 1e3, "MB": 1e6}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A video of 8 s at 20 frames a second, of smooth frames that move."""
    folder = tmp_path_factory.mktemp("source")
    x = np.arange(160)[:, None] + np.arange(120)
    waves = np.stack([127 + 100 * np.sin((x + t) / 17) for t in range(160)]).astype(np.uint8)
    write_video(folder / "a.mp4", np.repeat(waves[..., None], 3, axis=3), rate=20)
    (folder / "actions.csv").write_text("video,label,start,end,subset\na,wave,1,3,train\n")
    return folder


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_the_estimate_is_of_the_size_that_the_frames_have(source, tmp_path, caplog, encoding):
    caplog.set_level(logging.INFO, "afsd_jax")
    options = PrepareOptions(source, encoding=encoding, workers=1)
    folder = prepare_dataset("videos", tmp_path / "data", options=options)
    (line,) = [text for text in caplog.messages if "need about" in text]
    found = re.fullmatch(r".*data: the frames of 1 video need about ([\d.]+) (.B); .* free", line)
    assert found, line
    estimate = float(found[1]) * UNITS[found[2]]
    stored = sum(path.stat().st_size for path in folder.glob("*.tfrecord*"))
    assert stored / 4 < estimate < 4 * stored


def test_a_disk_that_is_probably_too_small_is_warned_of(source, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(prepared_size, "free_bytes", lambda path: 100_000)
    prepare_dataset("videos", tmp_path / "data", options=PrepareOptions(source, workers=1))
    (record,) = [x for x in caplog.records if "need about" in x.message]
    assert record.levelno == logging.WARNING
    assert record.message.endswith("; 100 kB are free")


def test_a_disk_that_is_certainly_too_small_is_refused_and_left_empty(
    source, tmp_path, monkeypatch
):
    monkeypatch.setattr(prepared_size, "free_bytes", lambda path: 1000)
    with pytest.raises(WriteError, match=r"data: cannot be written \(No space: the frames of 1 "):
        prepare_dataset("videos", tmp_path / "data", options=PrepareOptions(source, workers=1))
    assert not (tmp_path / "data").exists()


def test_free_space_is_that_of_the_disk_of_a_folder_that_does_not_exist_yet(tmp_path):
    free = disk_space.free_bytes(tmp_path)
    assert disk_space.free_bytes(tmp_path / "a" / "b") == pytest.approx(free, rel=0.2)
