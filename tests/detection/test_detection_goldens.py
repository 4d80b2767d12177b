"""From PyTorch files and frames to the reference's detections, by the command line alone."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.weights import video
from tests.goldens import Detections, check_detections, golden_twin
from tests.support import GOLDEN, ROOT, published


def run(*arguments: object) -> None:
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of checkpoints, converted by the command line from real PyTorch files."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, config, seed in (
        ("thumos14_rgb", published("thumos14"), 0),
        ("thumos14_flow", published("thumos14", "flow"), 1),
        ("anet_rgb", published("anet"), 0),
    ):
        source = folder / f"{name}.ckpt"
        torch.save(golden_twin(config, seed).state_dict(), source)
        run("scripts/convert_weights.py", "--input", source, "--output", folder / name)
        source.unlink()
    return folder


def write_frames(folder: Path, names: Mapping[str, int], channels: int) -> list[Path]:
    """Writes the goldens' frames of videos of these names and lengths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}.npy" for name in names]
    for index, (path, length) in enumerate(zip(paths, names.values(), strict=True)):
        np.save(path, video(index, length, channels, 0))
    return paths


def detect(*arguments: object, output: Path) -> Detections:
    run("-m", "afsd_jax.detect", *arguments, "--output", output)
    return json.loads(output.read_text())["results"]


VIDEOS = {"video_test_0000000": 300, "video_test_0000001": 149}


def test_thumos14_rgb(folder, tmp_path):
    videos = write_frames(tmp_path / "rgb", VIDEOS, 3)
    arguments = "--checkpoint", folder / "thumos14_rgb", "--fps", 10
    check_detections(detect(*videos, *arguments, output=tmp_path / "found.json"), "thumos14_rgb")


def test_thumos14_fusion(folder, tmp_path):
    videos = write_frames(tmp_path / "rgb", VIDEOS, 3)
    write_frames(tmp_path / "flow", VIDEOS, 2)
    found = detect(
        *videos,
        *("--checkpoint", folder / "thumos14_rgb", "--flow-checkpoint", folder / "thumos14_flow"),
        *("--flow-dir", tmp_path / "flow", "--fps", 10),
        output=tmp_path / "found.json",
    )
    check_detections(found, "thumos14_fusion")


def test_activitynet_rgb(folder, tmp_path):
    videos = write_frames(tmp_path / "rgb", {"00000000000": 768, "00000000001": 500}, 3)
    durations = tmp_path / "durations.json"
    durations.write_text(json.dumps({"00000000000": 60.0, "00000000001": 100.0}))
    found = detect(
        *videos,
        *("--checkpoint", folder / "anet_rgb", "--durations", durations),
        *("--video-scores", GOLDEN / "detect_anet_video_scores.json"),
        output=tmp_path / "found.json",
    )
    check_detections(found, "anet_rgb")
