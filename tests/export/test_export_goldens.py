"""Full-size networks, exported, find the reference's detections."""

from pathlib import Path

import numpy as np
import pytest

from afsd_jax.export import afsd_numpy
from afsd_jax.export.network_folder import FILES, export_networks
from afsd_jax.weights import pytorch
from afsd_jax.weights.checkpoint import Checkpoint
from tests.export.exported import OPENED
from tests.golden.weights import video
from tests.goldens import check_detections, golden_twin
from tests.support import published

_LENGTHS = {"video_test_0000000": 300, "video_test_0000001": 149}


def golden_checkpoint(stream: str, seed: int) -> Checkpoint:
    config = published("thumos14", stream)
    shapes = pytorch.parameter_shapes(config)
    state = {k: np.asarray(v) for k, v in golden_twin(config, seed).state_dict().items()}
    weights = pytorch.from_pytorch(state, shapes, config)
    return Checkpoint(0, config, pytorch.class_names(config), weights)


def detections(folder: Path, format: str, channels: dict[str, int]) -> dict[str, list[dict]]:
    """Detects in the goldens' videos with an exported network."""
    about, run = afsd_numpy.read_description(folder), OPENED[format](folder)
    results = {}
    for index, (name, length) in enumerate(_LENGTHS.items()):
        frames = {stream: video(index, length, count, 0) for stream, count in channels.items()}
        windows = afsd_numpy.windows(frames, about)
        outputs = [(offset, *run(inputs)) for offset, inputs in windows]
        results[name] = [
            {"label": d["label"], "score": d["score"], "segment": [d["start_s"], d["end_s"]]}
            for d in afsd_numpy.detections(outputs, 10.0, about, length / 10)
        ]
    return results


@pytest.mark.parametrize("format", FILES)
def test_thumos14_rgb(format, tmp_path):
    export_networks([golden_checkpoint("rgb", 0)], format, tmp_path / "network")
    check_detections(detections(tmp_path / "network", format, {"rgb": 3}), "thumos14_rgb")


def test_thumos14_fusion(tmp_path):
    streams = [golden_checkpoint("rgb", 0), golden_checkpoint("flow", 1)]
    export_networks(streams, "onnx", tmp_path / "network")
    found = detections(tmp_path / "network", "onnx", {"rgb": 3, "flow": 2})
    check_detections(found, "thumos14_fusion")
