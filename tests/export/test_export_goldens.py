"""Full-size networks, exported, find the reference's detections."""

from pathlib import Path

import numpy as np

from afsd_jax.export import afsd_numpy
from afsd_jax.export.network_folder import export_networks
from afsd_jax.io.video_scores import read_video_scores
from afsd_jax.weights import pytorch
from afsd_jax.weights.checkpoint import Checkpoint
from tests.export.exported import OPENED
from tests.golden.weights import video
from tests.goldens import check_detections, golden_twin
from tests.support import GOLDEN, published

# Videos of each benchmark: name, number of frames and seconds.
_VIDEOS = {
    "thumos14": (("video_test_0000000", 300, 30.0), ("video_test_0000001", 149, 14.9)),
    "anet": (("00000000000", 768, 60.0), ("00000000001", 500, 100.0)),
}


def golden_checkpoint(benchmark: str, stream: str = "rgb", seed: int = 0) -> Checkpoint:
    config = published(benchmark, stream)
    shapes = pytorch.parameter_shapes(config)
    state = {k: np.asarray(v) for k, v in golden_twin(config, seed).state_dict().items()}
    weights = pytorch.from_pytorch(state, shapes, config)
    return Checkpoint(0, config, pytorch.class_names(config), weights)


def detections(folder: Path, format: str, benchmark: str) -> dict[str, list[dict]]:
    """Detects in the goldens' videos with an exported network, written by `export_networks`."""
    about, run = afsd_numpy.read_description(folder), OPENED[format](folder)
    labels = read_video_scores(GOLDEN / "detect_anet_video_scores.json")
    results = {}
    for index, (name, count, duration_s) in enumerate(_VIDEOS[benchmark]):
        streams = about["streams"].items()
        frames = {stream: video(index, count, channels, 0) for stream, channels in streams}
        windows = afsd_numpy.windows(frames, about)
        outputs = [(offset, *run(inputs)) for offset, inputs in windows]
        label = tuple(labels[name]) if about["video_labels"] else None
        found = afsd_numpy.detections(outputs, count / duration_s, about, duration_s, label)
        results[name] = [
            {"label": d["label"], "score": d["score"], "segment": [d["start_s"], d["end_s"]]}
            for d in found
        ]
    return results


def test_thumos14_rgb(tmp_path):
    export_networks([golden_checkpoint("thumos14")], "onnx", tmp_path / "network")
    check_detections(detections(tmp_path / "network", "onnx", "thumos14"), "thumos14_rgb")


def test_thumos14_fusion(tmp_path):
    streams = [golden_checkpoint("thumos14"), golden_checkpoint("thumos14", "flow", 1)]
    export_networks(streams, "onnx", tmp_path / "network")
    check_detections(detections(tmp_path / "network", "onnx", "thumos14"), "thumos14_fusion")


def test_activitynet_rgb(tmp_path):
    export_networks([golden_checkpoint("anet")], "openvino", tmp_path / "network")
    check_detections(detections(tmp_path / "network", "openvino", "anet"), "anet_rgb")
