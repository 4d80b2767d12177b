"""Files of a network in ONNX and in OpenVINO's format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from afsd_jax.export.onnx_network import build_model
from afsd_jax.models.openvino_trunk import import_openvino


def write_onnx(
    folder: Path,
    configs: Sequence[ml_collections.ConfigDict],
    weights: Sequence[Mapping[str, Any]],
) -> None:
    """Writes `network.onnx`; see `build_model`."""
    (folder / "network.onnx").write_bytes(build_model(configs, weights).SerializeToString())


def write_openvino(
    folder: Path,
    configs: Sequence[ml_collections.ConfigDict],
    weights: Sequence[Mapping[str, Any]],
) -> None:
    """Writes `network.xml` and `network.bin`, which OpenVINO converts from ONNX."""
    openvino = import_openvino()
    model = openvino.Core().read_model(build_model(configs, weights).SerializeToString())
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)
