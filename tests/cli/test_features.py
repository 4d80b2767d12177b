"""`afsd features`: features of a trunk in the layout that other detectors read."""

import json
import os
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.models import parameters
from afsd_jax.models.video_trunk import MULTIPLE
from afsd_jax.weights.loading import load_checkpoint
from tests.untrained_checkpoints import write_untrained
from tests.video_files import numbered_frames, write_video

LABELS = "video,label,start,end,subset\nclip,run,0.5,2,train\nshort,jump,0.1,0.4,test\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two videos, of 4 and 0.5 seconds, and a network."""
    folder = tmp_path_factory.mktemp("features")
    write_untrained(folder / "network", "rgb")
    (folder / "in").mkdir()
    write_video(folder / "in" / "clip.mp4", numbered_frames(100), rate=25)
    write_video(folder / "in" / "short.mp4", numbered_frames(13), rate=25)
    (folder / "labels.csv").write_text(LABELS)
    return folder


def features(*arguments: object) -> int:
    return cli.main(["features", *map(str, arguments)])


@pytest.fixture(scope="module")
def written(folder) -> Path:
    out, labels = folder / "out", f"--annotations={folder / 'labels.csv'}"
    assert features(folder / "network", folder / "in", f"--output={out}", labels) == 0
    return out


def facts(folder: Path) -> dict:
    return json.loads((folder / "features.json").read_text())


@pytest.mark.parametrize("name", ["clip", "short"])
def test_features_are_those_of_the_trunk_on_the_whole_video_averaged_over_space(
    folder, written, name
):
    network = load_checkpoint(folder / "network")
    data, endpoint = network.config.data, network.config.model.pyramid_inputs[-1]
    reader = VideoReader(folder / "in" / f"{name}.mp4", data.fps, (data.frame_size,) * 2)
    frames = np.stack(list(reader)).astype(np.float32) / 127.5 - 1
    first = (data.frame_size - data.crop_size) // 2
    frames = frames[:, first : first + data.crop_size, first : first + data.crop_size]
    stride = facts(written)["feat_stride"]
    rows = -(-len(frames) // stride)
    grey = np.zeros((-len(frames) % MULTIPLE, *frames.shape[1:]), "f")
    frames = np.concatenate([frames, grey])
    model = parameters.replace(parameters.abstract_network(network.config), network.weights)
    (expected,) = (np.asarray(x) for x in model.trunk(jnp.asarray(frames[None]))[endpoint])
    expected = expected.mean((1, 2))[:rows]
    found = np.load(written / f"{name}.npy", allow_pickle=False)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-3 * expected.std()


def test_actionformers_rules_put_segments_on_the_features(written):
    about = facts(written)
    database = json.loads((written / "actionformer.json").read_text())["database"]
    for name, video in database.items():
        # `THUMOS14Dataset`: feats [T, C]; (seconds * fps - num_frames / 2) / stride.
        feats = np.load(written / f"{name}.npy").astype(np.float32)
        assert feats.shape[1] == about["input_dim"]
        assert video["fps"] == about["fps"]
        assert len(feats) == -(-round(video["duration"] * video["fps"]) // about["feat_stride"])
        for action in video["annotations"]:
            frames = np.array(action["segment"]) * video["fps"]
            cells = (frames - 0.5 * about["num_frames"]) / about["feat_stride"]
            assert -1 <= cells[0] < cells[1] <= len(feats)
    opentad = json.loads((written / "opentad.json").read_text())["database"]
    assert opentad["clip"]["frame"] == round(4 * about["fps"])


def test_newer_files_are_kept_and_older_ones_are_made_again(folder, written, capsys):
    before = (written / "clip.npy").stat().st_mtime_ns
    os.utime(folder / "in" / "short.mp4")
    capsys.readouterr()
    assert features(folder / "network", folder / "in", f"--output={written}") == 0
    assert "features of 1 video written, 1 file kept" in capsys.readouterr().out
    assert (written / "clip.npy").stat().st_mtime_ns == before


def test_a_folder_has_one_kind_of_features(folder, written, capsys):
    other = ("--endpoint=Mixed_3b", f"--output={written}")
    assert features(folder / "network", folder / "in", *other) == 2
    assert "features.json: the folder has features with another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fps=5"], "--fps: .*network has its own; give it only with kinetics"),
        (["--endpoint=Mixed_5c"], "--endpoint Mixed_5c: the trunk of .* has Mixed_3b, "),
    ],
)
def test_what_does_not_fit_the_network_is_refused(folder, tmp_path, capsys, flags, message):
    assert features(folder / "network", folder / "in", f"--output={tmp_path}", *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line


def test_a_damaged_video_does_not_cost_the_others(folder, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes((folder / "in" / "clip.mp4").read_bytes()[:1500])
    videos = (bad, folder / "in" / "short.mp4")
    assert features(folder / "network", *videos, f"--output={tmp_path / 'out'}") == 1
    assert f"failed: {bad}: " in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["features.json", "short.npy"]
