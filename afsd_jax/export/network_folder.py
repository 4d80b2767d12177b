"""Folders of exported networks: the network, its description, code that uses it, and a README."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import ml_collections

from afsd_jax.config_checks import FEATURES
from afsd_jax.detection.checkpoint_checks import check_fusible
from afsd_jax.errors import UserError
from afsd_jax.export import afsd_numpy
from afsd_jax.export.network_description import describe
from afsd_jax.export.network_readme import readme
from afsd_jax.io.files import atomic_write, json_text
from afsd_jax.weights.checkpoint import Checkpoint

# The network's file by format.
FILES = {"onnx": "network.onnx", "openvino": "network.xml", "stablehlo": "network.stablehlo"}
_NEEDED = {"onnx": ("onnx",), "openvino": ("onnx", "openvino"), "stablehlo": ()}
_DESCRIPTION = "network.json"


def check_export(format: str, output: str | os.PathLike[str], force: bool = False) -> None:
    """Checks, before any work, that a network can be exported.

    Raises:
      UserError: a package is missing, or `output` exists and must not be overwritten.
    """
    missing = [name for name in _NEEDED[format] if not find_spec(name)]
    if missing:
        raise UserError(
            f"format {format} needs the package {missing[0]}: pip install 'afsd-jax[export]'"
        )
    path = Path(output)
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not (path / _DESCRIPTION).is_file():
        raise UserError(f"{path}: is not empty and holds no exported network; give another folder")
    if not force:
        raise UserError(f"{path}: holds an exported network; give --force or another folder")


def export_networks(
    streams: Sequence[Checkpoint], format: str, output: str | os.PathLike[str]
) -> None:
    """Writes a folder with the networks, completely or not at all.

    A network of whole videos (`config.model.trunk_context`) is written as one of windows.

    Args:
      streams: checkpoint of each network; JAX's default backend must be the CPU.
      format: one of `FILES`.
      output: folder to write.

    Raises:
      UserError: the streams do not fit together, or the folder cannot be written.
    """
    check_fusible(streams)
    names = [stream.config.data.stream for stream in streams]
    if FEATURES in names:
        raise UserError(
            "the network takes features that another network has computed, not frames; it cannot "
            "be exported"
        )
    if len(names) > 1 and names != ["rgb", "flow"]:
        raise UserError(
            f"the networks are of the streams {', '.join(names)}; fuse one of rgb with one of flow"
        )
    configs = [_exported_config(stream.config) for stream in streams]
    weights = [stream.weights for stream in streams]
    description = describe(configs, streams[0].class_names, FILES[format])
    with atomic_write(output) as folder:
        folder.mkdir()
        if format == "stablehlo":
            from afsd_jax.export.stablehlo import write_stablehlo as write
        elif format == "openvino":
            from afsd_jax.export.onnx_files import write_openvino as write
        else:
            from afsd_jax.export.onnx_files import write_onnx as write
        write(folder, configs, weights)
        (folder / _DESCRIPTION).write_text(json_text(description), encoding="utf-8")
        (folder / "README.md").write_text(readme(format, description), encoding="utf-8")
        shutil.copyfile(afsd_numpy.__file__, folder / "afsd_numpy.py")


def _exported_config(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns a copy for windows in float32 without Triton."""
    config = config.copy_and_resolve_references()
    config.model.update(trunk_context="clip", dtype="float32", pooling="xla")
    return config
