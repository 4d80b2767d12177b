"""From PyTorch files and frames to the reference's detections, by the command line alone."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.weights import video
from tests.goldens import golden_twin
from tests.support import GOLDEN, ROOT, published

Detections = Mapping[str, list[dict]]


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


def is_same(found: dict, expected: dict) -> bool:
    ends = zip(found["segment"], expected["segment"], strict=True)
    return (
        found["label"] == expected["label"]
        and all(abs(a - b) <= 0.02 for a, b in ends)
        and abs(found["score"] / expected["score"] - 1) <= 1e-3
    )


def check(found: Detections, golden_name: str) -> None:
    """Asserts that all but 0.5 % of the detections are the golden ones, and few are others."""
    golden = json.loads((GOLDEN / f"detect_{golden_name}.json").read_text())["results"]
    assert found.keys() == golden.keys()
    total = sum(len(detections) for detections in golden.values())
    missing, extra = 0, 0
    for name, expected in golden.items():
        left = list(found[name])
        for detection in expected:
            match = next((other for other in left if is_same(other, detection)), None)
            if match is None:
                missing += 1
            else:
                left.remove(match)
        # Of each class the reference drops the last candidate.
        extra += sum(count - 1 for count in Counter(other["label"] for other in left).values())
    assert missing <= 0.005 * total
    assert extra <= 0.005 * total


VIDEOS = {"video_test_0000000": 300, "video_test_0000001": 149}


def test_thumos14_rgb(folder, tmp_path):
    videos = write_frames(tmp_path / "rgb", VIDEOS, 3)
    arguments = "--checkpoint", folder / "thumos14_rgb", "--fps", 10
    check(detect(*videos, *arguments, output=tmp_path / "found.json"), "thumos14_rgb")


def test_thumos14_fusion(folder, tmp_path):
    videos = write_frames(tmp_path / "rgb", VIDEOS, 3)
    write_frames(tmp_path / "flow", VIDEOS, 2)
    found = detect(
        *videos,
        *("--checkpoint", folder / "thumos14_rgb", "--flow-checkpoint", folder / "thumos14_flow"),
        *("--flow-dir", tmp_path / "flow", "--fps", 10),
        output=tmp_path / "found.json",
    )
    check(found, "thumos14_fusion")


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
    check(found, "anet_rgb")
