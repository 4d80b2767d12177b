"""From a PyTorch file or Kinetics to a checkpoint folder and back, whole or not at all."""

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
) -> pytorch.Weights:
    """Writes the weights of a PyTorch file or Kinetics as a checkpoint folder, and returns them.

    Args:
      source: an I3D trunk, an AFSD checkpoint or "kinetics"; see `loading.load_foreign`.
      output: the folder to write; a trunk's holds the trunk alone, for training to start from.
      config: of the network; by default the published one that the file tells.
      force: overwrite a checkpoint that is already there.

    Raises:
      UserError: the file is refused, or something stands at `output`; nothing is written then.
    """
    _check_output(output, force, replaceable=bool(checkpoint.steps(output)))
    loaded = loading.load_foreign(source, config)
    names = pytorch.class_names(loaded.config)
    checkpoint.write(output, loaded.parameters, loaded.config, names)
    return loaded


def to_pytorch_file(
    source: str | os.PathLike[str], output: str | os.PathLike[str], force: bool = False
) -> int:
    """Writes a checkpoint's network as an official AFSD state dict; `.safetensors` by its suffix.

    Returns:
      The number of tensors written.

    Raises:
      UserError: `source` is no checkpoint, or something stands at `output`.
    """
    _check_output(output, force, replaceable=Path(output).is_file())
    saved = checkpoint.read(source)
    parameters = {name: np.asarray(value) for name, value in saved.weights.items()}
    state = pytorch.to_pytorch(parameters, saved.config)
    torch_files.write(output, state)
    return len(state)


def _check_output(output: str | os.PathLike[str], force: bool, replaceable: bool) -> None:
    """Refuses to overwrite, without `force` anything and ever what is not of the same kind."""
    path = Path(output)
    if not os.path.lexists(path):
        return
    if not replaceable:
        raise UserError(f"{path}: exists and is not what would be written; give another --output")
    if not force:
        raise UserError(f"{path}: exists; give another --output, or --force to overwrite it")
