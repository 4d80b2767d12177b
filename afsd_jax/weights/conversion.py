"""Converts a PyTorch file or the Kinetics weights to a checkpoint folder, and back."""

import os
from pathlib import Path

import ml_collections
import numpy as np

from afsd_jax.errors import UserError
from afsd_jax.weights import checkpoint, loading, pytorch, torch_files


def from_pytorch_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: ml_collections.ConfigDict | None = None,
    force: bool = False,
) -> pytorch.LoadedWeights:
    """Writes the weights of a PyTorch file or of Kinetics as a checkpoint folder.

    Args:
      source: an I3D trunk, an AFSD checkpoint or "kinetics", see `loading.load_published`.
      output: folder to write, completely or not at all. A trunk's folder holds only the trunk, from
        which training can start.
      config: configuration of the network; by default the published one that fits the file.
      force: overwrite an existing checkpoint.

    Returns:
      The weights.

    Raises:
      UserError: the file is refused, or `output` exists; nothing is written then.
    """
    _check_output(output, force, replaceable=bool(checkpoint.steps(output)))
    loaded = loading.load_published(source, config)
    names = pytorch.class_names(loaded.config)
    checkpoint.write(output, loaded.parameters, loaded.config, names)
    return loaded


def to_pytorch_file(
    source: str | os.PathLike[str], output: str | os.PathLike[str], force: bool = False
) -> int:
    """Writes a checkpoint's network as an official AFSD state dict, `.safetensors` or PyTorch's.

    Returns:
      The number of tensors written.

    Raises:
      UserError: `source` is not a checkpoint, or `output` exists.
    """
    _check_output(output, force, replaceable=Path(output).is_file())
    saved = loading.load_checkpoint(source)
    parameters = {name: np.asarray(value) for name, value in saved.weights.items()}
    state = pytorch.to_pytorch(parameters, saved.config)
    torch_files.write(output, state)
    return len(state)


def _check_output(output: str | os.PathLike[str], force: bool, replaceable: bool) -> None:
    """Raises UserError if `output` exists and must not be overwritten."""
    path = Path(output)
    if not os.path.lexists(path):
        return
    if not replaceable:
        raise UserError(f"{path}: exists and is of another kind than the output; give another path")
    if not force:
        raise UserError(f"{path}: exists; give another path, or force overwriting")
