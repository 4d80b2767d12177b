"""Commands on a full disk: one line, nothing half-written, and they complete once there is room."""

import json
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.cli.process import REFUSED
from tests import prepared_videos
from tests.small_disks import content, enlarge, mounted
from tests.untrained_checkpoints import write_untrained
from tests.video_files import write_video


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A video, a checkpoint, a prepared data set, its sources, and predictions."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    write_video(folder / "video.mp4", frames, rate=10)
    write_untrained(folder / "checkpoint", "rgb")
    prepared_videos.prepare(folder)
    found = [{"label": "run", "score": 0.5, "segment": [1, 2]}] * 1000
    (folder / "found.json").write_text(json.dumps({"results": {"a": found}}))
    return folder


def evaluate(inputs: Path, disk: Path) -> list[object]:
    truth = inputs / "source_rgb" / "truth.json"
    command = ["evaluate", "--benchmark=videos", "--subset=train", "--ground-truth", truth]
    return [*command, "--predictions", inputs / "found.json", "--output", disk / "metrics.json"]


def inspect(inputs: Path, disk: Path) -> list[object]:
    data = inputs / "data" / "videos" / "rgb" / "1.0.0"
    return ["inspect", data, "--output", disk / "page.html"]


def prepare(inputs: Path, disk: Path) -> list[object]:
    source = inputs / "source_rgb"
    command = ["prepare", "videos", "--source", source, "--annotations", source / "truth.json"]
    return [*command, "--output", disk, "--workers=1", "--size=20"]


def detect(inputs: Path, disk: Path) -> list[object]:
    command = ["detect", inputs / "video.mp4", "--checkpoint", inputs / "checkpoint"]
    return [*command, "--output", disk / "found.json", "--report", disk / "page.html"]


def export_onnx(inputs: Path, disk: Path, format: str = "onnx") -> list[object]:
    return ["export", inputs / "checkpoint", f"--format={format}", "--output", disk / "network"]


def export_openvino(inputs: Path, disk: Path) -> list[object]:
    return export_onnx(inputs, disk, "openvino")


def export_stablehlo(inputs: Path, disk: Path) -> list[object]:
    return export_onnx(inputs, disk, "stablehlo")


@pytest.mark.parametrize("room", ["size=8k", "size=8m,nr_inodes=4"])
@pytest.mark.parametrize(
    "command",
    [evaluate, inspect, prepare, detect, export_onnx, export_openvino, export_stablehlo],
)
def test_a_full_disk_is_one_line_and_costs_nothing(inputs, tmp_path, capfd, command, room):
    with mounted(tmp_path / "disk", room) as disk:
        for name in ("metrics.json", "page.html"):
            (disk / name).write_text("earlier")
        (disk / "filler").write_text("")
        before = content(disk)
        arguments = [str(x) for x in command(inputs, disk)]
        assert cli.main(arguments) == REFUSED
        errors = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
        assert len(errors) == 1
        assert errors[0].startswith(f"error: {disk}")
        assert "cannot be written (No" in errors[0]  # such as: No space left on device
        kept = content(disk)
        assert kept | before == kept
        assert not any(Path(name).name.startswith(".") for name in kept)
        enlarge(disk, "size=50m,nr_inodes=1000")
        assert cli.main(arguments) == 0
        assert content(disk) != before
