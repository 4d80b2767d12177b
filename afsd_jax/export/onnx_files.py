"""Files of a network in ONNX and in OpenVINO's format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from afsd_jax.export.onnx_network import build_model
from afsd_jax.io import files
from afsd_jax.models.openvino_trunk import import_openvino

_XML_BYTES = 4 << 20  # more than the description of two networks takes


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
    onnx = build_model(configs, weights).SerializeToString()
    model = openvino.Core().read_model(onnx)
    # On a full disk, OpenVINO would not say why it cannot write.
    files.check_space(folder, len(onnx) + _XML_BYTES, 2)
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)
