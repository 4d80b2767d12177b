"""Exported networks give what the detector gives, in any number of windows."""

import re

import jax
import numpy as np
import onnx
import pytest
from jax import export

from afsd_jax.detection.detector import Detector
from afsd_jax.errors import UserError
from afsd_jax.export.network_folder import FILES, check_export, export_networks
from tests.export.exported import OPENED, random_inputs, small_checkpoint

PLAIN = {"refinement": False, "quality": False}
ONE_ENDPOINT = {"pyramid_inputs": ("Mixed_4b",), "trunk_context": "video", "dtype": "bfloat16"}
GEOMETRIC = {"fusion": "geometric"}
NETWORKS = {
    "rgb": lambda: [small_checkpoint()],
    "flow": lambda: [small_checkpoint("flow")],
    "without refinement and quality": lambda: [small_checkpoint(model=PLAIN)],
    "of whole videos, in bfloat16": lambda: [small_checkpoint(model=ONE_ENDPOINT)],
    "fused": lambda: [small_checkpoint(), small_checkpoint("flow", 1)],
    "fused geometrically": lambda: [
        small_checkpoint(inference=GEOMETRIC),
        small_checkpoint("flow", 1, inference=GEOMETRIC),
    ],
}


def expected(streams, inputs):
    """Segments and scores by the detector in float32, each window by itself."""
    for stream in streams:
        stream.config.model.update(trunk_context="clip", dtype="float32")
    detector = Detector(streams, "xla")
    frames = [inputs[stream.config.data.stream] for stream in streams]
    return [*map(np.asarray, detector._forward(detector.weights, frames, inputs["num_frames"]))]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, fast_compiling):
    """Networks, inputs of two windows, and the detector's segments and scores."""
    inputs = random_inputs(NETWORKS[request.param](), [64, 41])
    return NETWORKS[request.param], inputs, *expected(NETWORKS[request.param](), inputs)


@pytest.mark.parametrize("format", FILES)
def test_outputs_are_the_detectors(network, format, tmp_path):
    streams, inputs, segments, scores = network
    export_networks(streams(), format, tmp_path / "network")
    run = OPENED[format](tmp_path / "network")
    assert segments.std() > 5
    for rows in (slice(2), slice(1, 2)):
        found_segments, found_scores = run({name: x[rows] for name, x in inputs.items()})
        assert np.abs(found_segments - segments[rows]).max() <= 1e-3 * segments.std()
        assert np.abs(found_scores - scores[rows]).max() <= 1e-3 * scores.std()


def test_pooled_features_matter_to_the_outputs():
    """Otherwise the test above would not test boundary max pooling."""
    streams = NETWORKS["rgb"]()
    inputs = random_inputs(streams, [64])
    _, scores = expected(streams, inputs)
    streams[0].weights["frame_level.units.2.norm.scale"] *= 0
    streams[0].weights["loc_branch.lr.norm.scale"] *= 0
    _, others = expected(streams, inputs)
    assert np.abs(others - scores).max() > 0.1 * scores.std()


def test_an_onnx_file_is_valid(tmp_path):
    export_networks(NETWORKS["fused"](), "onnx", tmp_path / "network")
    onnx.checker.check_model(tmp_path / "network" / "network.onnx", full_check=True)


def test_a_program_is_for_cpus_and_nvidia_gpus_and_calls_no_kernel_of_triton(tmp_path):
    export_networks(NETWORKS["rgb"](), "stablehlo", tmp_path / "network")
    stored = (tmp_path / "network" / "network.stablehlo").read_bytes()
    program = export.deserialize(bytearray(stored))
    assert program.platforms == ("cpu", "cuda")
    calls = set(re.findall(r"custom_call @(\w+)", program.mlir_module()))
    assert calls <= {"shape_assertion"}
    assert "f64" not in program.mlir_module()
    assert jax.default_backend() == "cpu"


def test_two_networks_of_one_stream_are_refused(tmp_path):
    streams = [small_checkpoint(), small_checkpoint(seed=1)]
    with pytest.raises(UserError, match="are of the streams rgb, rgb; fuse one of rgb with"):
        export_networks(streams, "onnx", tmp_path / "network")
    assert not list(tmp_path.iterdir())


def test_a_network_on_features_is_refused(tmp_path):
    checkpoint = small_checkpoint()
    checkpoint.config.data.stream = "features"
    with pytest.raises(UserError, match="takes features that another network has computed"):
        export_networks([checkpoint], "onnx", tmp_path / "network")
    assert not list(tmp_path.iterdir())


def test_only_exported_networks_are_overwritten_and_only_by_force(tmp_path):
    folder = tmp_path / "network"
    check_export("onnx", folder)
    export_networks(NETWORKS["rgb"](), "onnx", folder)
    with pytest.raises(UserError, match="holds an exported network"):
        check_export("stablehlo", folder)
    check_export("stablehlo", folder, force=True)
    export_networks(NETWORKS["rgb"](), "stablehlo", folder)
    assert not (folder / "network.onnx").exists()
    (folder / "network.json").unlink()
    with pytest.raises(UserError, match="is not empty and holds no exported network"):
        check_export("onnx", folder, force=True)
