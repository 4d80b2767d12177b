"""`afsd export`, and its folders used in environments that hold little else."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import afsd_jax
from afsd_jax.export.network_folder import FILES
from tests import isolated, small_run
from tests.support import ROOT
from tests.untrained_checkpoints import CLASSES, write_untrained
from tests.video_files import write_video

PACKAGES = {
    "onnx": ("numpy", "onnxruntime"),
    "openvino": ("numpy", "openvino"),
    "stablehlo": ("jax", "flatbuffers"),
}
_PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
_LENGTH = 150  # frames: three windows


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """rgb/ and flow/, checkpoints of untrained networks, and rgb.npy and flow.npy, frames."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for seed, (stream, channels) in enumerate({"rgb": 3, "flow": 2}.items()):
        write_untrained(folder / stream, stream, seed)
        frames = rng.integers(0, 256, (_LENGTH, 38, 38, channels), np.uint8)
        np.save(folder / f"{stream}.npy", frames)
    return folder


def export(*arguments: object):
    return small_run.run("afsd_jax.cli", "export", *arguments)


def installed(folder: Path, *names: str) -> Path:
    packages = isolated.make_packages(folder, *names)
    (packages / "openvino_telemetry").unlink(missing_ok=True)  # it would use the network
    return packages


@pytest.mark.parametrize("format", FILES)
def test_the_readme_detects_where_only_one_package_is_installed(folder, tmp_path, format):
    network = tmp_path / "network"
    flow = "--flow-checkpoint", folder / "flow"
    result = export(folder / "rgb", "--format", format, "--output", network, *flow)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{network}: written, ")
    text = (network / "README.md").read_text()
    assert max(map(len, text.splitlines())) <= 120
    (program,) = _PROGRAM.findall(text)
    for stream in ("rgb", "flow"):
        (network / f"{stream}.npy").write_bytes((folder / f"{stream}.npy").read_bytes())
    packages = installed(tmp_path / "packages", *PACKAGES[format])
    ran = isolated.run(packages, "-c", "import afsd_jax", cwd=network)
    assert "ModuleNotFoundError" in ran.stderr
    ran = isolated.run(
        packages, "-c", f"import sys; sys.path.insert(0, '.')\n{program}", cwd=network
    )
    assert ran.returncode == 0, ran.stderr
    found = [ast.literal_eval(line) for line in ran.stdout.splitlines()]

    detector = afsd_jax.load_detector(folder / "rgb", folder / "flow", backend="xla")
    frames = [np.load(folder / f"{stream}.npy") for stream in ("rgb", "flow")]
    expected = detector.detect_frames(frames, 10.0)[:20]
    assert len(found) == len(expected) == 20
    for one, other in zip(found, expected, strict=True):
        assert one["label"] == other.label
        assert one["score"] == pytest.approx(other.score, rel=1e-3)
        assert (one["start_s"], one["end_s"]) == pytest.approx(
            (other.start_s, other.end_s), abs=1e-2
        )


def test_the_description_states_classes_rates_sizes_and_thresholds(folder, tmp_path):
    assert export(folder / "rgb", "--format=onnx", f"--output={tmp_path / 'x'}").returncode == 0
    about = json.loads((tmp_path / "x" / "network.json").read_text())
    assert about["classes"] == CLASSES
    assert about["streams"] == {"rgb": 3}
    sizes = [about[name] for name in ("fps", "frame_size", "crop_size", "clip_length")]
    assert sizes == [10.0, 38, 32, 64]
    assert (about["nms"], about["nms_sigma"], about["score_threshold"]) == ("soft", 0.5, 0.01)


def test_the_example_detects_in_an_mp4_without_jax(folder, tmp_path):
    assert export(folder / "rgb", "--format=onnx", f"--output={tmp_path / 'x'}").returncode == 0
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (450, 4, 6, 3), np.uint8)
    frames = coarse.repeat(24, 1).repeat(24, 2)
    video = write_video(tmp_path / "video.mp4", frames, rate=30)
    packages = installed(tmp_path / "packages", "numpy", "onnxruntime", "av", "pillow")
    example = ROOT / "examples" / "onnx_detect.py"
    ran = isolated.run(packages, example, tmp_path / "x", video, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    found = [line.split(" ", 3) for line in ran.stdout.splitlines()]
    expected = afsd_jax.load_detector(folder / "rgb").detect(video)[:20]
    assert len(found) == len(expected) == 20
    for (*numbers, label), other in zip(found, expected, strict=True):
        assert label == repr(other.label)
        start_s, end_s, score = map(float, numbers)
        assert (start_s, end_s) == pytest.approx((other.start_s, other.end_s), abs=0.006)
        assert score == pytest.approx(other.score, abs=6e-4)


def test_a_network_of_whole_videos_is_written_for_windows_and_that_is_said(tmp_path):
    write_untrained(tmp_path / "rgb", "rgb", pyramid_inputs=("Mixed_4b",), trunk_context="video")
    result = export(tmp_path / "rgb", "--format=onnx", f"--output={tmp_path / 'x'}")
    assert result.returncode == 0, result.stderr
    assert "the exported one sees each window by itself" in result.stdout


def test_nothing_is_written_where_a_checkpoint_is_missing(tmp_path):
    result = export(tmp_path / "none", "--format=onnx", f"--output={tmp_path / 'x'}")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert str(tmp_path / "none") in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("format", "package"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_the_remedy(tmp_path, format, package):
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from afsd_jax import cli\n"
        f"sys.exit(cli.main(['export', 'none', '--format={format}', '--output=x']))\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr == (
        f"error: format {format} needs the package {package}: pip install 'afsd-jax[export]'\n"
    )
    assert not list(tmp_path.iterdir())
